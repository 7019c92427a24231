"""What a run prints at its end: the table, the shuffled-images control, warnings, and where the page is."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from radflow.evaluation import Results, results_table


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
    table = Table(title="Does it look at the picture? RadFlow with the test images shuffled among studies")
    for column in ("metric", "true images", "shuffled", "fall [95%]"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    labels = results.extra.get("labels", {})
    for name, control in results.shuffled.items():
        fall = control.fall
        table.add_row(
            labels.get(name, name),
            f"{control.true.mean:.3f}",
            f"{control.shuffled.mean:.3f}",
            f"{fall.mean:+.3f} \\[{fall.low:+.3f}, {fall.high:+.3f}]",
        )
    return table
