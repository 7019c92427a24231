"""The files of a finished ablation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from radflow.ablation.forms import csv, grids, latex, markdown
from radflow.ablation.results import AblationResult, all_notes, as_json
from radflow.ablation.scores import KEPT
from radflow.files import write_atomic, write_json
from radflow.viewer.charts.rendering import Renderer
from radflow.viewer.templating import render

FILES = ("table.md", "table.tex", "table.csv", "table.json")


def write_all(
    result: AblationResult, figures: Mapping[str, str], out: Path, renderer: Renderer | None = None
) -> None:
    """Write the tables (`FILES`), a figure per study and the page ``report.html``.

    Args:
        result: of the ablation.
        figures: study to its figure, as SVG.
        out: the ablation's folder.
        renderer: draws each figure in other formats too.

    Raises:
        NotWritableError: the folder cannot be written.
    """
    write_json(out / "table.json", as_json(result))
    for name, content in (("md", markdown(result)), ("tex", latex(result)), ("csv", csv(result))):
        write_atomic(out / f"table.{name}", content)
    drawn: dict[str, str | bytes] = {}
    for study, figure in figures.items():
        drawn[figure_name(study, "svg")] = figure
        for kind, content in renderer(figure, f"Study {study}") if renderer else ():
            drawn[figure_name(study, kind)] = content
    for name, content in drawn.items():
        write_atomic(out / name, content)
    write_atomic(out / "report.html", page(result, figures, tuple(drawn)))


def figure_name(study: str, kind: str) -> str:
    """The file of a study's figure.

    >>> figure_name("p10/s 5", "svg")
    'figure-p10-s-5.svg'
    """
    return "figure-" + re.sub(r"[^\w.-]+", "-", study) + f".{kind}"


def page(result: AblationResult, figures: Mapping[str, str], files: Sequence[str] = ()) -> str:
    """A self-contained page, which loads nothing and runs no script; the same result gives the same bytes."""
    tables = [
        {
            "label": table.label,
            "grids": grids(table),
            "notes": all_notes(result, table),
            "runs": [(row.title, row.folders) for row in table.rows if row.folders],
        }
        for table in result.tables
    ]
    return render(
        "ablation.jinja",
        styles=("page.css", "ablation.css"),
        result=result,
        tables=tables,
        figures=figures,
        files=(*FILES, KEPT, *files),
    )
