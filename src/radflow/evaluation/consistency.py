"""Cross-sectional consistency of a system's reports: how often the Impression follows from the Findings.

The paper makes it a reward (Section 4.2); no benchmark of generated reports prints it. It reads
one report alone: it needs no reference, and a report may be consistent and wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from radflow import judges
from radflow.errors import RewardError
from radflow.evaluation.intervals import Interval
from radflow.judges import Judge
from radflow.judges.agreement import wilson
from radflow.reports import parse_report


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """How consistent one system's reports are with themselves.

    Attributes:
        label: with the judge's name, ``consistency (rules)``.
        share: of the judged reports that are consistent, with its 95% Wilson interval; NaN when none was.
        judged: reports with both sections.
        skipped: reports that lack one, which are not judged.
    """

    label: str
    share: Interval
    judged: int
    skipped: int


def consistency_rate(texts: Sequence[str], judge: Judge | None = None) -> Float[np.ndarray, " N"]:
    """Return 1 for each report whose Impression follows from its Findings, 0 where it does not.

    A report in which one of the sections cannot be found says nothing either way and is NaN. (The reward of
    the same question gives such a report -1 instead, so that a policy cannot gain by dropping a section.)

    Args:
        texts: whole reports.
        judge: asked once about all reports with both sections; the rule judge when not given.

    Raises:
        RewardError: the judge failed, or did not answer every question.

    >>> consistency_rate([
    ...     "Findings: Small left pleural effusion. Impression: Left pleural effusion.",
    ...     "Findings: No pleural effusion. Impression: Left pleural effusion.",
    ...     "No sections at all.",
    ... ]).tolist()
    [1.0, 0.0, nan]
    """
    judge = judges.load("rules") if judge is None else judge
    reports = [parse_report(text) for text in texts]
    pairs = {i: (r.findings, r.impression) for i, r in enumerate(reports) if r.findings and r.impression}
    answers = judge(list(pairs.values())) if pairs else []
    if len(answers) != len(pairs):
        raise RewardError(f"judge {judge.name!r}: expected {len(pairs)} answers, got {len(answers)}")
    rate = np.full(len(texts), np.nan)
    rate[list(pairs)] = np.asarray(answers, dtype=np.float64)
    return rate


def summarise_consistency(rate: Float[np.ndarray, " N"], judge_name: str = "rules") -> Consistency:
    """Summarise what :func:`consistency_rate` gave.

    >>> found = summarise_consistency(np.array([1.0, 0.0, 1.0, 1.0, np.nan]))
    >>> found.label, found.share.mean, found.judged, found.skipped
    ('consistency (rules)', 0.75, 4, 1)
    """
    known = rate[~np.isnan(rate)]
    return Consistency(
        label=f"consistency ({judge_name})",
        share=wilson_interval(int(known.sum()), len(known))
        if len(known)
        else Interval(mean=math.nan, low=math.nan, high=math.nan),
        judged=len(known),
        skipped=len(rate) - len(known),
    )


def wilson_interval(successes: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """Share of successes with its score interval; see :func:`radflow.judges.agreement.wilson`.

    Raises:
        DataError: no trial, or successes outside 0 to trials.

    >>> interval = wilson_interval(10, 10)
    >>> interval.mean, round(interval.low, 3), interval.high
    (1.0, 0.722, 1.0)
    """
    share = wilson(successes, trials, confidence=confidence)
    return Interval(mean=share.value, low=share.low, high=share.high)
