"""The ReXrank protocol: its two tracks, the text that is scored, and its files, in both directions.

A submission is a JSON object keyed by study id. Each record has ``section_findings``, ``section_impression``,
``report``, ``context``, image paths, and the system's report as ``model_prediction``; the scoring script
flattens it to CSV with the columns ``study_id,report``. ``predictions.py`` reads both forms; this module
writes them. The submission is JSON and holds each report exactly. In the CSV a report that a spreadsheet
would execute, such as one that begins with a list's "-", has an apostrophe before it
(`radflow.tables.writing`). ReXrank's scoring script would count that as part of the first word: submit the
JSON.

Source: https://github.com/rajpurkarlab/ReXrank.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from radflow.errors import DataError
from radflow.evaluation.files.predictions import study_id
from radflow.files import atomic_file
from radflow.reports import parse_report, render_report
from radflow.reports.files import read_rows
from radflow.tables import Row, ending
from radflow.tables.writing import csv_writer

BOTH = "findings+impression"
FINDINGS = "findings"
TRACKS = (BOTH, FINDINGS)
"""Findings with Impression is the default: the published MIMIC-CXR rows are of this track."""


def scored_text(text: str, track: str = BOTH) -> str:
    """The part of a report that a track scores; ``""`` where it has none of it.

    On the track ``findings+impression`` it is both sections in one line where both are known, and the report
    as it stands otherwise. On the track ``findings`` it is the Findings section; a report whose sections are
    not told apart is taken as findings, because systems of that track write them bare.

    Raises:
        DataError: no such track.

    >>> scored_text("FINDINGS: Clear. IMPRESSION: Normal.")
    'Findings: Clear. Impression: Normal.'
    >>> scored_text("FINDINGS: Clear. IMPRESSION: Normal.", "findings"), scored_text("Clear.", "findings")
    ('Clear.', 'Clear.')
    >>> scored_text("Findings: None Impression: Normal.", "findings")
    ''
    """
    if track not in TRACKS:
        raise DataError(f"Expected the track to be one of {', '.join(TRACKS)}; got {track!r}.")
    if track == BOTH:
        return parse_report(text).canonical
    report = parse_report(text)
    if report.findings is None and report.impression is None:
        return text
    return report.findings or ""


def submitted_text(text: str) -> str:
    """A report in the form of the protocol: a section that is missing is the word ``None``.

    A report whose sections are not told apart stays as it is.

    >>> submitted_text("IMPRESSION: Normal.")
    'Findings: None Impression: Normal.'
    >>> submitted_text("Normal.")
    'Normal.'
    """
    report = parse_report(text)
    if report.findings is None and report.impression is None:
        return text
    return render_report(report.findings, report.impression)


def write_submission(
    path: Path, records: Path, generated: Callable[[str], str | None], id_column: str | None = None
) -> tuple[int, int]:
    """Write a system's reports as a ReXrank file: ``.json`` for the submission, ``.csv`` for the flat form.

    Args:
        path: what to write.
        records: the file whose studies are submitted, such as ReXrank's own; its fields are kept.
        generated: study id to the system's report, or ``None`` where it has none.
        id_column: where ``records`` keep the id, when it is none of the usual names.

    Returns:
        how many studies were written, and how many of ``records`` were left out for want of a report.

    Raises:
        DataError: another ending, or a record without a study id.
        NotWritableError: the place cannot be written.
    """
    write = {".json": _write_json, ".csv": _write_csv}.get(ending(path))
    if write is None or path.suffix.lower() == ".gz":
        raise DataError(f"{path}: expected a name ending in .json (submission) or .csv (study_id,report)")
    left_out = 0
    rows: list[tuple[str, Row, str]] = []
    for row in read_rows(records):
        study = study_id(row.fields, id_column, row.where, required=False)
        if study is None:
            raise DataError(f"{row.where}: expected a study id in study_id or id")
        text = generated(study)
        if text is None:
            left_out += 1
        else:
            rows.append((study, row, submitted_text(text)))
    write(path, rows)
    return len(rows), left_out


def _write_json(path: Path, rows: list[tuple[str, Row, str]]) -> None:
    submission = {
        study: {**{n: v for n, v in row.fields.items() if n != "study_id"}, "model_prediction": text}
        for study, row, text in rows
    }
    with atomic_file(path) as file:
        json.dump(submission, file, ensure_ascii=False, indent=1)
        file.write("\n")


def _write_csv(path: Path, rows: list[tuple[str, Row, str]]) -> None:
    with atomic_file(path) as file:
        write = csv_writer(file)
        write(("study_id", "report"))
        for study, _, text in rows:
            write((study, text))
