"""A system's scorecard: one number per study for each metric, and the summary with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from radflow.errors import DataError
from radflow.evaluation.intervals import Interval, bootstrap_interval, paired_difference


@dataclass(frozen=True, kw_only=True)
class Scorecard:
    """What one system scored on the studies of a split.

    Attributes:
        system: its name in tables.
        study_ids: the studies, in the order of every array.
        patient_ids: the patient of each study, the unit of resampling.
        per_case: metric to float64 array (N,), NaN where the term was skipped for a study.
        summary: metric to mean with 95% interval. A metric that was skipped for every study is not in it.
    """

    system: str
    study_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    per_case: Mapping[str, Float[np.ndarray, " N"]]
    summary: Mapping[str, Interval]


def make_scorecard(
    system: str,
    study_ids: Sequence[str],
    patient_ids: Sequence[str],
    values: Mapping[str, ArrayLike],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Scorecard:
    """Summarise per-study values, resampling patients.

    Args:
        system: its name in tables.
        study_ids: N studies.
        patient_ids: the patient of each.
        values: metric to one number per study; NaN is skipped.
        resamples: of the bootstrap.
        seed: of the bootstrap; give every system of a table the same.

    Raises:
        DataError: no studies, a study twice, lengths that differ, or an infinite value.

    >>> card = make_scorecard("SFT", ["s1", "s2"], ["p1", "p2"], {"bleu2": [0.2, 0.4]})
    >>> round(card.summary["bleu2"].mean, 3)
    0.3
    """
    if not study_ids:
        raise DataError(f"{system}: expected at least one study to score, got none.")
    if len(set(study_ids)) != len(study_ids):
        twice = next(study for study in study_ids if list(study_ids).count(study) > 1)
        raise DataError(f"{system}: expected each study once, got {twice!r} more than once.")
    per_case = {name: np.asarray(numbers, dtype=np.float64) for name, numbers in values.items()}
    for name, numbers in {**per_case, "patient_ids": np.asarray(patient_ids)}.items():
        if numbers.shape != (len(study_ids),):
            raise DataError(
                f"{system}: expected {len(study_ids)} values of {name}, one per study; got shape "
                f"{numbers.shape}."
            )
    summary = {
        name: bootstrap_interval(numbers, clusters=patient_ids, resamples=resamples, seed=seed)
        for name, numbers in per_case.items()
        if not np.isnan(numbers).all()
    }
    return Scorecard(
        system=system,
        study_ids=tuple(study_ids),
        patient_ids=tuple(patient_ids),
        per_case=per_case,
        summary=summary,
    )


def gain(
    system: Scorecard, baseline: Scorecard, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Paired difference ``system - baseline`` of every metric both have, resampling patients.

    Raises:
        DataError: the two were not scored on the same studies in the same order.

    >>> sft = make_scorecard("SFT", ["s1", "s2"], ["p1", "p2"], {"bleu2": [0.2, 0.4]})
    >>> tuned = make_scorecard("RadFlow", ["s1", "s2"], ["p1", "p2"], {"bleu2": [0.3, 0.5]})
    >>> round(gain(tuned, sft)["bleu2"].low, 3)
    0.1
    """
    if system.study_ids != baseline.study_ids:
        raise DataError(
            f"Expected {system.system} and {baseline.system} to be scored on the same studies in the same "
            f"order, got {len(system.study_ids)} and {len(baseline.study_ids)} studies that do not match."
        )
    differences = {}
    for name, ours in system.per_case.items():
        theirs = baseline.per_case.get(name)
        if theirs is not None and not np.isnan(ours - theirs).all():
            differences[name] = paired_difference(
                ours, theirs, clusters=system.patient_ids, resamples=resamples, seed=seed
            )
    return differences
