"""The table of ``radflow score`` on the screen: the numbers, and how far to trust them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from radflow.evaluation.notation import brackets, number
from radflow.evaluation.summary import INVERSE
from radflow.metrics.naming import in_order


def print_scores(screen: Console, summary: Mapping[str, Any], *, title: str) -> None:
    """Print what :func:`~radflow.evaluation.summary.summarise_scores` gives."""
    screen.print(_table(summary, title))
    for name, baseline in summary["baselines"].items():
        screen.print(f"{name}: {baseline['label']}", markup=False)
    counts, reports = summary["counts"], summary["reports"]
    distinct = summary["pairs"] - counts["duplicates"]
    screen.print(
        f"{counts['empty']:,} empty, {distinct:,} distinct of {summary['pairs']:,} reports; "
        f"{reports['words']:.0f} words each, references {reports['reference_words']:.0f}"
    )
    screen.print(
        f"{reports['positives']:.2f} positives per report, references {reports['reference_positives']:.2f}"
    )
    if reports["stated_by_both"]:
        screen.print(
            f"of {reports['stated_by_both']:,} observations that both reports of a pair assert or deny, "
            f"{reports['flips']:.1%} are asserted by one and denied by the other"
        )
    if "chexpert_f1_corpus" in summary:
        screen.print(_corpus(summary))
    split = f", split {summary['split']}" if summary["split"] else ""
    screen.print(
        f"track {summary['track']}{split}; intervals: bootstrap over {_units(summary)}", markup=False
    )
    for warning in summary["warnings"]:
        screen.print(Text.assemble(("warning", "yellow"), f": {warning}"))


def _corpus(summary: Mapping[str, Any]) -> str:
    forms = summary["chexpert_f1_corpus"]
    said = [
        f"uncertain as {state}: "
        + ", ".join(
            f"{average} of {count} {number(forms[f'{average}_f1_{count}_uncertain_{state}'])}"
            for count in (14, 5)
            for average in ("micro", "macro", "weighted")
        )
        for state in ("positive", "negative")
    ]
    return f"{summary['metrics']['chexpert_f1']['label']} over the corpus; {'; '.join(said)}"


def _units(summary: Mapping[str, Any]) -> str:
    if summary["resampled"] == "patients":
        return f"{summary['patients']:,} patients"
    return "studies, as no patient is known"


def _table(summary: Mapping[str, Any], title: str) -> Table:
    table = Table(title=Text(f"{title}: {summary['pairs']:,} pairs"))
    table.add_column("metric")
    for column in (f"{summary['system']}, 95% interval", *summary["baselines"]):
        table.add_column(Text(column), justify="right")
    for name in in_order(summary["metrics"]):
        metric = summary["metrics"][name]
        arrow = "↑" if metric["higher_is_better"] else "↓"
        theirs = [number(b["metrics"][name]["mean"]) for b in summary["baselines"].values()]
        table.add_row(Text(f"{metric['label']} {arrow}"), _interval(metric), *theirs)
    if INVERSE in summary:
        blanks = [""] * len(summary["baselines"])
        table.add_row("1/RadCliQ-v1 ↑", _interval(summary[INVERSE]), *blanks)
    return table


def _interval(metric: Mapping[str, Any]) -> Text:
    ends = brackets(metric["low"], metric["high"])
    return Text(f"{number(metric['mean'])} {ends}".rstrip())
