"""Where a file of reports keeps its ids and texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from radflow.errors import DataError
from radflow.evaluation.files.predictions import PREDICTIONS, REFERENCES, study_id
from radflow.reports import parse_report, render_report
from radflow.reports.headers import Headers
from radflow.tables import Remarks, Row, find_column, missing, plain_name

Section = Literal["report", "findings", "impression"]

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "findings": ("findings", "section_findings"),
    "impression": ("impression", "section_impression"),
}
"""A section to the columns that hold it, in MIMIC-CXR, ReXGradient, Open-i and ReXrank files."""


def report_texts(
    rows: Iterable[Row],
    *,
    section: Section = "report",
    column: str | None = None,
    id_column: str | None = None,
    headers: Headers | None = None,
    remarks: Remarks | None = None,
) -> Iterator[tuple[str, str]]:
    """The id and the text of each row; case and blanks in the names of columns make no difference.

    Args:
        rows: of a file.
        section: the whole report, or one section: from its own column, else as the parser finds it.
        column: where the report stands, when it is none of the usual names.
        id_column: where the id stands, likewise.
        headers: names of the sections, where they are not the usual ones.
        remarks: takes how many rows have no id, and how to name its column.

    Yields:
        the id, the row's number where it has none, and the text, ``""`` where there is none.

    Raises:
        DataError: a row without any column that could be a report, or with something else than text there.

    >>> list(report_texts([Row("r.csv:2", {"study": "s5", "Findings": "Clear.", "Impression": "Normal."})]))
    [('s5', 'Findings: Clear. Impression: Normal.')]
    """
    for number, row in enumerate(rows, start=1):
        fields = {plain_name(name): value for name, value in row.fields.items()}
        study = study_id(row.fields, id_column, row.where)
        if study is None and remarks is not None:
            remarks.add("reports without an id, named by their number (--id-column names it)", row.where)
        text = _text(row, fields, section, column, headers)
        if not text and section == "report" and remarks is not None:
            remarks.add("reports without text", row.where)
        yield study or str(number), text


def _text(
    row: Row, fields: Mapping[str, Any], section: Section, column: str | None, headers: Headers | None
) -> str:
    where = row.where
    if column is not None:
        name = find_column(column, row.fields, where, "--report-column")
        whole: str | None = _string(row.fields, name, where)
    else:
        own = {name: _first(fields, columns, where) for name, columns in SECTIONS.items()}
        if section != "report" and own[section] is not None:
            return own[section] or ""
        whole = _first(fields, (*PREDICTIONS, *REFERENCES), where)
        if whole is None and any(text is not None for text in own.values()):
            whole = _joined(own["findings"], own["impression"])
    if whole is None:
        names = ", ".join((*PREDICTIONS, *REFERENCES, "findings", "impression"))
        raise DataError(
            f"{where}: expected the report in a column {names}; found {', '.join(row.fields)}. "
            "Name it with --report-column."
        )
    if section == "report":
        return whole.strip()
    report = parse_report(whole, headers)
    return (report.findings if section == "findings" else report.impression) or ""


def _joined(findings: str | None, impression: str | None) -> str:
    """One section alone stands as it is; both make a report."""
    if findings and impression:
        return render_report(findings, impression)
    return findings or impression or ""


def _first(fields: Mapping[str, Any], names: Iterable[str], where: str) -> str | None:
    """The first of some columns that says something; ``""`` where all that are there are blank."""
    there = [name for name in names if name in fields]
    texts = (_string(fields, name, where) for name in there)
    return next((text for text in texts if text), "" if there else None)


def _string(fields: Mapping[str, Any], name: str, where: str) -> str:
    value = fields[name]
    if missing(value):
        return ""
    if not isinstance(value, str):
        raise DataError(f"{where}: {name!r} should be text, got {value!r:.40}")
    return value
