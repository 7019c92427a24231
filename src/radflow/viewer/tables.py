"""The tables of the page: systems by metrics, shuffled images, and what the reports are like."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from radflow.config import TRAINED_CONTROLS
from radflow.evaluation.notation import brackets, number, positives_label, signed
from radflow.metrics.naming import CORPUS
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

    def cells(metric: str, limit: float) -> list[Cell]:
        found = [interval_cell(results.systems[system].get(metric)) for system in systems]
        if gain := results.gain.get(metric):
            found.append(change_cell(gain, tone(metric, gain, results), limit))
        elif results.gain:
            found.append(interval_cell(None))
        return found

    metrics = [metric for system in systems for metric in results.systems[system]]
    columns = [*map(system_name, systems), *(["Gain, RadFlow − SFT"] if results.gain else [])]
    table = _by_metric(columns, metrics, cells, results.gain, results)
    return _with_positives(table, systems, results) if results.drift else table


def _with_positives(table: Table, systems: Sequence[str], results: Results) -> Table:
    """The same with positives per report after the F1s over the corpus, which silence does not raise."""
    last = metric_name(tuple(CORPUS)[-1], results.labels)
    cells = [Cell(mean=number(results.drift.get(s, {}).get("positives"), 2)) for s in systems]
    blanks = [Cell(mean="–")] * (len(table.columns) - len(systems))
    added = Row(name=positives_label(results.drift), arrow="", cells=(*cells, *blanks))
    groups = [
        (title, tuple(each for row in rows for each in ((row, added) if row.name == last else (row,))))
        for title, rows in table.groups
    ]
    return replace(table, groups=tuple(groups))


def controls_table(results: Results) -> Table:
    """Return RadFlow minus each control, and what other images cost: every paired difference of the run."""
    gains = {"sft": results.gain, **results.gain_over}
    columns = {f"Over {system_name(name)}": found for name, found in gains.items() if found}
    columns |= {f"Over {system_name(name)}": found for name, found in results.falls.items()}

    def cells(metric: str, limit: float) -> list[Cell]:
        return [
            change_cell(change, tone(metric, change, results), limit)
            if (change := found.get(metric))
            else interval_cell(None)
            for found in columns.values()
        ]

    widest = {
        metric: max((found[metric] for found in columns.values() if metric in found), key=_farthest)
        for found in columns.values()
        for metric in found
    }
    return _by_metric(columns, widest, cells, widest, results)


def _farthest(change: Interval) -> float:
    return max(abs(change.low), abs(change.high))


def shuffled_table(results: Results) -> Table:
    """Return each metric with the right images and with shuffled ones."""

    def cells(metric: str, limit: float) -> list[Cell]:
        row = results.shuffled[metric]
        fall = change_cell(row.fall, "better" if row.fall.low > 0 else "worse", limit)
        return [interval_cell(row.true), interval_cell(row.shuffled), fall]

    falls = {metric: row.fall for metric, row in results.shuffled.items()}
    columns = ("True images", "Shuffled images", "Fall, true − shuffled")
    return _by_metric(columns, falls, cells, falls, results)


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
        digits = 2 if key == "positives" else 1
        cells = [Cell(mean=percent(value, 1) if as_percent else number(value, digits)) for value in values]
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
    known = ("reference", "template", "", "sft", *TRAINED_CONTROLS, "radflow")
    other_images = ("sft-shuffled", "sft-noise", "radflow-shuffled", "radflow-noise")
    places = {name: place for place, name in enumerate((*known, *other_images))}
    return sorted(systems, key=lambda name: places.get(name, places[""]))


def interval_cell(interval: Interval | None) -> Cell:
    """A mean over its interval, or a dash."""
    if interval is None:
        return Cell(mean="–")
    return Cell(mean=number(interval.mean), ends=brackets(interval.low, interval.high))


def change_cell(change: Interval, colour: str, limit: float) -> Cell:
    """A paired difference over its interval, drawn on a scale from ``-limit`` to ``limit``."""
    drawn = whisker(mean=change.mean, low=change.low, high=change.high, limit=limit, tone=colour)
    ends = brackets(change.low, change.high, gain=True)
    return Cell(mean=signed(change.mean), ends=ends, tone=colour, svg=drawn)


def reach(changes: Mapping[str, Interval], metrics: Iterable[str]) -> float:
    """Return the greatest distance from 0 among ``metrics``, so that a group shares one scale."""
    known = [changes[metric] for metric in metrics if metric in changes]
    ends = [abs(end) for change in known for end in (change.low, change.high)]
    return max((end for end in ends if math.isfinite(end)), default=0.0)


def _by_metric(
    columns: Iterable[str],
    metrics: Iterable[str],
    cells: Callable[[str, float], list[Cell]],
    changes: Mapping[str, Interval],
    results: Results,
) -> Table:
    """One row per metric, under the headings of `grouped`; ``cells`` is given the reach of its group."""

    def row(metric: str, limit: float) -> Row:
        arrow = "↑" if is_better_higher(metric, results.higher_is_better) else "↓"
        name = metric_name(metric, results.labels)
        return Row(name=name, arrow=arrow, cells=tuple(cells(metric, limit)))

    return Table(
        columns=tuple(columns),
        groups=tuple(
            (title, tuple(row(metric, reach(changes, names)) for metric in names))
            for title, names in grouped(metrics)
        ),
    )
