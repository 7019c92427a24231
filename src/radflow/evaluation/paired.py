"""Paired tests of two systems on many metrics at once: intervals, sign-flip p values, Holm's correction.

The unit is the study, or the patient where studies of one patient are not independent. Under the hypothesis
of no difference the two systems' names could be swapped within any unit, which flips the sign of its
difference (Good 2005, *Permutation, Parametric and Bootstrap Tests of Hypotheses*, 3rd ed., chapter 3). All
metrics share the same flips and the same resamples, so a block of them is one matrix product.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from radflow.errors import DataError

Array = np.ndarray

EXACT_CLUSTERS = 14
"""Up to this many units all 2^n sign flips are enumerated (16,384) instead of drawn."""

# Entries of a block of flips or resamples: bounds memory (16 MB of float64) whatever the number of studies.
_BLOCK = 2_000_000
# Sums that differ by no more than rounding are ties, as a share of the greatest sum there could be.
_TIE = 1e-12


@dataclass(frozen=True, kw_only=True)
class PairedTests:
    """What M metrics say about two systems; NaN where too little is known.

    Attributes:
        difference: (M,) mean of the differences.
        low: (M,) lower end of the bootstrap interval.
        high: (M,) upper end.
        p: (M,) two-sided p value of no difference.
        p_holm: (M,) the same after Holm's correction over the metrics.
        clusters: (M,) units with at least one known difference.
        exact: whether every sign flip was enumerated.
    """

    difference: Float[Array, " M"]
    low: Float[Array, " M"]
    high: Float[Array, " M"]
    p: Float[Array, " M"]
    p_holm: Float[Array, " M"]
    clusters: Int[Array, " M"]
    exact: bool


def paired_tests(
    differences: Float[Array, "N M"],
    clusters: Sequence[Hashable] | None = None,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> PairedTests:
    """Test each column of differences against 0.

    Args:
        differences: one row per study, one column per metric; NaN is left out of its column alone.
        clusters: what each study belongs to (its patient); every study is its own unit when not given.
        resamples: of the bootstrap, and of the sign flips where they are not enumerated.
        seed: of both draws.
        confidence: of the intervals, in (0, 1).

    Raises:
        DataError: no studies, lengths that differ, an infinite value, or a setting out of range.

    >>> tests = paired_tests(np.array([[0.1], [0.2], [0.3], [0.2]]))
    >>> round(float(tests.difference[0]), 3), float(tests.p[0]), tests.exact
    (0.2, 0.125, True)
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise DataError(
            f"Expected confidence in (0, 1) and at least one resample, got {confidence} and {resamples}."
        )
    sums, counts = cluster_totals(differences, clusters)
    known = (counts > 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = sums.sum(axis=0) / counts.sum(axis=0)
    low, high = bootstrap_ends(sums, counts, resamples=resamples, seed=seed, confidence=confidence)
    p = np.where(known > 0, sign_flip_p(sums, resamples=resamples, seed=seed), np.nan)
    return PairedTests(
        difference=mean,
        low=low,
        high=high,
        p=p,
        p_holm=holm(p),
        clusters=known,
        exact=len(sums) <= EXACT_CLUSTERS,
    )


def cluster_totals(
    differences: Float[Array, "N M"], clusters: Sequence[Hashable] | None = None
) -> tuple[Float[Array, "C M"], Float[Array, "C M"]]:
    """Sum and count of the known differences of every unit, in order of first appearance.

    Raises:
        DataError: no studies, lengths that differ, or an infinite value.

    >>> sums, counts = cluster_totals(np.array([[1.0], [2.0], [np.nan]]), ["p1", "p2", "p1"])
    >>> sums.tolist(), counts.tolist()
    ([[1.0], [2.0]], [[1.0], [1.0]])
    """
    studies = len(differences)
    if not studies:
        raise DataError("Expected at least one study that both systems scored, got none.")
    if np.isinf(differences).any():
        raise DataError("Expected finite differences, got infinity; a score is not a number.")
    if clusters is None:
        clusters = range(studies)
    if len(clusters) != studies:
        raise DataError(f"Expected one cluster per study, got {len(clusters)} for {studies} studies.")
    index: dict[Hashable, int] = {}
    member = np.array([index.setdefault(cluster, len(index)) for cluster in clusters])
    known = ~np.isnan(differences)

    def totals(columns: Float[Array, "N M"]) -> Float[Array, "C M"]:
        made = np.zeros((len(index), columns.shape[1]))
        np.add.at(made, member, columns)
        return made

    return totals(np.where(known, differences, 0.0)), totals(known.astype(np.float64))


def sign_flip_p(sums: Float[Array, "C M"], *, resamples: int = 10_000, seed: int = 0) -> Float[Array, " M"]:
    """Two-sided p value of no difference, by flipping the signs of whole units.

    With at most :data:`EXACT_CLUSTERS` units the share of all flips whose sum is at least as far from 0 as
    the one observed. With more, flips are drawn, and p = (1 + those) / (1 + resamples): a p value of 0 would
    claim more than was looked at (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585).

    >>> sign_flip_p(np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])).tolist()
    [0.25, 1.0]
    """
    units = len(sums)
    observed = np.abs(sums.sum(axis=0)) - _TIE * np.abs(sums).sum(axis=0)
    exact = units <= EXACT_CLUSTERS
    blocks = [_every_flip(units)] if exact else _drawn_flips(units, resamples, seed)
    reached = np.zeros(sums.shape[1])
    for flips in blocks:
        reached += (np.abs(flips @ sums) >= observed).sum(axis=0)
    return reached / 2**units if exact else (1 + reached) / (1 + resamples)


def bootstrap_ends(
    sums: Float[Array, "C M"],
    counts: Float[Array, "C M"],
    *,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[Float[Array, " M"], Float[Array, " M"]]:
    """Percentile-bootstrap interval of each mean (Efron & Tibshirani 1993, chapter 13), resampling units.

    A resample in which a metric is known nowhere says nothing of it and is left out. Below two units with a
    known value there is no interval, and both ends are NaN.
    """
    units, metrics = sums.shape
    means = np.empty((resamples, metrics))
    generator = np.random.default_rng(seed)
    for part, size in _parts(resamples, units):
        weights = _drawn_weights(generator, size, units)
        with np.errstate(invalid="ignore"):
            means[part] = (weights @ sums) / (weights @ counts)
    tail = 100 * (1 - confidence) / 2
    ends = np.full((2, metrics), np.nan)
    for metric in np.flatnonzero((counts > 0).sum(axis=0) >= 2):
        known: Bool[Array, " R"] = ~np.isnan(means[:, metric])
        ends[:, metric] = np.percentile(means[known, metric], [tail, 100 - tail])
    return ends[0], ends[1]


def holm(p: Float[Array, " M"]) -> Float[Array, " M"]:
    """Adjust p values for having asked M questions (Holm 1979, Scand. J. Statist. 6:65-70).

    The k-th smallest of M is multiplied by M - k + 1, never falls below the one before it, and never exceeds
    1. Whoever rejects where the adjusted value is at most 0.05 errs on any metric at all with a probability
    of at most 0.05, however the metrics depend on each other. NaN asks nothing and stays NaN.

    >>> holm(np.array([0.01, 0.04, 0.03, np.nan])).round(3).tolist()
    [0.03, 0.06, 0.06, nan]
    """
    adjusted = np.full(p.shape, np.nan)
    asked = np.flatnonzero(~np.isnan(p))
    order = asked[np.argsort(p[asked], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _every_flip(units: int) -> Float[Array, "F C"]:
    bits = np.arange(2**units)[:, None] >> np.arange(units) & 1
    return 1.0 - 2.0 * bits


def _drawn_flips(units: int, resamples: int, seed: int) -> Iterator[Float[Array, "F C"]]:
    generator = np.random.default_rng(seed)
    for _, size in _parts(resamples, units):
        yield 2.0 * generator.integers(0, 2, size=(size, units), dtype=np.int8) - 1.0


def _drawn_weights(generator: np.random.Generator, size: int, units: int) -> Float[Array, "R C"]:
    """How often each unit is drawn in each of ``size`` resamples."""
    drawn = generator.integers(0, units, size=(size, units)) + units * np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units).astype(np.float64)


def _parts(resamples: int, units: int) -> Iterator[tuple[slice, int]]:
    """Cut the resamples into blocks of bounded size."""
    size = max(1, _BLOCK // units)
    for start in range(0, resamples, size):
        stop = min(start + size, resamples)
        yield slice(start, stop), stop - start
