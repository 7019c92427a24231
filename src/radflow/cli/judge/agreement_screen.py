"""Two judges' agreement on the screen and in JSON: the table, three measures, their intervals."""

from __future__ import annotations

import math
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from radflow.evaluation.notation import brackets, number
from radflow.judges.agreement import Agreement, Coefficient

MEASURES = {"raw": "equal answers", "kappa": "Cohen's kappa", "ac1": "Gwet's AC1"}


def print_agreement(
    screen: Console, found: Agreement, *, title: str, judges: tuple[str, str], answers: tuple[str, str]
) -> None:
    """Print the table of counts and the measures.

    Args:
        screen: where to.
        found: the agreement.
        title: above both.
        judges: names, rows then columns.
        answers: the words for yes and no.
    """
    screen.print(Text(title, style="bold"))
    screen.print(_counts(found, judges, answers))
    screen.print()
    screen.print(_measures(found))
    screen.print()
    if math.isnan(found.kappa.value):
        screen.print("kappa is undefined: both judges give one and the same answer throughout")


def plain_table(*columns: str) -> Table:
    """A table without frame, its first column to the left and the others to the right."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if place else "left", overflow="fold")
    return table


def agreement_record(found: Agreement) -> dict[str, Any]:
    """Counts and measures for JSON; what is undefined is null.

    >>> from radflow.judges.agreement import agreement
    >>> record = agreement_record(agreement([True, True], [True, True]))
    >>> record["yes_yes"], record["raw"]["value"], record["kappa"]["value"]
    (2, 1.0, None)
    """
    counts = {name: getattr(found, name) for name in ("yes_yes", "yes_no", "no_yes", "no_no")}
    return counts | {name: _record(getattr(found, name)) for name in MEASURES}


def _record(measure: Coefficient) -> dict[str, float | None]:
    return {name: None if math.isnan(number) else number for name, number in vars(measure).items()}


def _counts(found: Agreement, judges: tuple[str, str], answers: tuple[str, str]) -> Table:
    (first, second), (yes, no) = judges, answers
    table = plain_table("", f"{second}: {yes}", f"{second}: {no}")
    table.add_row(Text(f"{first}: {yes}"), f"{found.yes_yes:,}", f"{found.yes_no:,}")
    table.add_row(Text(f"{first}: {no}"), f"{found.no_yes:,}", f"{found.no_no:,}")
    return table


def _measures(found: Agreement) -> Table:
    table = plain_table(f"of {found.questions:,} in both", "value, 95% interval")
    for name, label in MEASURES.items():
        measure: Coefficient = getattr(found, name)
        table.add_row(label, Text(f"{number(measure.value)} {brackets(measure.low, measure.high)}".rstrip()))
    return table
