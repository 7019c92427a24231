"""What a run prints at its end: the table, the shuffled-images control, warnings, and where the page is."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from radflow.evaluation import Results, results_table
from radflow.evaluation.notation import number, with_interval
from radflow.evaluation.tables import row_label


def print_results(console: Console, results: Results, root: Path) -> None:
    """Print everything a reader of the run must see."""
    console.print(results_table(results))
    if results.shuffled:
        console.print(_shuffled_table(results))
    for warning in results.extra.get("warnings", []):
        console.print(f"[yellow]warning[/]: {warning}")
    seconds = ", ".join(f"{stage} {s:.0f} s" for stage, s in results.seconds.items())
    console.print(f"time: {seconds}")
    console.print(f"page: {root / 'report.html'}")


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
            row_label(name),
            number(control.true.mean),
            number(control.shuffled.mean),
            with_interval(control.fall, gain=True),
        )
    return table
