"""Confidence intervals by the bootstrap, and the paired difference of two systems.

The unit of resampling is the study, or the patient where studies of one patient are not independent. A value
that is NaN was skipped (no Impression section, say): it is left out, never counted as 0.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from radflow.errors import DataError

# Indices drawn at a time: bounds memory (32 MB of int64) whatever the number of studies.
_DRAWN_AT_ONCE = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with the two ends of its confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0.

        >>> Interval(mean=0.1, low=0.05, high=0.15).excludes_zero
        True
        >>> Interval(mean=0.1, low=-0.05, high=0.25).excludes_zero
        False
        """
        return self.low > 0 or self.high < 0


def bootstrap_interval(
    values: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Mean and percentile-bootstrap interval (Efron 1979).

    Args:
        values: (N,), one number per study; NaN is skipped.
        clusters: what each study belongs to (its patient). Given, whole clusters are resampled, and each
            resample's mean is over its studies. Without it studies are resampled.
        resamples: how many resamples.
        seed: of the draw. Equal seeds on equally many units draw the same units, so systems are comparable.
        confidence: share of the resampled means inside the interval, in (0, 1).

    Raises:
        DataError: no value but NaN, an infinite value, lengths that differ, or a setting out of range.

    >>> interval = bootstrap_interval([0.0, 1.0] * 200)
    >>> interval.mean, round(interval.low, 2), round(interval.high, 2)
    (0.5, 0.45, 0.55)
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise DataError(
            f"Expected confidence in (0, 1) and at least one resample, got {confidence} and {resamples}."
        )
    sums, counts = _units(values, clusters)
    means = np.sort(_resampled_means(sums, counts, resamples, seed))
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(mean=float(sums.sum() / counts.sum()), low=float(low), high=float(high))


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Mean of ``first - second`` over the studies that both scored, with its bootstrap interval.

    Args:
        first: (N,), one system's number for each study; NaN is skipped.
        second: (N,), the other system's numbers for the same studies, in the same order.
        clusters: as in :func:`bootstrap_interval`.
        resamples: as there.
        seed: as there.
        confidence: as there.

    Raises:
        DataError: the lengths differ, or no study was scored by both.

    >>> paired_difference([0.5, 0.7, float("nan")], [0.4, 0.6, 0.9]).mean.__round__(6)
    0.1
    """
    ours, theirs = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if ours.shape != theirs.shape:
        raise DataError(
            f"Expected the same studies in the same order, got {ours.size} and {theirs.size} values."
        )
    return bootstrap_interval(
        ours - theirs, clusters=clusters, resamples=resamples, seed=seed, confidence=confidence
    )


def _units(values: ArrayLike, clusters: Sequence[Hashable] | None) -> tuple[np.ndarray, np.ndarray]:
    """Sum and count of the known values in each unit of resampling that has any."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1:
        raise DataError(f"Expected one number per study, got an array of shape {numbers.shape}.")
    if np.isinf(numbers).any():
        raise DataError(
            f"Expected finite values, got infinity at position {int(np.isinf(numbers).argmax())}."
        )
    known = ~np.isnan(numbers)
    if not known.any():
        raise DataError(f"Expected at least one value that is not NaN, got {numbers.size} values and none.")
    if clusters is None:
        return numbers[known], np.ones(int(known.sum()))
    if len(clusters) != numbers.size:
        raise DataError(f"Expected one cluster per study, got {len(clusters)} for {numbers.size} values.")
    index: dict[Hashable, int] = {}
    member = np.array([index.setdefault(cluster, len(index)) for cluster in clusters])
    sums = np.bincount(member, weights=np.where(known, numbers, 0.0))
    counts = np.bincount(member, weights=known)
    return sums[counts > 0], counts[counts > 0]


def _resampled_means(sums: np.ndarray, counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    size = len(sums)
    rows = max(1, _DRAWN_AT_ONCE // size)
    means = np.empty(resamples)
    for start in range(0, resamples, rows):
        stop = min(start + rows, resamples)
        drawn = generator.integers(0, size, size=(stop - start, size))
        means[start:stop] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return means
