"""How numbers with their intervals are written: on the screen, the pages, the model card, in the documents.

``0.766 [0.738, 0.796]`` is a mean with its 95% interval, ``+0.083 [+0.046, +0.122]`` a gain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class HasInterval(Protocol):
    """A mean with the two ends of its interval; an end that is not known is NaN."""

    @property
    def mean(self) -> float:
        """The mean."""
        ...

    @property
    def low(self) -> float:
        """The lower end."""
        ...

    @property
    def high(self) -> float:
        """The upper end."""
        ...


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with a true minus sign; what is not known is a dash.

    >>> number(-0.1234), number(float("nan")), number(1234.5, 0)
    ('−0.123', '–', '1,234')
    """
    if value is None or not math.isfinite(value):
        return "–"
    rounded = round(value, digits) or 0.0  # never "−0.000"
    return f"{rounded:,.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """Write a difference, always with its sign.

    >>> signed(0.05), signed(-0.05), signed(0.00001)
    ('+0.050', '−0.050', '0.000')
    """
    return ("+" if value is not None and round(value, digits) > 0 else "") + number(value, digits)


def positives_label(drift: Mapping[str, Mapping[str, float]]) -> str:
    """The name of the row that shows how many observations a system's reports assert.

    >>> positives_label({"reference": {"positives": 0.49}})
    'Positives per report (references 0.49)'
    """
    return f"Positives per report (references {number(drift.get('reference', {}).get('positives'), 2)})"


def brackets(low: float | None, high: float | None, *, gain: bool = False, digits: int = 3) -> str:
    """Write the two ends of an interval, or nothing where they are not known.

    >>> brackets(-0.05, 0.25), brackets(0.05, 0.25, gain=True), brackets(None, None)
    ('[−0.050, 0.250]', '[+0.050, +0.250]', '')
    """
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    write = signed if gain else number
    return f"[{write(low, digits)}, {write(high, digits)}]"


def with_interval(
    found: HasInterval | None, *, gain: bool = False, between: str = " ", digits: int = 3
) -> str:
    """Write a mean and its interval; ``between`` stands between the two.

    >>> from radflow.evaluation.intervals import Interval
    >>> with_interval(Interval(mean=0.766, low=0.738, high=0.796))
    '0.766 [0.738, 0.796]'
    >>> with_interval(Interval(mean=0.083, low=-0.046, high=0.122), gain=True)
    '+0.083 [−0.046, +0.122]'
    >>> with_interval(None)
    '–'
    """
    if found is None:
        return "–"
    mean = (signed if gain else number)(found.mean, digits)
    ends = brackets(found.low, found.high, gain=gain, digits=digits)
    return f"{mean}{between}{ends}" if ends else mean
