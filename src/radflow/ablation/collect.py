"""The scores of an ablation's cells as tables.

From scores alone, and with no date, time or path of this machine in them: the same cells give the same
tables, byte for byte, whoever ran them and however often they were killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from radflow.ablation.definition import Claim, Row
from radflow.ablation.plan import Plan, Source, Task, identity
from radflow.ablation.results import AblationResult, Answer, Difference, RowResult, TableResult
from radflow.ablation.scores import Scores
from radflow.ablation.statistics import (
    INVERSE,
    MADE_OF,
    POSITIVES,
    SeedScores,
    corrected,
    differences_of,
    figures_of,
    gaps_of,
    over_seeds,
    positives_of_references,
)
from radflow.config import Data
from radflow.evaluation.files.scores import MetricFacts
from radflow.evaluation.intervals import Interval
from radflow.metrics import METRICS, radcliq
from radflow.metrics.naming import CORPUS, in_order
from radflow.viewer.wording import system_name

_RADCLIQ = ("radgraph_f1", "bertscore", "semb_score", "bleu2")
_ROUNDED = 0.0005
"""By how much a figure of three decimals may be off."""


def collect(plan: Plan, failures: Mapping[str, str], scores: Scores) -> AblationResult:
    """Make the tables of what the cells of a plan left.

    Args:
        plan: of the ablation.
        failures: why a task has no result, by its key.
        scores: of the cells that have some.
    """
    definition = plan.definition
    return AblationResult(
        title=definition.title,
        about=definition.about,
        seeds=plan.seeds,
        tables=tuple(_Column(plan, failures, scores, place).table() for place in range(len(plan.sources))),
        notes=definition.notes,
    )


class _Column:
    """The rows on one recipe."""

    def __init__(self, plan: Plan, failures: Mapping[str, str], scores: Scores, place: int) -> None:
        self._plan, self._failures, self._scores = plan, failures, scores
        self._source: Source = plan.sources[place]
        rows = [(row, _cells(plan, place, row)) for row in plan.definition.rows]
        if plan.definition.others:
            rows += self._other_systems(rows)
        self._rows = [(row, cells, *self._seeds(row, cells)) for row, cells in rows]
        self._every = [one for _, _, seeds, _ in self._rows for one in seeds.values()]
        first = next((task.recipe.data for _, cells in rows for task in cells.values()), None)
        self._dataset = next((n for n, of in plan.definition.datasets.items() if _stands_for(first, of)), "")
        self._modality = next((o.scores.about["modality"] for o in self._every if o.scores.about), None)

    def table(self) -> TableResult:
        compared, metrics = self._plan.definition.reference, self._metrics()
        base = next((seeds for row, _, seeds, _ in self._rows if row == compared), {})
        pairs = corrected(
            [_minus(seeds, base, metrics) if row != compared else {} for row, _, seeds, _ in self._rows]
        )
        return TableResult(
            label=self._source.label,
            dataset=self._dataset,
            metrics=metrics,
            compared=compared.title if compared and any(pairs) else "",
            rows=tuple(
                replace(self._row(row, cells, seeds, missing, metrics), differences=found)
                for (row, cells, seeds, missing), found in zip(self._rows, pairs, strict=True)
            ),
            sample=self._sample(),
            notes=(*self._notes(metrics), *self._printed_apart(), *self._reasons()),
            positives=positives_of_references(self._every),
            answers=tuple(one for claim in self._plan.definition.claims for one in self._answers(claim)),
        )

    def _answers(self, claim: Claim) -> list[Answer]:
        """What the seeds that both rows have say of a claim, by each of its metrics."""
        ours, others = (self._plan.definition.row(name) for name in (claim.row, claim.than))
        seeds = {row.title: found for row, _, found, _ in self._rows}
        mine, theirs = seeds[ours.title], seeds[others.title]
        common = _common(mine, theirs)
        pairs = [mine[seed] for seed in common], [theirs[seed] for seed in common]
        found = gaps_of(*pairs, critical=claim.studies == "critical") if common else {}
        known = {name: facts for one in pairs[0] for name, facts in one.scores.metrics.items()}
        return [
            Answer(
                says=claim.says,
                row=ours.title,
                than=others.title,
                metric=name,
                label=facts.label,
                studies=claim.studies,
                found=_better(found.get(name), facts),
                seeds=tuple(common),
            )
            for name in claim.metrics
            for facts in [known.get(name) or _facts(name)]
        ]

    # ---- what there is -----------------------------------------------------------------------------------

    def _seeds(self, row: Row, cells: Mapping[int, Task]) -> tuple[dict[int, SeedScores], str]:
        """The seeds of a row that are there, and what is missing of it."""
        if row.unavailable:
            return {}, row.unavailable
        found, lacking = {}, {}
        for seed, task in cells.items():
            scores = self._scores.get((identity(task.recipe), row.system))
            if scores is not None:
                found[seed] = scores
            else:
                none = f"the evaluation of its run has no system {row.system!r}"
                lacking[seed] = self._failures.get(task.key, none)
        reasons = "; ".join(dict.fromkeys(lacking.values()))
        if not found or not lacking:
            return found, reasons
        return found, f"without seed {', '.join(map(str, lacking))}: {reasons}"

    def _other_systems(
        self, rows: Sequence[tuple[Row, Mapping[int, Task]]]
    ) -> list[tuple[Row, dict[int, Task]]]:
        """A row for each system of the runs without overrides that no row shows yet."""
        plain = [(row, cells) for row, cells in rows if not row.overrides and not row.unavailable]
        if not plain:
            return []
        shown, cells = {row.system for row, _ in plain}, dict(plain[0][1])
        runs = {identity(task.recipe) for task in cells.values()}
        found = {system for cell, system in self._scores if cell in runs}
        return [(Row(name=system_name(s), system=s), cells) for s in sorted(found - shown)]

    def _metrics(self) -> dict[str, MetricFacts]:
        """The columns: those asked for that apply or that the paper prints, or all that the cells have."""
        there: dict[str, MetricFacts] = {}
        for one in self._every:
            there = {**one.scores.metrics, **there}
        there |= {name: _facts(name) for name, source in MADE_OF.items() if source in there}
        asked = self._plan.definition.metrics
        if asked is None:
            return {n: there[n] for n in in_order(there) if n != "reward" and not n.startswith("reward/")}
        printed = {n for row, *_ in self._rows for n in row.paper.get(self._dataset, {})}
        return {n: there.get(n, _facts(n)) for n in asked if n in there or n in printed or self._applies(n)}

    def _applies(self, name: str) -> bool:
        metric = METRICS.get(MADE_OF.get(name, name))
        return metric is None or self._modality is None or metric.modality in (None, self._modality)

    def _row(
        self,
        row: Row,
        cells: Mapping[int, Task],
        seeds: Mapping[int, SeedScores],
        missing: str,
        metrics: Mapping[str, MetricFacts],
    ) -> RowResult:
        found = figures_of([*seeds.values()]) if seeds else {}
        runs = (task.folder for task in cells.values() if task.folder.is_dir())
        return RowResult(
            group=row.group,
            name=row.name,
            figures={name: found[name] for name in metrics if name in found},
            paper=row.paper.get(self._dataset, {}),
            positives=found.get(POSITIVES),
            missing=missing,
            failed=bool(missing) and not row.unavailable,
            note=row.note,
            folders=tuple(run.relative_to(self._plan.out).as_posix() for run in runs),
        )

    # ---- words -------------------------------------------------------------------------------------------

    def _sample(self) -> str:
        row = next(([*seeds.values()] for _, _, seeds, _ in self._rows if seeds), None)
        if row is None:
            return "nothing was scored"
        of_each = [(one.studies, set(one.patients)) for one in row]
        studies, people = (_span(map(len, all_seeds)) for all_seeds in zip(*of_each, strict=True))
        said = f"{studies} test studies of {people} patients"
        if len(row) > 1:
            said += ", the same for all seeds" if over_seeds(row).crossed else ", each seed its own"
        return f"{said}; {row[0].made}"

    def _notes(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        """Why a column is empty, or has no printed figures."""
        said, datasets = [], self._plan.definition.datasets
        if datasets and not self._dataset:
            said.append(
                f"The paper's figures are of {' and '.join(datasets)}; this recipe stands for neither, so "
                "none stand beside it."
            )
        there = {name for one in self._every for name in one.scores.metrics}
        for name, facts in metrics.items():
            source = MADE_OF.get(name, name)
            if not there or source in there:
                continue
            known = METRICS.get(source)
            why = "evaluation.metrics of the recipe leaves it out"
            if known is not None and not self._applies(name):
                why = f"it is a metric of {known.modality} reports"
            elif known is not None and known.requires:
                why = f"it needs {known.requires}, which the section evaluation of the recipe has to name"
            said.append(f"{facts.label}: not computed; {why}.")
        return said

    def _reasons(self) -> list[str]:
        """What explains the answers to claims."""
        return [f"{claim.says}: {claim.why}" for claim in self._plan.definition.claims if claim.why]

    def _printed_apart(self) -> list[str]:
        """Printed 1/RadCliQ-v1 that do not follow from the printed columns that it is made of."""
        apart = []
        for row, *_ in self._rows:
            paper = row.paper.get(self._dataset, {})
            if not {*_RADCLIQ, INVERSE} <= paper.keys():
                continue
            low, value, high = (_inverse_of(paper, by) for by in (-_ROUNDED, 0.0, _ROUNDED))
            if not low - _ROUNDED <= paper[INVERSE] <= high + _ROUNDED:
                apart.append(f"{row.title} {paper[INVERSE]:g}, recomputed {value:.3f}")
        if not apart:
            return []
        return [
            "1/RadCliQ-v1 follows from the means of RadGraph, BERTScore, SembScore and BLEU-2. These that "
            f"the paper prints do not, beyond rounding: {'; '.join(dict.fromkeys(apart))}."
        ]


def _cells(plan: Plan, place: int, row: Row) -> dict[int, Task]:
    """Seed to the cell of a row; none where it is not run."""
    keys = ((seed, (place, row.title, seed)) for seed in plan.seeds)
    return {seed: plan.cells[key] for seed, key in keys if key in plan.cells}


def _stands_for(data: Data | None, kinds: Sequence[str]) -> bool:
    """Whether a recipe's data are of one of these sources, or, in a table of one's own, modalities."""
    if data is None:
        return False
    return data.source in kinds or (data.source in ("table", "r2gen") and data.modality in kinds)


def _span(counts: Iterable[int]) -> str:
    """Counts of several seeds.

    >>> _span([20, 20]), _span([1400, 1200])
    ('20', '1,200 to 1,400')
    """
    found = sorted(set(counts))
    return " to ".join(f"{count:,}" for count in found[:: max(1, len(found) - 1)])


def _facts(name: str) -> MetricFacts:
    """Of a metric that no cell has."""
    known = METRICS.get(name)
    label = "1/RadCliQ-v1" if name == INVERSE else known.label if known else CORPUS.get(name, name)
    return MetricFacts(label=label, higher_is_better=known.higher_is_better if known else True, reader=None)


def _inverse_of(paper: Mapping[str, float], by: float) -> float:
    """1/RadCliQ-v1 of printed means, each moved by as much."""
    graph, tokens, reports, words = (paper[name] + by for name in _RADCLIQ)
    return float(1 / radcliq(graph, tokens, reports, words))


def _common(ours: Mapping[int, SeedScores], base: Mapping[int, SeedScores]) -> list[int]:
    """The seeds that both have with the same test studies."""
    return [seed for seed in ours if seed in base and ours[seed].studies == base[seed].studies]


def _better(found: Interval | None, facts: MetricFacts) -> Interval | None:
    """A difference turned so that above 0 is better."""
    if found is None or facts.higher_is_better:
        return found
    return Interval(mean=-found.mean, low=-found.high, high=-found.low)


def _minus(
    ours: Mapping[int, SeedScores], base: Mapping[int, SeedScores], metrics: Mapping[str, MetricFacts]
) -> dict[str, Difference]:
    """A row minus another, on the seeds that both have with the same test studies."""
    common = _common(ours, base)
    if all(ours[seed].scores.path == base[seed].scores.path for seed in common):
        return {}
    found = differences_of([ours[seed] for seed in common], [base[seed] for seed in common])
    return {name: found[name] for name in metrics if name in found}
