"""Where numbers fall on paper: scales and round ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

Real = int | float


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A straight map from ``low .. high`` in units of the data to ``start .. end`` in units of the picture.

    >>> Scale(low=0, high=10, start=100, end=200)(2.5)
    125.0
    """

    low: Real
    high: Real
    start: Real
    end: Real

    def __call__(self, value: Real) -> float:
        """Return where ``value`` falls, to a hundredth of a unit."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


def round_ticks(low: Real, high: Real, about: int = 5) -> list[float]:
    """Return about ``about`` round numbers (1, 2 or 5 times a power of ten apart) that enclose low and high.

    >>> round_ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> round_ticks(2.4, 2.9)
    [2.4, 2.5, 2.6, 2.7, 2.8, 2.9]
    """
    step = _round_step((high - low) / about)
    # The small slack keeps 0.30000000000000004 from asking for one tick more.
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.15g}") for index in range(first, last + 1)]


def _round_step(raw: float) -> float:
    power = math.floor(math.log10(raw))
    steps = (float(f"{factor}e{power}") for factor in (1, 2, 5, 10))
    return next(step for step in steps if step >= raw * 0.999)


def extent(values: Iterable[Real], *, floor: Real | None = None) -> tuple[float, float]:
    """Return the least and greatest finite value, widened where they are equal so that a scale exists.

    Args:
        values: any numbers; those that are not finite are left out.
        floor: a value that must be inside, e.g. 0 for counts.

    >>> extent([3.0, float("nan"), 5.0])
    (3.0, 5.0)
    >>> extent([2.0, 2.0]), extent([])
    ((1.5, 2.5), (0.0, 1.0))
    """
    finite = [value for value in values if math.isfinite(value)]
    if floor is not None:
        finite.append(floor)
    if not finite:
        return 0.0, 1.0
    low, high = float(min(finite)), float(max(finite))
    if high - low <= 1e-12 * max(1.0, abs(high)):
        half = abs(high) / 2 if 1e-9 < abs(high) < 1 else 0.5
        return (low, high + 2 * half) if floor == low else (low - half, high + half)
    return low, high


def tick_text(value: Real, step: Real) -> str:
    """Write a tick with as many decimals as its step needs, thousands shortened to ``k``.

    >>> tick_text(0.5, 0.25), tick_text(-1.0, 1.0), tick_text(12000, 2000), tick_text(0.0002, 0.0002)
    ('0.50', '−1', '12k', '2e-4')
    """
    if value == 0:
        return "0"
    size = abs(value)
    if step >= 1000:
        text = f"{size / 1000:g}k"
    elif step < 0.001:
        mantissa, exponent = f"{size:.1e}".split("e")
        text = f"{float(mantissa):g}e{int(exponent)}"
    else:
        decimals = max(0, math.ceil(-math.log10(step) - 1e-9))
        if round(step * 10**decimals, 6) % 1:  # a step of 0.25 needs one more than its size says
            decimals += 1
        text = f"{size:.{decimals}f}"
    return "−" + text if value < 0 else text
