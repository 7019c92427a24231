"""``radflow compare``: two scored systems, study by study."""

from __future__ import annotations

import io
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from radflow.cli.overrides import names_in
from radflow.errors import DataError
from radflow.evaluation.comparing.comparison import ALPHA, Comparison, compare
from radflow.evaluation.files.scores import read_scores
from radflow.evaluation.notation import number, with_interval
from radflow.files import write_atomic, write_json
from radflow.tables.writing import csv_writer
from radflow.viewer.comparison import p_text, positives_text, render_comparison


def compare_command(
    screen: Console,
    a: Path,
    b: Path,
    *,
    metrics: str | None,
    out: Path | None,
    resamples: int,
    seed: int,
) -> None:
    """Compare two scored systems, print the table, and write it with a page where asked."""
    if resamples < 1:
        raise DataError(f"--resamples: expected at least 1, got {resamples}")
    names = None if metrics is None else names_in(metrics)
    comparison = compare(read_scores(a), read_scores(b), names, resamples=resamples, seed=seed)
    screen.print(comparison_table(comparison))
    if comparison.positives:
        screen.print(f"positives per report: {positives_text(comparison)}", markup=False)
    for warning in comparison.warnings:
        screen.print(f"[yellow]note[/]: {escape(warning)}")
    screen.print(escape(comparison.verdict))
    if out is not None:
        write_json(out / "comparison.json", comparison.as_dict())
        write_atomic(out / "comparison.csv", _csv(comparison))
        write_atomic(out / "comparison.html", render_comparison(comparison))
        screen.print(f"wrote comparison.json, comparison.csv and comparison.html to {escape(str(out))}")


def comparison_table(comparison: Comparison) -> Table:
    """One row per metric: both means, the difference with its interval, p values, the better system."""
    patients = f" of {comparison.patients:,} patients" if comparison.patients is not None else ""
    systems = escape(f"A: {comparison.a}, B: {comparison.b}")
    table = Table(
        title=f"{comparison.studies:,} studies{patients}. {systems}",
        caption=f"p: paired sign flips, Holm's correction; better: p at most {ALPHA:g}, interval without 0",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("Metric")
    for column in ("A", "B", "B − A, 95% interval", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("better", no_wrap=True)
    for row in comparison.metrics:
        table.add_row(
            escape(f"{row.label} {'↑' if row.higher_is_better else '↓'}"),
            number(row.mean_a),
            number(row.mean_b),
            escape(with_interval(row.difference, gain=True)),
            p_text(row.p_holm),
            row.better or "no evidence",
            style=None if row.better else "dim",
        )
    return table


def _csv(comparison: Comparison) -> str:
    text = io.StringIO()
    rows = comparison.as_dict()["metrics"]
    write = csv_writer(text)
    write(["metric", *next(iter(rows.values()))])
    for name, figures in rows.items():
        write([name, *figures.values()])
    return text.getvalue()
