"""What all charts share: the frame with its axes, the legend, and the SVG around them.

Coordinates are in units of the drawing, which is ``WIDTH`` wide, about a phone's width: charts are laid out
in a grid, not scaled down. Colours come from CSS classes (``c0`` to ``c3`` for series), so that the page's
light and dark themes apply.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from radflow.viewer.charts.axes import Real, Scale, extent, round_ticks, tick_text

WIDTH, HEIGHT = 360, 232
LEFT, RIGHT, TOP, BOTTOM = 56, 10, 40, 40
_SIZE = f'class="chart" viewBox="0 0 {WIDTH} {HEIGHT}"'


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A vertical line at ``x`` with a word beside it."""

    x: Real
    label: str


def ticked_scale(
    values: Sequence[Real],
    start: Real,
    end: Real,
    *,
    floor: Real | None = None,
    whole: bool = False,
    snug: bool = False,
) -> tuple[Scale, list[float]]:
    """Return a scale and its ticks; ``snug`` keeps the data's own ends, ``whole`` allows no fractions."""
    low, high = extent(values, floor=floor)
    ticks = round_ticks(low, high)
    if whole:
        ticks = [tick for tick in ticks if tick == int(tick)]
        ticks = ticks if len(ticks) > 1 else [float(math.floor(low)), float(math.ceil(high))]
    if snug:
        ticks = [tick for tick in ticks if low <= tick <= high]
        return Scale(low=low, high=high, start=start, end=end), ticks
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    return Scale(low=low, high=high, start=start, end=end), ticks


Axis = tuple[Scale, list[float]]


def plot(
    key: str,
    title: str,
    described: str,
    names: tuple[str, str],
    axes: tuple[Axis, Axis],
    parts: Sequence[str],
    entries: Sequence[tuple[str, int, bool]],
    flag: Flag | None,
) -> str:
    """Put parts into a frame: grid, axes with their names, flag, legend."""
    (x_scale, x_ticks), (y_scale, y_ticks) = axes
    x_name, y_name = map(escape, names)
    floor = HEIGHT - BOTTOM
    upright = f'transform="translate(10 {(TOP + floor) / 2}) rotate(-90)"'
    frame = []
    for tick in y_ticks:
        y, text = y_scale(tick), tick_text(tick, y_ticks[1] - y_ticks[0])
        frame.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        frame.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>')
    for tick in x_ticks:
        x, text = x_scale(tick), tick_text(tick, x_ticks[1] - x_ticks[0] if len(x_ticks) > 1 else 1.0)
        frame.append(f'<path class="axis" d="M{x} {floor}v4"/>')
        frame.append(f'<text class="tick" x="{x}" y="{floor + 15}" text-anchor="middle">{text}</text>')
    frame += [
        f'<path class="axis" d="M{LEFT} {floor}H{WIDTH - RIGHT}"/>',
        f'<text class="name" x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{x_name}</text>',
        f'<text class="name" {upright} text-anchor="middle">{y_name}</text>',
    ]
    flagged = [_flag_line(flag, x_scale)] if flag else []
    return document(key, title, described, [*frame, *parts, *flagged, legend(entries)])


def _flag_line(flag: Flag, x_scale: Scale) -> str:
    """Draw a flag; its word stands above the chart, on the side that has room."""
    x = x_scale(flag.x)
    anchor, shift = ("start", -3) if x < (LEFT + WIDTH) / 2 else ("end", 3)
    return (
        f'<path class="flag" d="M{x} {TOP - 5}V{HEIGHT - BOTTOM}"/>'
        f'<text class="flagged" x="{x + shift:.2f}" y="{TOP - 9}" text-anchor="{anchor}">'
        f"{escape(flag.label)}</text>"
    )


def legend(entries: Sequence[tuple[str, int, bool]]) -> str:
    """Draw swatch and name of each series in one row above the chart; filled ones as squares."""
    parts, x = [], 2.0
    for label, color, filled in entries:
        parts.append(
            f'<rect class="swatch c{color}" x="{x:.0f}" y="6" width="9" height="9"/>'
            if filled
            else f'<path class="line c{color}" d="M{x:.0f} 10.5h16"/>'
        )
        x += 14 if filled else 21
        parts.append(f'<text class="tick" x="{x:.0f}" y="14">{escape(label)}</text>')
        x += 5.9 * len(label) + 14
    return "".join(parts)


def document(key: str, title: str, described: str, parts: Iterable[str], attributes: str = _SIZE) -> str:
    """Wrap a chart's parts, with its title and description for screen readers."""
    return (
        f'<svg {attributes} role="img" aria-labelledby="{key}-title {key}-desc">'
        f'<title id="{key}-title">{escape(title)}</title>'
        f'<desc id="{key}-desc">{escape(described)}</desc>{"".join(parts)}</svg>'
    )
