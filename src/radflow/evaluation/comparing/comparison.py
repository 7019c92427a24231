"""Two systems scored on the same studies: which is better, by how much, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from radflow.evaluation.comparing.corpus_tests import CorpusTests, corpus_tests
from radflow.evaluation.comparing.matching import match
from radflow.evaluation.comparing.sign_flips import PairedTests, holm, paired_tests
from radflow.evaluation.corpus import COUNTS
from radflow.evaluation.files.scores import MetricFacts, SystemScores
from radflow.evaluation.intervals import Interval
from radflow.metrics.naming import CORPUS

ALPHA = 0.05
"""A system is called better where its adjusted p value is at most this."""

_ROUNDING = 1e-9  # a spread below this share of the difference is rounding: the difference is constant


@dataclass(frozen=True, kw_only=True)
class ComparedMetric:
    """What one metric says about A and B, over the studies where both have a number.

    Attributes:
        name: in files and on the command line.
        label: as printed, with the model behind the number.
        higher_is_better: the direction.
        pairs: studies with both numbers.
        dropped: common studies left out because a number is missing.
        mean_a: mean of A over the pairs, or its F1 over the corpus of all pairs.
        mean_b: of B.
        difference: B - A with its 95% bootstrap interval; ends are NaN below two units.
        spread: standard deviation of the pairs' differences; of an F1 over the corpus what stands for it
            (`radflow.evaluation.comparing.corpus_tests`).
        p: two-sided p value of no difference.
        p_holm: the same, corrected for the number of metrics.
    """

    name: str
    label: str
    higher_is_better: bool
    pairs: int
    dropped: int
    mean_a: float
    mean_b: float
    difference: Interval
    spread: float
    p: float
    p_holm: float

    @property
    def better(self) -> Literal["A", "B"] | None:
        """The better system, or ``None`` without evidence.

        Evidence is an adjusted p value of at most :data:`ALPHA` and an interval without 0.
        """
        if not (self.p_holm <= ALPHA and self.difference.excludes_zero):
            return None
        return "B" if (self.difference.mean > 0) == self.higher_is_better else "A"

    @property
    def standardised(self) -> Interval:
        """The difference in units of its spread (Cohen's d of paired data), above 0 where B is better.

        NaN where all differences are equal, so that there is no such unit.
        """
        sign = 1.0 if self.higher_is_better else -1.0
        varies = self.spread > _ROUNDING * abs(self.difference.mean)
        unit = sign / self.spread if varies else math.nan
        ends = sorted((self.difference.low * unit, self.difference.high * unit))
        return Interval(mean=self.difference.mean * unit, low=ends[0], high=ends[1])


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A and B over all metrics that both have.

    Attributes:
        a: name of the first system.
        b: name of the second; differences are B - A.
        studies: how many studies both scored.
        patients: how many patients they are of, or ``None`` where not known.
        resamples: of bootstrap and sign flips.
        exact: whether every sign flip was enumerated.
        seed: of both.
        metrics: one row per metric.
        warnings: what does not pair, and what a reader must know before trusting the table.
        positives: observations asserted per report, of ``a``, ``b`` and the ``reference``; empty where not
            known.
    """

    a: str
    b: str
    studies: int
    patients: int | None
    resamples: int
    exact: bool
    seed: int
    metrics: tuple[ComparedMetric, ...]
    warnings: tuple[str, ...]
    positives: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """The table in one sentence, counted from its last column."""
        won = {side: sum(row.better == side for row in self.metrics) for side in ("A", "B", None)}
        return (
            f"{self.b} is better than {self.a} on {won['B']} of {len(self.metrics)} metrics, worse on "
            f"{won['A']}; no evidence either way on {won[None]}."
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON: NaN is ``None``."""
        rows = {row.name: _row_dict(row) for row in self.metrics}
        said = asdict(self) | {"alpha": ALPHA, "verdict": self.verdict}
        return said | {"warnings": list(self.warnings), "metrics": rows}


def compare(
    a: SystemScores,
    b: SystemScores,
    metrics: Sequence[str] | None = None,
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two systems study by study, resampling and flipping whole patients where they are known.

    Args:
        a: the first system.
        b: the second.
        metrics: which; all that both have when not given.
        resamples: of the bootstrap and the sign flips.
        seed: of both.

    Raises:
        DataError: fewer than two common studies, no common metric, a metric that is unknown or of one side
            only, a patient who differs, or different models, tracks or modalities behind the same metric.
    """
    matched = match(a, b, metrics)
    ours, theirs = matched.first, matched.second
    tests = paired_tests(theirs - ours, matched.units, resamples=resamples, seed=seed)
    corpus = None
    if matched.counts is not None:
        corpus = corpus_tests(*matched.counts, matched.units, resamples=resamples, seed=seed)
        p = tests.p.copy()
        for at, name in enumerate(CORPUS):
            if name in matched.metrics:
                p[matched.metrics.index(name)] = corpus.p[at]
        tests = replace(tests, p=p, p_holm=holm(p))
    rows = tuple(
        _row(name, a.metrics[name], ours[:, i], theirs[:, i], tests, i)
        if corpus is None or name not in CORPUS
        else _corpus_row(name, a.metrics[name], len(matched.studies), corpus, float(tests.p_holm[i]))
        for i, name in enumerate(matched.metrics)
    )
    same = a.system == b.system
    return Comparison(
        a=f"{a.system} (A)" if same else a.system,
        b=f"{b.system} (B)" if same else b.system,
        studies=len(matched.studies),
        patients=len(set(matched.units)) if matched.by_patient else None,
        resamples=resamples,
        exact=tests.exact,
        seed=seed,
        metrics=rows,
        warnings=(*matched.warnings, *_caveats(rows, tests)),
        positives={} if matched.counts is None else _positives(*matched.counts),
    )


def _positives(first: Float[np.ndarray, "N C K"], second: Float[np.ndarray, "N C K"]) -> dict[str, float]:
    """Observations that a report asserts, on average."""
    said = {"a": (first, "written"), "b": (second, "written"), "reference": (first, "support")}
    return {
        whose: float(counts[:, COUNTS.index(which)].sum() / len(counts))
        for whose, (counts, which) in said.items()
    }


def _corpus_row(
    name: str, metric: MetricFacts, studies: int, tests: CorpusTests, p_holm: float
) -> ComparedMetric:
    at = list(CORPUS).index(name)
    nothing = Interval(mean=math.nan)
    found = tests.difference.intervals().get(name, nothing)
    return ComparedMetric(
        name=name,
        label=metric.label,
        higher_is_better=metric.higher_is_better,
        pairs=studies if found is not nothing else 0,
        dropped=0,
        mean_a=float(tests.first[at]),
        mean_b=float(tests.second[at]),
        difference=found if tests.units > 1 else Interval(mean=found.mean),
        spread=float(tests.spread[at]),
        p=float(tests.p[at]),
        p_holm=p_holm,
    )


def _row(
    name: str,
    metric: MetricFacts,
    ours: Float[np.ndarray, " N"],
    theirs: Float[np.ndarray, " N"],
    tests: PairedTests,
    at: int,
) -> ComparedMetric:
    """One metric's row: means and spread over the studies that both scored, and its column of the tests."""
    known = ~np.isnan(theirs - ours)
    pairs = int(known.sum())
    first, second = ours[known], theirs[known]
    return ComparedMetric(
        name=name,
        label=metric.label,
        higher_is_better=metric.higher_is_better,
        pairs=pairs,
        dropped=len(known) - pairs,
        mean_a=float(first.mean()) if pairs else math.nan,
        mean_b=float(second.mean()) if pairs else math.nan,
        difference=Interval(
            mean=float(tests.difference[at]), low=float(tests.low[at]), high=float(tests.high[at])
        ),
        spread=float(np.std(second - first, ddof=1)) if pairs > 1 else math.nan,
        p=float(tests.p[at]),
        p_holm=float(tests.p_holm[at]),
    )


def _caveats(rows: Sequence[ComparedMetric], tests: PairedTests) -> list[str]:
    """What a reader must know before trusting the table."""
    said = []
    units = int(tests.clusters.max())
    if units and 2 ** (1 - units) > ALPHA:
        said.append(
            f"{units} independent units: no p value can be below {2 ** (1 - units):.3g}, whatever the scores"
        )
    if all(row.difference.mean == row.spread == 0 for row in rows):
        said.append("both systems have the same number on every study: are they the same reports?")
    said += [f"{row.label}: no study has a number of both systems" for row in rows if not row.pairs]
    said += [
        f"{row.label}: {row.dropped:,} of {row.pairs + row.dropped:,} pairs dropped, a number is missing"
        for row in rows
        if row.pairs and row.dropped
    ]
    return said


def _row_dict(row: ComparedMetric) -> dict[str, Any]:
    figures = {
        "label": row.label,
        "higher_is_better": row.higher_is_better,
        "pairs": row.pairs,
        "dropped": row.dropped,
        "mean_a": row.mean_a,
        "mean_b": row.mean_b,
        "difference": row.difference.mean,
        "low": row.difference.low,
        "high": row.difference.high,
        "spread": row.spread,
        "p": row.p,
        "p_holm": row.p_holm,
        "better": row.better,
    }
    return {key: None if value != value else value for key, value in figures.items()}  # NaN is not itself
