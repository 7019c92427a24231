"""The tables of the page: systems by metrics, shuffled images, and what the reports are like."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from radflow.evaluation.notation import brackets, number, signed
from radflow.viewer.charts.strips import whisker
from radflow.viewer.records import Interval, Results
from radflow.viewer.verdict import tone
from radflow.viewer.wording import (
    grouped,
    is_better_higher,
    metric_name,
    percent,
    system_name,
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number as printed, its interval below it, and how it is coloured."""

    mean: str
    ends: str = ""
    tone: str = ""
    svg: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A metric: its printed name, an arrow towards the better, and a cell for each column."""

    name: str
    arrow: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under group headings. The first column of each row is its name."""

    columns: tuple[str, ...]
    groups: tuple[tuple[str, tuple[Row, ...]], ...]


def result_table(results: Results) -> Table:
    """Return systems by metrics, with the paired gain of RadFlow over SFT as the last column."""
    systems = in_order(results.systems)
    metrics = [metric for system in systems for metric in results.systems[system]]

    def row(metric: str, limit: float) -> Row:
        cells = [_cell(results.systems[system].get(metric)) for system in systems]
        if results.gain:
            cells.append(_gain_cell(metric, results, limit))
        return _row(metric, results, cells)

    columns = [system_name(system) for system in systems] + (["Gain, RadFlow − SFT"] if results.gain else [])
    return Table(
        columns=tuple(columns),
        groups=tuple(
            (title, tuple(row(metric, _limit(results.gain, names)) for metric in names))
            for title, names in grouped(metrics)
        ),
    )


def shuffled_table(results: Results) -> Table:
    """Return each metric with the right images and with shuffled ones."""
    falls = {metric: row.fall for metric, row in results.shuffled.items()}

    def row(metric: str, limit: float) -> Row:
        measured = results.shuffled[metric]
        colour = "better" if measured.fall.low > 0 else "worse"
        return _row(
            metric,
            results,
            [
                _cell(measured.true),
                _cell(measured.shuffled),
                _signed_cell(measured.fall, colour, limit),
            ],
        )

    return Table(
        columns=("True images", "Shuffled images", "Fall, true − shuffled"),
        groups=tuple(
            (title, tuple(row(metric, _limit(falls, names)) for metric in names))
            for title, names in grouped(falls)
        ),
    )


def unmoved(results: Results) -> list[str]:
    """Return the metrics whose fall under shuffled images is not significant: its interval reaches 0."""
    return [
        metric_name(metric, results.labels)
        for metric, row in results.shuffled.items()
        if not row.fall.low > 0
    ]


_DRIFT: Mapping[str, tuple[str, bool]] = {
    "words": ("words per report", False),
    "positives": ("positive findings per report", False),
    "distinct": ("distinct reports", True),
    "most_frequent": ("share of the most frequent report", True),
}


def drift_table(results: Results) -> Table:
    """Return what each system's reports are like, so that a drift of the policy can be seen."""
    systems = in_order(results.drift)
    keys = list(dict.fromkeys(key for system in systems for key in results.drift[system]))

    def row(key: str) -> Row:
        name, is_share = _DRIFT.get(key, (key, False))
        values = [results.drift[system].get(key, math.nan) for system in systems]
        # A share above 1 is a count after all, and is printed as one.
        as_percent = is_share and all(not value > 1 for value in values)
        cells = [Cell(mean=percent(value, 1) if as_percent else number(value, 1)) for value in values]
        return Row(name=name, arrow="", cells=tuple(cells))

    return Table(
        columns=tuple(system_name(system) for system in systems),
        groups=(("", tuple(row(key) for key in keys)),),
    )


def in_order(systems: Iterable[str]) -> list[str]:
    """Return systems as a reader expects them: the reference, baselines, then SFT, then RadFlow.

    >>> in_order(["radflow", "sft", "nearest", "template"])
    ['template', 'nearest', 'sft', 'radflow']
    """
    places = {"reference": 0, "template": 1, "sft": 3, "radflow": 4, "radflow-shuffled": 5}
    return sorted(systems, key=lambda name: places.get(name, 2))


def _row(metric: str, results: Results, cells: list[Cell]) -> Row:
    arrow = "↑" if is_better_higher(metric, results.higher_is_better) else "↓"
    return Row(name=metric_name(metric, results.labels), arrow=arrow, cells=tuple(cells))


def _cell(interval: Interval | None) -> Cell:
    if interval is None:
        return Cell(mean="–")
    return Cell(mean=number(interval.mean), ends=brackets(interval.low, interval.high))


def _gain_cell(metric: str, results: Results, limit: float) -> Cell:
    gain = results.gain.get(metric)
    return Cell(mean="–") if gain is None else _signed_cell(gain, tone(metric, gain, results), limit)


def _signed_cell(interval: Interval, colour: str, limit: float) -> Cell:
    drawn = whisker(mean=interval.mean, low=interval.low, high=interval.high, limit=limit, tone=colour)
    return Cell(
        mean=signed(interval.mean),
        ends=brackets(interval.low, interval.high, gain=True),
        tone=colour,
        svg=drawn,
    )


def _limit(intervals: Mapping[str, Interval], metrics: Iterable[str]) -> float:
    """Return the greatest distance from 0 among ``metrics``, so that a group shares one scale."""
    known = [intervals[metric] for metric in metrics if metric in intervals]
    ends = [abs(end) for interval in known for end in (interval.low, interval.high)]
    return max((end for end in ends if math.isfinite(end)), default=0.0)
