"""Shares and intervals as strips of SVG: where two groups differ, and whether a difference reaches 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from radflow.viewer.charts.axes import Real, Scale
from radflow.viewer.charts.frame import BOTTOM, TOP, WIDTH, document, legend, ticked_scale

_LABELS, _PITCH, _MARGIN = 150, 19, 18


def dumbbells(
    *,
    key: str,
    title: str,
    x_label: str,
    rows: Sequence[tuple[str, float, float]],
    names: tuple[str, str],
) -> str:
    """Draw two shares (0..1) per row, joined by a bar: where two groups differ.

    Args:
        key: makes the ids of this chart unique on the page.
        title: for screen readers.
        x_label: what the shares are of.
        rows: label, first share, second share.
        names: what first and second stand for.

    Returns:
        SVG, or ``""`` without rows.
    """
    if not rows:
        return ""
    floor = TOP + _PITCH * len(rows)
    shares = [share for _, *both in rows for share in both]
    scale, ticks = ticked_scale(shares, _LABELS, WIDTH - _MARGIN, floor=0.0)
    parts = [_share_axis(scale, ticks, floor, x_label)]
    parts += [_dumbbell(row, names, scale, TOP + _PITCH * (at + 0.5)) for at, row in enumerate(rows)]
    parts.append(legend([(name, color, True) for color, name in enumerate(names)]))
    described = "; ".join(f"{label}: {first:.0%} and {second:.0%}" for label, first, second in rows)
    size = f'class="chart" viewBox="0 0 {WIDTH} {floor + BOTTOM:g}"'
    return document(key, title, f"{names[0]} and {names[1]}. {described}.", parts, size)


def whisker(*, mean: float, low: float, high: float, limit: float, tone: str) -> str:
    """Draw an interval against 0 on a scale from ``-limit`` to ``limit``, small enough for a table cell.

    It repeats the numbers printed beside it, so screen readers skip it.
    """
    if not all(map(math.isfinite, (mean, low, high))) or limit <= 0:
        return ""
    scale = Scale(low=-limit, high=limit, start=3, end=93)
    return (
        f'<svg class="whisker {escape(tone)}" viewBox="0 0 96 14" width="96" height="14" aria-hidden="true">'
        '<path class="zero" d="M48 0V14"/>'
        f'<path class="reach" d="M{scale(low)} 7H{scale(high)}M{scale(low)} 4V10M{scale(high)} 4V10"/>'
        f'<circle cx="{scale(mean)}" cy="7" r="3"/></svg>'
    )


def _share_axis(scale: Scale, ticks: Sequence[float], floor: Real, x_label: str) -> str:
    parts = []
    for tick in ticks:
        x = scale(tick)
        parts.append(f'<path class="grid" d="M{x} {TOP - 4}V{floor}"/>')
        parts.append(
            f'<text class="tick" x="{x}" y="{floor + 14}" text-anchor="middle">{100 * tick:.3g}%</text>'
        )
    parts.append(
        f'<text class="name" x="{WIDTH - _MARGIN}" y="{floor + BOTTOM - 6}" text-anchor="end">'
        f"{escape(x_label)}</text>"
    )
    return "".join(parts)


def _dumbbell(row: tuple[str, float, float], names: tuple[str, str], scale: Scale, y: float) -> str:
    """Draw one row: its label, the bar between the shares, and a dot for each share that is known."""
    label, *shares = row
    parts = [
        f'<text class="tick" x="{_LABELS - 10}" y="{y + 4}" text-anchor="end">{escape(label)}</text>',
    ]
    if all(map(math.isfinite, shares)):
        parts.append(f'<path class="bridge" d="M{scale(shares[0])} {y}H{scale(shares[1])}"/>')
    parts += [
        f'<circle class="dot c{color}" cx="{scale(share)}" cy="{y}" r="4">'
        f"<title>{escape(label)}, {escape(name)}: {100 * share:.1f}%</title></circle>"
        for color, (name, share) in enumerate(zip(names, shares, strict=True))
        if math.isfinite(share)
    ]
    return "".join(parts)
