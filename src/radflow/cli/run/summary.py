"""What a run prints at its end: the table, the shuffled-images control, warnings, and where the page is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from radflow.config import TRAINED_CONTROLS
from radflow.evaluation.intervals import Interval
from radflow.evaluation.notation import number, positives_label, with_interval
from radflow.evaluation.results import Results
from radflow.metrics.naming import CORPUS, in_order, row_label
from radflow.metrics.table import higher_is_better
from radflow.viewer.verdict import verdict


def print_results(console: Console, results: Results, root: Path) -> None:
    """Print everything a reader of the run must see."""
    console.print(results_table(results))
    if trained := {name: found for name, found in results.gain_over.items() if name in TRAINED_CONTROLS}:
        console.print(_controls_table(results, trained))
        console.print(verdict(results))
    if results.shuffled:
        console.print(_shuffled_table(results))
    for warning in results.warnings:
        console.print(f"[yellow]warning[/]: {warning}")
    seconds = ", ".join(f"{stage} {s:.0f} s" for stage, s in results.seconds.items())
    console.print(f"time: {seconds}")
    console.print(f"page: {root / 'report.html'}")


def results_table(results: Results) -> Table:
    """One row per metric, one column per system, the last the paired gain; means over their 95% intervals.

    Trained controls have a table of their own.

    Says in its title how many studies were scored and whether their images were drawn. A gain whose interval
    holds 0 is dimmed; a gain in the wrong direction is red.
    """
    images = "drawn images" if results.images == "drawn" else "real images"
    table = Table(
        title=f"{results.cases:,} test studies, {images}; mean over its 95% interval",
        caption=f"decoding: {results.decoding}",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        show_edge=False,
        padding=(0, 1, 0, 0),  # three systems and the gain fit into 80 columns
    )
    labels = results.labels
    systems = {name: found for name, found in results.systems.items() if name not in TRAINED_CONTROLS}
    table.add_column("Metric")
    for system in systems:
        table.add_column(system, justify="right", no_wrap=True)
    if results.gain:
        table.add_column("RadFlow − SFT", justify="right", no_wrap=True)
    names = (name for scores in (*systems.values(), results.gain) for name in scores)
    for name in in_order(names):
        cells: list[str | Text] = [_cell(scores.get(name)) for scores in systems.values()]
        if results.gain:
            cells.append(_gain_cell(name, results.gain.get(name)))
        table.add_row(row_label(name, labels), *cells)
        if name == tuple(CORPUS)[-1] and results.drift:
            table.add_row(
                positives_label(results.drift), *_positives(results, systems), "" if results.gain else None
            )
    return table


def _controls_table(results: Results, trained: Mapping[str, Mapping[str, Interval]]) -> Table:
    """RadFlow minus SFT and minus each control that was trained with RFT's compute."""
    gains = {"sft": results.gain, **trained}
    table = Table(
        title="More than its controls? RadFlow minus each, paired; mean over its 95% interval",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("Metric")
    for control in gains:
        table.add_column(control, justify="right", no_wrap=True)
    for name in in_order(metric for found in gains.values() for metric in found):
        row = row_label(name, results.labels)
        table.add_row(row, *(_gain_cell(name, found.get(name)) for found in gains.values()))
    return table


def _positives(results: Results, systems: Mapping[str, object]) -> list[str]:
    """Positives per report of each system."""
    return [number(results.drift.get(system, {}).get("positives"), 2) for system in systems]


def _cell(interval: Interval | None) -> str:
    return with_interval(interval, between="\n")


def _gain_cell(name: str, interval: Interval | None) -> Text:
    if interval is None:
        return Text("–")
    text = with_interval(interval, gain=True, between="\n")
    if not interval.excludes_zero:
        return Text(text, style="dim")
    return Text(text, style="green" if (interval.mean > 0) == higher_is_better(name) else "red")


def _shuffled_table(results: Results) -> Table:
    table = Table(
        title="Does it look? RadFlow with the test images shuffled among studies",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        show_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in ("Metric", "true images", "shuffled", "fall, 95% interval"):
        table.add_column(column, justify="left" if column == "Metric" else "right")
    for name, control in results.shuffled.items():
        table.add_row(
            row_label(name, results.labels),
            number(control.true.mean),
            number(control.shuffled.mean),
            with_interval(control.fall, gain=True),
        )
    return table
