"""What a finished ablation says: a table per recipe, as every form of it prints and ``table.json`` holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from radflow.evaluation.comparing.comparison import ALPHA
from radflow.evaluation.files.scores import MetricFacts
from radflow.evaluation.intervals import Interval

RESAMPLES, FLIPS = 2_000, 10_000
"""Of the bootstrap and of the sign flips."""
NOT_YET = "not run yet"
"""Why a row has no figures in the tables of what is done so far."""
DECIDE = 3
"""Seeds that it takes to decide a claim: how far two lie apart says next to nothing of how far seeds do."""
METHOD = (
    f"Intervals: 95 %, Student's t over seeds and a bootstrap over patients, {RESAMPLES:,} resamples. p: "
    f"two-sided, {FLIPS:,} random sign flips of whole patients (all flips of few), the seeds as they are; "
    "corrected by Holm's method for all tests of the table. F1s over the corpus have intervals and no p."
)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A row minus the row it is compared with, on the same studies.

    Attributes:
        found: with its interval over seeds and patients.
        p: two-sided; NaN for an F1 over the corpus.
        p_holm: corrected for all tests of the table.
    """

    found: Interval
    p: float = math.nan
    p_holm: float = math.nan

    @property
    def clear(self) -> bool:
        """Whether there is evidence of a difference: an interval without 0, and the corrected p value."""
        return self.found.excludes_zero and not self.p_holm > ALPHA


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """One row of a table.

    Attributes:
        group: it stands under this.
        name: printed first.
        figures: metric to the mean over seeds.
        differences: metric to the difference to the row of ``compare_with``; none for that row itself.
        paper: metric to what the paper prints.
        positives: labels that a report asserts, the mean over reports; ``None`` where none were read.
        missing: why there are no figures, or which seeds they lack; ``""`` where nothing is missing.
        failed: whether something was to run and did not.
        note: of the definition.
        folders: of the runs that are here, from the ablation's folder.
    """

    group: str
    name: str
    figures: Mapping[str, Interval] = field(default_factory=dict)
    differences: Mapping[str, Difference] = field(default_factory=dict)
    paper: Mapping[str, float] = field(default_factory=dict)
    positives: Interval | None = None
    missing: str = ""
    failed: bool = False
    note: str = ""
    folders: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The name with its group."""
        return f"{self.group}: {self.name}" if self.group else self.name


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the seeds say of a claim, by one metric.

    Attributes:
        says: the claim.
        row: title of the row that is said to be better.
        than: title of the other row.
        metric: its name in files.
        label: the metric as printed.
        studies: ``all`` or ``critical``.
        found: row minus than, turned so that above 0 is better, with its interval over seeds and patients;
            ``None`` where a row is missing.
        seeds: that both rows have.
    """

    says: str
    row: str
    than: str
    metric: str
    label: str
    studies: str
    found: Interval | None
    seeds: tuple[int, ...]

    @property
    def verdict(self) -> str:
        """``holds`` or ``fails`` where the interval lies above or below 0, ``undecided`` where it holds 0.

        Fewer than three seeds decide nothing.
        """
        if self.found is None:
            return "not run"
        if len(self.seeds) < DECIDE or not self.found.excludes_zero:
            return "undecided"
        return "holds" if self.found.mean > 0 else "fails"


@dataclass(frozen=True, kw_only=True)
class TableResult:
    """The table of one recipe.

    Attributes:
        label: of the recipe.
        dataset: what the paper calls the data set that it stands for; ``""`` where it is none of the paper's.
        metrics: the columns, in order, with what stands behind each.
        compared: title of the row that the others are compared with.
        rows: in order.
        sample: how many studies and patients, and which images, in words.
        notes: what must be known of the figures.
        answers: to the claims of the definition, one per metric.
        positives: labels that a reference asserts, the mean over references; ``None`` where none were read.
    """

    label: str
    dataset: str
    metrics: Mapping[str, MetricFacts]
    compared: str
    rows: tuple[RowResult, ...]
    answers: tuple[Answer, ...] = ()
    positives: float | None = None
    sample: str
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AblationResult:
    """All tables of an ablation, with what was asked."""

    title: str
    about: str
    seeds: tuple[int, ...]
    tables: tuple[TableResult, ...]
    notes: tuple[str, ...]

    @property
    def failed(self) -> int:
        """Rows that were to run and did not, or not with every seed."""
        return sum(row.failed for table in self.tables for row in table.rows)


def as_json(result: AblationResult) -> dict[str, Any]:
    """The content of ``table.json``; a figure that is not known is null."""
    return {
        "title": result.title,
        "about": result.about,
        "seeds": list(result.seeds),
        "notes": list(result.notes),
        "method": METHOD,
        "tables": [_table(table) for table in result.tables],
    }


def _table(table: TableResult) -> dict[str, Any]:
    return {
        "recipe": table.label,
        "dataset": table.dataset,
        "sample": table.sample,
        "compared_with": table.compared,
        "positives_of_references": None if table.positives is None else _known(table.positives),
        "metrics": {
            name: {"label": facts.label, "higher_is_better": facts.higher_is_better}
            for name, facts in table.metrics.items()
        },
        "rows": [_row(row) for row in table.rows],
        "claims": [_answer(answer) for answer in table.answers],
        "notes": list(table.notes),
    }


def _row(row: RowResult) -> dict[str, Any]:
    differences = {
        name: _ends(one.found) | {"p": _known(one.p), "p_holm": _known(one.p_holm)}
        for name, one in row.differences.items()
    }
    return {
        "group": row.group,
        "name": row.name,
        "figures": {name: _ends(found) for name, found in row.figures.items()},
        "differences": differences,
        "positives": None if row.positives is None else _ends(row.positives),
        "paper": dict(row.paper),
        "missing": row.missing,
        "failed": row.failed,
        "note": row.note,
        "folders": list(row.folders),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "says": answer.says,
        "row": answer.row,
        "than": answer.than,
        "metric": answer.metric,
        "studies": answer.studies,
        "verdict": answer.verdict,
        "difference": _ends(answer.found) if answer.found else None,
        "seeds": list(answer.seeds),
    }


def _ends(found: Interval) -> dict[str, float | None]:
    return {"mean": _known(found.mean), "low": _known(found.low), "high": _known(found.high)}


def _known(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def all_notes(result: AblationResult, table: TableResult) -> tuple[str, ...]:
    """What stands below a table, in order: how it was made, then of the table, the ablation and its rows."""
    own = [f"{row.name}: {row.note}" for row in table.rows if row.note]
    partly = [f"{row.title}: {row.missing}" for row in table.rows if row.missing and row.figures]
    return (METHOD, *table.notes, *result.notes, *own, *partly)
