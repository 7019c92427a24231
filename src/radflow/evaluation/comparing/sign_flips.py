"""Paired tests of two systems on many metrics at once: intervals, sign-flip p values, Holm's correction.

The unit is the study, or the patient where studies of one patient are not independent. Under the hypothesis
of no difference the two systems' names could be swapped within any unit, which flips the sign of its
difference (Good 2005, *Permutation, Parametric and Bootstrap Tests of Hypotheses*, 3rd ed., chapter 3). All
metrics share the same flips, so a block of them is one matrix product.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from radflow.errors import DataError
from radflow.evaluation.intervals import bootstrap_intervals, check_settings, unit_totals

Array = np.ndarray

EXACT_CLUSTERS = 14
"""Up to this many units all 2^n sign flips are enumerated (16,384) instead of drawn."""

# Entries of a block of flips: bounds memory (16 MB of float64) whatever the number of studies.
_BLOCK = 2_000_000
# Sums that differ by no more than rounding are ties, as a share of the greatest sum there could be.
TIE = 1e-12


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
    check_settings(resamples, confidence)
    if not len(differences):
        raise DataError("Expected at least one study that both systems scored, got none.")
    clusters = range(len(differences)) if clusters is None else clusters
    columns = dict(enumerate(differences.T))
    totals = [unit_totals(column, clusters) for column in columns.values()]
    sums = np.stack([column for column, _ in totals], axis=1)
    known = np.array([(counts > 0).sum() for _, counts in totals])
    found = bootstrap_intervals(
        columns, clusters=clusters, resamples=resamples, seed=seed, confidence=confidence
    )
    p = np.where(known > 0, sign_flip_p(sums, resamples=resamples, seed=seed), np.nan)

    def ends(name: str) -> Float[Array, " M"]:
        return np.array([getattr(found[m], name) if known[m] > 1 else np.nan for m in columns])

    return PairedTests(
        difference=np.array([found[m].mean if m in found else np.nan for m in columns]),
        low=ends("low"),
        high=ends("high"),
        p=p,
        p_holm=holm(p),
        clusters=known,
        exact=len(sums) <= EXACT_CLUSTERS,
    )


def sign_flip_p(sums: Float[Array, "C M"], *, resamples: int = 10_000, seed: int = 0) -> Float[Array, " M"]:
    """Two-sided p value of no difference, by flipping the signs of whole units.

    With at most :data:`EXACT_CLUSTERS` units the share of all flips whose sum is at least as far from 0 as
    the one observed. With more, flips are drawn, and p = (1 + those) / (1 + resamples): a p value of 0 would
    claim more than was looked at (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585).

    >>> sign_flip_p(np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])).tolist()
    [0.25, 1.0]
    """
    units = len(sums)
    observed = np.abs(sums.sum(axis=0)) - TIE * np.abs(sums).sum(axis=0)
    blocks, exact = exchanges(units, resamples, seed)
    reached = np.zeros(sums.shape[1])
    for flips in blocks:
        reached += (np.abs(flips @ sums) >= observed).sum(axis=0)
    return reached / 2**units if exact else (1 + reached) / (1 + resamples)


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


def exchanges(units: int, resamples: int, seed: int) -> tuple[Iterable[Float[Array, "F C"]], bool]:
    """A sign for each unit, some flips at a time; and whether these are all there are."""
    if units <= EXACT_CLUSTERS:
        return [_every_flip(units)], True
    return _drawn_flips(units, resamples, seed), False


def _every_flip(units: int) -> Float[Array, "F C"]:
    bits = np.arange(2**units)[:, None] >> np.arange(units) & 1
    return 1.0 - 2.0 * bits


def _drawn_flips(units: int, resamples: int, seed: int) -> Iterator[Float[Array, "F C"]]:
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // units)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        yield 2.0 * generator.integers(0, 2, size=(size, units), dtype=np.int8) - 1.0
