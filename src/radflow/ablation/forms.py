"""An ablation's tables as lines of cells, and those as Markdown, LaTeX (booktabs) and CSV.

Screen and page print the same lines. A row is a line of figures, and where the paper prints some a second
one; differences to the row of ``compare_with`` and claims have tables of their own.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import Literal

from radflow.ablation.results import (
    DECIDE,
    NOT_YET,
    AblationResult,
    Difference,
    RowResult,
    TableResult,
    all_notes,
)
from radflow.evaluation.notation import number, with_interval
from radflow.metrics.naming import arrow
from radflow.tables.writing import csv_writer

Kind = Literal["group", "row", "paper", "missing"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a table.

    Attributes:
        kind: ``group`` is a heading; ``missing`` has one cell, the reason, for all columns.
        name: in the first column.
        cells: the others.
    """

    kind: Kind
    name: str
    cells: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table as it is printed; ``caption`` is a sentence."""

    caption: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


def grids(table: TableResult) -> list[Grid]:
    """The figures of a table, and the differences where a row is compared with."""
    columns = tuple(f"{facts.label} {arrow(facts.higher_is_better)}" for facts in table.metrics.values())
    printed = f"; paper: {table.dataset} as printed" if any(row.paper for row in table.rows) else ""
    found = [
        Grid(
            caption=f"{table.label}: mean over seeds with its 95 % interval; {table.sample}{printed}",
            columns=(*columns, *_positives(table)),
            lines=tuple(_figures(table)),
        )
    ]
    if any(row.differences for row in table.rows):
        found.append(
            Grid(
                caption=f"{table.label}: each row minus {table.compared}, on the same studies, with its 95 % "
                "interval and corrected p; * where the interval leaves 0 out and p is at most 0.05",
                columns=columns,
                lines=tuple(_differences(table)),
            )
        )
    if table.answers:
        found.append(
            Grid(
                caption=f"{table.label}: what the seeds say of each claim, by the difference of its two rows "
                "on the same studies, above 0 where the claim is right; it holds or fails where the 95 % "
                f"interval of {DECIDE} seeds or more leaves 0 out",
                columns=("verdict", "difference"),
                lines=tuple(_answers(table)),
            )
        )
    return found


def _positives(table: TableResult) -> tuple[str, ...]:
    """The column of labels per report, where labels were read."""
    return () if table.positives is None else (f"positives (references {number(table.positives, 2)})",)


def _figures(table: TableResult) -> Iterator[Line]:
    group = ""
    for row in table.rows:
        if row.group and row.group != group:
            yield Line(kind="group", name=row.group)
        group = row.group
        if row.figures:
            found = [row.figures.get(name) for name in table.metrics]
            found += [row.positives for _ in _positives(table)]
            yield Line(kind="row", name=row.name, cells=tuple(map(with_interval, found)))
        else:
            yield Line(kind="missing", name=row.name, cells=(_why(row),))
        if row.paper:
            cells = [number(row.paper.get(name)) for name in table.metrics]
            yield Line(kind="paper", name="paper", cells=(*cells, *("" for _ in _positives(table))))


def _why(row: RowResult) -> str:
    if row.missing == NOT_YET:
        return NOT_YET
    return f"failed: {row.missing}" if row.failed else f"not run: {row.missing}" if row.missing else "not run"


def _differences(table: TableResult) -> Iterator[Line]:
    group = ""
    for row in table.rows:
        if not row.differences:
            continue
        if row.group and row.group != group:
            yield Line(kind="group", name=row.group)
        group = row.group
        cells = (_difference(row.differences.get(name)) for name in table.metrics)
        yield Line(kind="row", name=row.name, cells=tuple(cells))


def _answers(table: TableResult) -> Iterator[Line]:
    for says, answers in groupby(table.answers, key=lambda answer: answer.says):
        lines = [*answers]
        first = lines[0]
        studies = ", critical studies" if first.studies == "critical" else ""
        count = len(first.seeds)
        seeds = f", {count} seed{'s' if count > 1 else ''}" if count else ""
        yield Line(kind="group", name=f"{says}: {first.row} − {first.than}{studies}{seeds}")
        for answer in lines:
            cells = (answer.verdict, with_interval(answer.found, gain=True))
            yield Line(kind="row", name=answer.label, cells=cells)


def _difference(found: Difference | None) -> str:
    if found is None:
        return "–"
    p = "" if math.isnan(found.p_holm) else f" p {p_text(found.p_holm)}"
    return f"{with_interval(found.found, gain=True)}{p}{'*' if found.clear else ''}"


def p_text(p: float) -> str:
    """Write a p value.

    >>> p_text(0.0123), p_text(0.00004)
    ('0.012', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else number(p)


# ---- Markdown ----------------------------------------------------------------------------------------------


def markdown(result: AblationResult) -> str:
    """The tables as Markdown."""
    parts = [f"# {result.title}", result.about, f"Seeds: {', '.join(map(str, result.seeds))}."]
    for table in result.tables:
        parts.append(f"## {table.label}")
        parts += map(markdown_grid, grids(table))
        parts.append(markdown_notes(result, table))
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_grid(grid: Grid) -> str:
    """One table as Markdown, below its caption."""
    head = ["", *grid.columns]
    rows = [_markdown_row(line, len(head)) for line in grid.lines]
    lines = [_bars(head), _bars(["---", *["---:"] * len(grid.columns)]), *rows]
    return "\n".join([f"{_plain(grid.caption)}.", "", *lines])


def markdown_notes(result: AblationResult, table: TableResult) -> str:
    """What stands below a table, as a list in Markdown."""
    return "\n".join(f"- {_plain(note)}" for note in all_notes(result, table))


def _markdown_row(line: Line, width: int) -> str:
    name = f"**{_plain(line.name)}**" if line.kind == "group" else _plain(line.name)
    cells = [_plain(cell) for cell in line.cells]
    if line.kind == "paper":
        name, cells = f"*{name}*", [f"*{cell}*" for cell in cells]
    return _bars([name, *cells, *[""] * (width - 1 - len(cells))])


def _bars(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    return re.sub(r"([\\|*_`<\[])", r"\\\1", text.replace("\n", " "))


# ---- LaTeX -------------------------------------------------------------------------------------------------

_BELOW = re.compile(r" (?=\[)|(?<=\]) (?=p )")
_GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "kappa", "lambda", "mu", "sigma", "tau")
_TEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    **{sign: rf"$\{name}$" for sign, name in zip("αβγδεκλμστ", _GREEK, strict=True)},
}
"""Knobs have Greek letters, and pdfLaTeX has none outside of formulas."""


_FITTED = r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%"
"""Begins a box that is as wide as it has to be, but no wider than the page's text."""
_BOX = r"\parbox[t]{{{}\textwidth}}{{\raggedright {}\strut}}"
_LONG = 40  # letters of a name that is broken into lines


def latex(result: AblationResult) -> str:
    """The tables as LaTeX, for a paper that loads ``booktabs`` and ``graphicx``."""
    parts = ["% \\usepackage{booktabs,graphicx}", f"% {_one_line(result.title)}"]
    for table in result.tables:
        for grid in grids(table):
            width = len(grid.columns)
            rows = [_latex_row(line, width, first=at == 0) for at, line in enumerate(grid.lines)]
            heads = " & ".join(["", *map(_latex_head, grid.columns)])
            lines = [
                r"\begin{table*}",
                r"\centering",
                rf"\caption{{{_tex(grid.caption)}.}}",
                _FITTED,
                rf"\begin{{tabular}}{{l{'r' * width}}}",
                r"\toprule",
                rf"{heads} \\",
                r"\midrule",
                *rows,
                r"\bottomrule",
                r"\end{tabular}}",
                r"\end{table*}",
            ]
            parts.append("\n".join(lines))
        parts.append("\n".join(f"% {_one_line(note)}" for note in all_notes(result, table)))
    return "\n\n".join(parts) + "\n"


def _latex_head(column: str) -> str:
    """A column's label; what stands in brackets goes below it."""
    lines = r"\\(".join(map(_tex, column.split(" (", 1)))
    return rf"\shortstack[r]{{{lines}}}"


def _latex_row(line: Line, width: int, *, first: bool) -> str:
    """A line of a table as lines of LaTeX: what belongs to a figure, its interval and p, stands below it."""
    if line.kind == "group":
        rule = "" if first else "\\addlinespace\n"
        name = rf"\textbf{{{_tex(line.name)}}}"
        name = _BOX.format(0.7, name) if len(line.name) > _LONG else name
        return rf"{rule}\multicolumn{{{width + 1}}}{{l}}{{{name}}} \\"
    if line.kind == "missing":
        reason = _BOX.format(0.6, rf"\emph{{{_tex(line.cells[0])}}}")
        return rf"{_latex_name(line.name)} & \multicolumn{{{width}}}{{l}}{{{reason}}} \\"
    if line.kind == "paper":
        printed, *cells = (rf"\textit{{{_tex(cell)}}}" for cell in (line.name, *line.cells))
        return rf"\quad{' & '.join([printed, *cells])} \\"
    figures, *below = zip_longest(*(_BELOW.split(cell) for cell in line.cells), fillvalue="")
    rows = [[_latex_name(line.name), *map(_tex, figures)]]
    rows += [["", *(rf"\scriptsize {_tex(cell)}" if cell else "" for cell in cells)] for cells in below]
    return "\n".join(rf"{' & '.join(cells)} \\" for cells in rows)


def _latex_name(name: str) -> str:
    r"""A row's name; after ``\\`` LaTeX would take a bracket or star for an option of the line break."""
    found = re.sub(r"^[\[*]", r"{\g<0>}", _tex(name))
    return _BOX.format(0.3, found) if len(name) > _LONG else found


def _tex(text: str) -> str:
    return "".join(_TEX.get(sign, sign) for sign in _one_line(text))


def _one_line(text: str) -> str:
    return " ".join(text.split())


# ---- CSV ---------------------------------------------------------------------------------------------------

_HEAD = ("recipe", "group", "row", "metric", "mean", "low", "high", "paper")
_HEAD += ("difference", "difference_low", "difference_high", "p", "p_holm", "missing")


def csv(result: AblationResult) -> str:
    """One line per row and metric, as CSV."""
    file = io.StringIO(newline="")
    write = csv_writer(file)
    write(_HEAD)
    for table in result.tables:
        for row in table.rows:
            for metric, facts in table.metrics.items():
                found, minus = row.figures.get(metric), row.differences.get(metric)
                ends = (found.mean, found.low, found.high) if found else (math.nan,) * 3
                gap = minus.found if minus else None
                gaps = (gap.mean, gap.low, gap.high) if gap else (math.nan,) * 3
                tests = (minus.p, minus.p_holm) if minus else (math.nan,) * 2
                numbers = [*map(_cell, ends), row.paper.get(metric, ""), *map(_cell, (*gaps, *tests))]
                write([table.label, row.group, row.name, facts.label, *numbers, row.missing])
    return file.getvalue()


def _cell(value: float) -> float | str:
    return round(value, 6) if math.isfinite(value) else ""
