"""Line charts and histograms as inline SVG, so that a page needs neither a library nor the network.

A chart is a string of SVG to put inside HTML. It carries a title and a description for screen readers, and
names its axes with their units. Series differ by dash as well as by colour, so that a print without colour
can be read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from radflow.viewer.charts.axes import Real, Scale, extent
from radflow.viewer.charts.frame import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Flag, plot, ticked_scale

Point = tuple[Real, Real]

MOST_POINTS = 240
"""Longer series are drawn as the mean over equal runs of points: a chart this wide cannot show more."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A named series. ``y`` may be NaN: the line breaks there."""

    label: str
    points: Sequence[Point]
    color: int = 0
    dots: bool = False


@dataclass(frozen=True, kw_only=True)
class Band:
    """A named range between two series over the same x."""

    label: str
    low: Sequence[Point]
    high: Sequence[Point]
    color: int = 0


def line_chart(
    *,
    key: str,
    title: str,
    x_label: str,
    y_label: str,
    lines: Sequence[Line] = (),
    bands: Sequence[Band] = (),
    flag: Flag | None = None,
    floor: Real | None = None,
) -> str:
    """Draw series over a common x, which starts at 0 so that charts of steps line up.

    Args:
        key: makes the ids of this chart unique on the page.
        title: for screen readers; the page prints its own heading.
        x_label: name and unit of x.
        y_label: name and unit of y.
        lines: the series.
        bands: ranges, drawn below the lines.
        flag: a marked x, e.g. the chosen step.
        floor: a y that must be on the chart, e.g. 0.

    Returns:
        SVG, or ``""`` when no series has a finite point.
    """
    every = [point for line in lines for point in line.points]
    every += [point for band in bands for point in (*band.low, *band.high)]
    seen = [(x, y) for x, y in every if math.isfinite(x) and math.isfinite(y)]
    if not seen:
        return ""
    ys = [y for _, y in seen]
    xs = [0.0, *(x for x, _ in seen), *([flag.x] if flag else [])]
    x_axis = ticked_scale(xs, LEFT, WIDTH - RIGHT, whole=True, snug=True)
    y_axis = ticked_scale(ys, HEIGHT - BOTTOM, TOP, floor=floor)
    parts = [_band(band, x_axis[0], y_axis[0]) for band in bands]
    parts += [_line(line, x_axis[0], y_axis[0]) for line in lines]
    entries = [(item.label, item.color, isinstance(item, Band)) for item in (*lines, *bands)]
    low, high = extent(ys)
    shown = ", ".join(label for label, *_ in entries)
    described = f"{y_label} over {x_label}: {shown}; between {low:.3g} and {high:.3g}."
    return plot(key, title, described, (x_label, y_label), (x_axis, y_axis), parts, entries, flag)


def histogram(
    *,
    key: str,
    title: str,
    x_label: str,
    y_label: str,
    edges: Sequence[Real],
    series: Sequence[tuple[str, Sequence[int]]],
    flag: Flag | None = None,
) -> str:
    """Draw counts between edges; each later series stands in front of the one before.

    Raises:
        ValueError: when a series does not have one count less than there are edges.
    """
    for label, counts in series:
        if len(counts) != len(edges) - 1:
            raise ValueError(
                f"{title}: expected {len(edges) - 1} counts of {label} for {len(edges)} edges, "
                f"got {len(counts)}"
            )
    xs = [*edges, *([flag.x] if flag else [])]
    counted = [count for _, counts in series for count in counts]
    x_axis = ticked_scale(xs, LEFT, WIDTH - RIGHT, snug=True)
    y_axis = ticked_scale(counted, HEIGHT - BOTTOM, TOP, floor=0.0, whole=True)
    x_scale, y_scale, parts = x_axis[0], y_axis[0], []
    for color, (label, counts) in enumerate(series):
        for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True):
            if count:
                x, top = x_scale(start), y_scale(count)
                parts.append(
                    f'<rect class="bar c{color}" x="{x + 0.5:.2f}" y="{top:.2f}" '
                    f'width="{max(x_scale(end) - x - 1, 0.5):.2f}" height="{HEIGHT - BOTTOM - top:.2f}">'
                    f"<title>{escape(label)}: {count} from {start:.3g} to {end:.3g}</title></rect>"
                )
    entries = [(label, color, True) for color, (label, _) in enumerate(series)]
    described = f"{y_label} by {x_label}. {', '.join(f'{label} {sum(counts)}' for label, counts in series)}."
    return plot(key, title, described, (x_label, y_label), (x_axis, y_axis), parts, entries, flag)


def thin(points: Sequence[Point], most: int = MOST_POINTS) -> tuple[list[Point], int]:
    """Return at most ``most`` points, each the mean over as many neighbours, and that number.

    >>> thin([(0, 1.0), (1, 3.0), (2, 5.0), (3, 7.0)], most=2)
    ([(0.5, 2.0), (2.5, 6.0)], 2)
    """
    size = max(1, math.ceil(len(points) / most))
    if size == 1:
        return list(points), 1
    runs = [points[start : start + size] for start in range(0, len(points), size)]
    return [(_mean([x for x, _ in run]), _mean([y for _, y in run])) for run in runs], size


def _mean(values: Sequence[Real]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def _path(points: Sequence[Point], x_scale: Scale, y_scale: Scale) -> str:
    """Return path data; a point that is not finite lifts the pen."""
    data, pen_up = [], True
    for x, y in points:
        if not math.isfinite(y):
            pen_up = True
            continue
        data.append(f"{'M' if pen_up else 'L'}{x_scale(x)} {y_scale(y)}")
        pen_up = False
    return "".join(data)


def _line(line: Line, x_scale: Scale, y_scale: Scale) -> str:
    points, _ = thin(line.points)
    drawn = f'<path class="line c{line.color}" d="{_path(points, x_scale, y_scale)}"/>'
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    if line.dots or len(finite) == 1:
        drawn += "".join(
            f'<circle class="dot c{line.color}" cx="{x_scale(x)}" cy="{y_scale(y)}" r="2.6">'
            f"<title>{escape(line.label)}: {y:.4g} at {x:g}</title></circle>"
            for x, y in finite
        )
    return drawn


def _band(band: Band, x_scale: Scale, y_scale: Scale) -> str:
    highs = {x: y for x, y in band.high if math.isfinite(y)}
    both = [(x, y, highs[x]) for x, y in band.low if math.isfinite(y) and x in highs]
    lower, upper = [(x, low) for x, low, _ in both], [(x, high) for x, _, high in both]
    if not both:
        return ""
    around = _path([*lower, *reversed(upper)], x_scale, y_scale)
    edges = _path(lower, x_scale, y_scale) + _path(upper, x_scale, y_scale)
    return f'<path class="band c{band.color}" d="{around}Z"/><path class="line c{band.color}" d="{edges}"/>'
