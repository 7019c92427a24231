"""What ``radflow headroom`` prints: a table per policy, and what it means for RFT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from radflow.evaluation.intervals import Interval
from radflow.evaluation.notation import number, with_interval


def print_headroom(console: Console, found: Mapping[str, Any], file: Path) -> None:
    """Print what `radflow.evaluation.decoding.headroom.measure_headroom` found for each policy."""
    for name, measured in found["policies"].items():
        console.print(_table(name, measured, found))
        console.print(measured["conclusion"], markup=False)
    console.print(f"wrote {escape(str(file))}")


def _table(name: str, measured: Mapping[str, Any], found: Mapping[str, Any]) -> Table:
    first = next(iter(measured["labels"]))
    table = Table(
        title=f"{name}: {found['studies']:,} studies ({found['split']}), {found['samples']} samples of each "
        f"at temperature {found['temperature']:g}",
        caption=f"over greedy: {measured['labels'][first]}, paired, 95% interval; Pos.: positives per "
        f"report, references {measured['references']:.2f}; the samples of {measured['differ']:.0%} of the "
        "studies differ in their labels",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("Reports", no_wrap=True)
    for label in (*measured["labels"].values(), "Pos."):
        short = label.partition(" (")[0]
        table.add_column(short, justify="right", min_width=max(map(len, short.split())))
    table.add_column("over greedy", justify="right", no_wrap=True)
    for decoding, figures in measured["decodings"].items():
        means = [number(figures.get(metric, {}).get("mean")) for metric in measured["labels"]]
        gain = with_interval(Interval(**figures["gain"][first]), gain=True)
        table.add_row(decoding, *means, number(figures["positives"], 2), gain if decoding != "greedy" else "")
    return table
