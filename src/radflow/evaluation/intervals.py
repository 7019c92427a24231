"""Confidence intervals by the bootstrap, of one system and of the difference of two.

The unit of resampling is the study, or the patient where studies of one patient are not independent. A value
that is NaN was skipped (no Impression section, say): it is left out, never counted as 0.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from pydantic import BeforeValidator

from radflow.errors import DataError

Array = np.ndarray
Name = TypeVar("Name", bound=Hashable)

# Indices drawn at a time: bounds memory (32 MB of int64) whatever the number of studies.
_DRAWN_AT_ONCE = 4_000_000


Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""As files hold it: ``null`` is not known, and read as NaN."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with the two ends of its confidence interval; NaN where an end is not known."""

    mean: Number
    low: Number = math.nan
    high: Number = math.nan

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0. False where an end is not known.

        >>> Interval(mean=0.1, low=0.05, high=0.15).excludes_zero
        True
        >>> Interval(mean=0.1).excludes_zero
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
    """Mean and percentile-bootstrap interval (Efron 1979) of one column; see :func:`bootstrap_intervals`.

    Raises:
        DataError: as there, and no value but NaN.

    >>> interval = bootstrap_interval([0.0, 1.0] * 200)
    >>> interval.mean, round(interval.low, 2), round(interval.high, 2)
    (0.5, 0.45, 0.55)
    """
    found = bootstrap_intervals(
        {"": values}, clusters=clusters, resamples=resamples, seed=seed, confidence=confidence
    )
    if not found:
        raise DataError(
            f"Expected at least one value that is not NaN, got {np.size(values)} values and none."
        )
    return found[""]


def bootstrap_intervals(
    columns: Mapping[Name, ArrayLike],
    *,
    clusters: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[Name, Interval]:
    """Mean and percentile-bootstrap interval (Efron 1979) of each column that holds a value.

    Args:
        columns: name to (N,), one number per study; NaN is skipped.
        clusters: what each study belongs to (its patient). Given, whole clusters are resampled, and each
            resample's mean is over its studies. Without it studies are resampled.
        resamples: how many resamples.
        seed: of the draw. Equal seeds on equally many units draw the same units, so systems are comparable.
        confidence: share of the resampled means inside the interval, in (0, 1).

    Raises:
        DataError: an infinite value, lengths that differ, or a setting out of range.

    >>> nothing = [float("nan")] * 2
    >>> list(bootstrap_intervals({"bleu2": [0.2, 0.4], "skipped": nothing}))
    ['bleu2']
    """
    check_settings(resamples, confidence)
    totals = {name: _known(*unit_totals(values, clusters)) for name, values in columns.items()}
    tail = 100 * (1 - confidence) / 2
    # Columns that are known for equally many units share one draw.
    alike: dict[int, list[Name]] = {}
    for name, (sums, _) in totals.items():
        alike.setdefault(len(sums), []).append(name)
    found = {}
    for size, names in alike.items():
        if size:
            means = _resampled_means([totals[name] for name in names], resamples, seed)
            for name, drawn in zip(names, means, strict=True):
                low, high = np.percentile(drawn, [tail, 100 - tail])
                sums, counts = totals[name]
                mean = float(sums.sum() / counts.sum())
                found[name] = Interval(mean=mean, low=float(low), high=float(high))
    return {name: found[name] for name in columns if name in found}


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Mean of ``first - second`` over the studies that both have a number of, with its bootstrap interval.

    Args:
        first: (N,), one system's number for each study; NaN is skipped.
        second: (N,), the other system's numbers for the same studies, in the same order.
        clusters, resamples, seed, confidence: as in :func:`bootstrap_intervals`.

    Raises:
        DataError: the lengths differ, or no study was scored by both.

    >>> round(paired_difference([0.5, 0.7, float("nan")], [0.4, 0.6, 0.9]).mean, 6)
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


def check_settings(resamples: int, confidence: float) -> None:
    """Raise a `DataError` where a setting is out of range."""
    if not 0 < confidence < 1 or resamples < 1:
        raise DataError(
            f"Expected confidence in (0, 1) and at least one resample, got {confidence} and {resamples}."
        )


def unit_totals(
    values: ArrayLike, clusters: Sequence[Hashable] | None
) -> tuple[Float[Array, " U"], Float[Array, " U"]]:
    """Sum and count of the known values in each unit of resampling, in order of first appearance.

    Raises:
        DataError: lengths that differ, or an infinite value.

    >>> sums, counts = unit_totals([1.0, 2.0, float("nan"), 4.0], ["p1", "p2", "p3", "p1"])
    >>> sums.tolist(), counts.tolist()
    ([5.0, 2.0, 0.0], [2.0, 1.0, 0.0])
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1:
        raise DataError(f"Expected one number per study, got an array of shape {numbers.shape}.")
    if np.isinf(numbers).any():
        raise DataError(
            f"Expected finite values, got infinity at position {int(np.isinf(numbers).argmax())}."
        )
    known = ~np.isnan(numbers)
    values = np.where(known, numbers, 0.0)
    if clusters is None:
        return values, known.astype(np.float64)
    member = unit_of_study(clusters, numbers.size)
    return np.bincount(member, weights=values), np.bincount(member, weights=known)


def unit_of_study(clusters: Sequence[Hashable] | None, size: int) -> Int[Array, " N"]:
    """Number of the unit that each study belongs to, in order of first appearance.

    Raises:
        DataError: not one cluster per study.

    >>> unit_of_study(["p1", "p2", "p1"], 3).tolist(), unit_of_study(None, 3).tolist()
    ([0, 1, 0], [0, 1, 2])
    """
    if clusters is None:
        return np.arange(size)
    if len(clusters) != size:
        raise DataError(f"Expected one cluster per study, got {len(clusters)} for {size} studies.")
    index: dict[Hashable, int] = {}
    return np.array([index.setdefault(cluster, len(index)) for cluster in clusters], dtype=np.int64)


def drawn_units(units: int, resamples: int, seed: int) -> Iterator[Int[Array, "R U"]]:
    """The units of each resample, some at a time. Equal seeds on equally many units draw the same."""
    generator = np.random.default_rng(seed)
    rows = max(1, _DRAWN_AT_ONCE // units)
    for start in range(0, resamples, rows):
        yield generator.integers(0, units, size=(min(rows, resamples - start), units))


def _known(sums: Float[Array, " U"], counts: Float[Array, " U"]) -> tuple[Array, Array]:
    return sums[counts > 0], counts[counts > 0]


def _resampled_means(
    totals: Sequence[tuple[Float[Array, " U"], Float[Array, " U"]]], resamples: int, seed: int
) -> Float[Array, "M R"]:
    """The mean of each column in each resample; all columns have the same number of units."""
    blocks = []
    for drawn in drawn_units(len(totals[0][0]), resamples, seed):
        means = np.empty((len(totals), len(drawn)))
        studies: dict[bytes, Array] = {}  # of each resample; most columns know the same studies
        for column, (sums, counts) in enumerate(totals):
            key = counts.tobytes()
            if key not in studies:
                studies[key] = counts[drawn].sum(axis=1)
            means[column] = sums[drawn].sum(axis=1) / studies[key]
        blocks.append(means)
    return np.concatenate(blocks, axis=1)
