"""How far two judges agree on the same questions: raw, Cohen's kappa, Gwet's AC1, each with its interval.

Kappa alone misleads here. If nearly every report is consistent, chance agreement is nearly 1 and kappa
falls to 0 or below while the judges agree on 95% (the paradox of Feinstein and Cicchetti 1990). AC1 (Gwet
2008, Br. J. Math. Stat. Psychol. 61:29-48) measures chance agreement another way and does not. Both are
given, with the table that they come from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Int

from radflow.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Coefficient:
    """A measure of agreement, at most 1, with both ends of its confidence interval; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far two judges agree.

    Attributes:
        yes_yes: questions that both answer with yes.
        yes_no: the first yes, the second no.
        no_yes: the first no, the second yes.
        no_no: both no.
        raw: share of equal answers, 0 to 1, with its Wilson interval.
        kappa: Cohen's, -1 to 1; NaN where both judges give one and the same answer throughout.
        ac1: Gwet's, -1 to 1.
    """

    yes_yes: int
    yes_no: int
    no_yes: int
    no_no: int
    raw: Coefficient
    kappa: Coefficient
    ac1: Coefficient

    @property
    def questions(self) -> int:
        """Answered by both."""
        return self.yes_yes + self.yes_no + self.no_yes + self.no_no


def agreement(first: Sequence[bool], second: Sequence[bool], *, confidence: float = 0.95) -> Agreement:
    """Compare two judges' verdicts on the same questions in the same order.

    The interval of kappa is value +- z SE with the large-sample standard error of Fleiss, Cohen and Everitt
    (1969, Psychol. Bull. 72:323-327), that of AC1 likewise with Gwet's (2008); both are cut to [-1, 1]. Where
    all answers are equal neither has a width, which is a limit of the formulas and not certainty: the
    interval of ``raw`` still has one.

    Raises:
        DataError: no verdicts, lengths that differ, or a confidence out of range.

    >>> both = agreement([True] * 123 + [False] * 2, [True] * 118 + [False] * 5 + [True] * 2)
    >>> both.yes_yes, both.yes_no, both.no_yes, both.no_no
    (118, 5, 2, 0)
    >>> round(both.raw.value, 3), round(both.kappa.value, 4), round(both.ac1.value, 4)
    (0.944, -0.0234, 0.9408)
    """
    if len(first) != len(second) or not first:
        raise DataError(
            f"Expected two judges' verdicts on the same questions, got {len(first)} and {len(second)}."
        )
    if not 0 < confidence < 1:
        raise DataError(f"Expected a confidence in (0, 1), got {confidence}.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    counts = np.zeros((2, 2), dtype=np.int64)
    np.add.at(counts, (1 - np.asarray(first, dtype=np.int64), 1 - np.asarray(second, dtype=np.int64)), 1)
    return Agreement(
        yes_yes=int(counts[0, 0]),
        yes_no=int(counts[0, 1]),
        no_yes=int(counts[1, 0]),
        no_no=int(counts[1, 1]),
        raw=wilson(int(counts.trace()), int(counts.sum()), confidence=confidence),
        kappa=_kappa(counts, z),
        ac1=_ac1(counts, z),
    )


def wilson(successes: int, trials: int, *, confidence: float = 0.95) -> Coefficient:
    """Share of successes with its score interval (Wilson 1927, J. Am. Stat. Assoc. 22:209-212).

    Unlike the normal interval it stays inside 0 to 1 and has a width at shares of 0 and 1.

    Raises:
        DataError: no trial, or successes outside 0 to trials.

    >>> share = wilson(10, 10)
    >>> share.value, round(share.low, 3), share.high
    (1.0, 0.722, 1.0)
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise DataError(f"Expected successes among at least one trial, got {successes} of {trials}.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, shrunk = successes / trials, 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / shrunk
    half = z / shrunk * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    # At shares of 0 and 1 one end is the share itself, but for rounding.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Coefficient(value=share, low=low, high=high)


def _kappa(counts: Int[np.ndarray, "2 2"], z: float) -> Coefficient:
    """Chance agreement from each judge's own share of yes."""
    cells = counts / counts.sum()
    rows, columns = cells.sum(axis=1), cells.sum(axis=0)
    chance = float(rows @ columns)
    slope = columns[:, None] + rows[None, :]
    return _beyond_chance(cells, chance, slope, int(counts.sum()), z)


def _ac1(counts: Int[np.ndarray, "2 2"], z: float) -> Coefficient:
    """Chance agreement 2 p (1 - p), p the share of yes over both judges."""
    cells = counts / counts.sum()
    yes = float(cells.sum(axis=1)[0] + cells.sum(axis=0)[0]) / 2
    slope = 2 * (1 - 2 * yes) * np.array([[1.0, 0.5], [0.5, 0.0]])
    # Gwet divides by n - 1.
    return _beyond_chance(cells, 2 * yes * (1 - yes), slope, int(counts.sum()) - 1, z)


def _beyond_chance(
    cells: Float[np.ndarray, "2 2"], chance: float, slope: Float[np.ndarray, "2 2"], size: int, z: float
) -> Coefficient:
    """(observed - chance) / (1 - chance) with its interval by the delta method.

    Args:
        cells: shares of the table, summing to 1.
        chance: agreement expected by chance.
        slope: derivative of ``chance`` by each cell.
        size: what the variance of one question is divided by.
        z: half width of the interval in standard errors.
    """
    observed = float(cells.trace())
    if math.isclose(chance, 1.0):
        return Coefficient(value=math.nan, low=math.nan, high=math.nan)
    value = (observed - chance) / (1 - chance)
    influence = (np.eye(2) - (1 - value) * slope) / (1 - chance)
    variance = float((cells * influence**2).sum() - (cells * influence).sum() ** 2)
    if size < 1:
        return Coefficient(value=value, low=math.nan, high=math.nan)
    half = z * math.sqrt(max(0.0, variance) / size)
    return Coefficient(value=value, low=max(-1.0, value - half), high=min(1.0, value + half))
