"""A forest plot: one interval per row against 0, as wide as the page.

Places along x are percentages and heights are pixels, so that the drawing stretches while its text stays the
size of the page's: it reads the same on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

from radflow.viewer.charts.axes import Scale, round_ticks, tick_text
from radflow.viewer.charts.frame import document

_TOP, _PITCH, _LINE, _BOTTOM = 34, 44, 17, 42
_LONG = 26  # characters: with a longer label the words at its right move to a line of their own
_LEFT, _RIGHT = 1.5, 98.5  # percent


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """One interval.

    Attributes:
        label: printed above it on the left.
        text: printed above it on the right.
        mean: where its dot is; NaN where it cannot be drawn.
        low: its left end.
        high: its right end.
        tone: CSS class of its colour.
    """

    label: str
    text: str
    mean: float
    low: float
    high: float
    tone: str

    @property
    def height(self) -> int:
        """In pixels."""
        return _PITCH + (_LINE if len(self.label) > _LONG else 0)

    @property
    def drawable(self) -> bool:
        """Whether all three numbers are known."""
        return all(map(math.isfinite, (self.mean, self.low, self.high)))


def forest(rows: Sequence[ForestRow], *, key: str, title: str, x_label: str, left: str, right: str) -> str:
    """Draw intervals one below the other around a line at 0.

    Args:
        rows: from top to bottom. A row that is not drawable keeps its words.
        key: makes the ids of this chart unique on the page.
        title: for screen readers.
        x_label: what is along x.
        left: what it means to be left of 0.
        right: what it means to be right of 0.

    Returns:
        SVG, or ``""`` when no row can be drawn.
    """
    drawn = [row for row in rows if row.drawable]
    if not drawn:
        return ""
    reach = max(abs(end) for row in drawn for end in (row.low, row.high, row.mean)) or 1.0
    limit = 1.08 * reach
    ticks = [tick for tick in round_ticks(-limit, limit, about=6) if abs(tick) <= limit]
    scale = Scale(low=-limit, high=limit, start=_LEFT, end=_RIGHT)
    tops = list(accumulate((row.height for row in rows), initial=_TOP))
    floor = tops.pop()
    parts = [_ground(scale, ticks, floor, x_label), _directions(left, right)]
    parts += [_row(row, scale, top) for row, top in zip(rows, tops, strict=True)]
    described = "; ".join(f"{row.label}: {row.text}" for row in rows)
    return document(key, title, described, parts, f'class="forest" width="100%" height="{floor + _BOTTOM}"')


def _ground(scale: Scale, ticks: Sequence[float], floor: int, x_label: str) -> str:
    parts = []
    for tick in ticks:
        x = scale(tick)
        kind = "zero" if tick == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x}%" x2="{x}%" y1="{_TOP - 8}" y2="{floor}"/>')
        text = tick_text(tick, ticks[1] - ticks[0])
        parts.append(f'<text x="{x}%" y="{floor + 16}" text-anchor="middle">{text}</text>')
    parts.append(f'<text x="50%" y="{floor + 34}" text-anchor="middle">{escape(x_label)}</text>')
    return "".join(parts)


def _directions(left: str, right: str) -> str:
    return (
        f'<text class="side" x="0" y="14">← {escape(left)}</text>'
        f'<text class="side" x="100%" y="14" text-anchor="end">{escape(right)} →</text>'
    )


def _row(row: ForestRow, scale: Scale, top: int) -> str:
    base = top + row.height - _PITCH + 14  # of the words at the right; a long label stands a line above
    words = (
        f'<text class="label" x="0" y="{top + 14}">{escape(row.label)}</text>'
        f'<text class="raw" x="100%" y="{base}" text-anchor="end">{escape(row.text)}</text>'
    )
    if not row.drawable:
        return words
    y, low, mean, high = base + 15, scale(row.low), scale(row.mean), scale(row.high)
    ends = "".join(f'<line x1="{x}%" x2="{x}%" y1="{y - 5}" y2="{y + 5}"/>' for x in (low, high))
    return (
        f'{words}<g class="{escape(row.tone)}"><line x1="{low}%" x2="{high}%" y1="{y}" y2="{y}"/>{ends}'
        f'<circle cx="{mean}%" cy="{y}" r="4.5"/></g>'
    )
