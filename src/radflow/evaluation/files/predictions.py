"""Read files of generated reports: CSV, JSON as ReXrank submissions are, and JSONL.

A record has a study id and a prediction, and may carry its reference:

    study id      ``study_id``, ``id`` and its like (`IDS`; ReXrank: the key of the object)
    prediction    ``model_prediction``, ``prediction``, ``report``, ``generated`` or ``text``; or its sections
                  apart: ``findings`` and ``impression``, with ``generated_``, ``predicted_`` or
                  ``prediction_`` before both where the file has references too
    reference     ``reference``, ``ground_truth``, or the sections with ``section_`` (ReXrank),
                  ``reference_`` or ``ground_truth_`` before both
    patient       ``patient_id`` or ``subject_id``
    context       ``context`` or ``indication``: what was known before the study was read
    split         ``split``

Case and blanks in these names make no difference, and `Columns` names others. A prediction that is null, NaN
or blank is an empty report: the system wrote nothing, and is scored so. An empty reference counts as none:
the study is left out, and listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.errors import DataError, MissingFileError
from radflow.reports import render_report
from radflow.reports.files import read_rows
from radflow.studies.sources.own_table import USUAL
from radflow.tables import TABLES, Remarks, ending, find_column, identifier, missing, plain_name

IDS = USUAL["study_id"]
PREDICTIONS = ("model_prediction", "prediction", "report", "generated", "text")
REFERENCES = ("reference", "ground_truth")
SECTIONS = ("findings", "impression")
OF_PREDICTION = ("generated_", "predicted_", "prediction_", "")
OF_REFERENCE = ("section_", "reference_", "ground_truth_")
"""What stands before the names of both sections."""
PATIENTS = ("patient_id", "subject_id")
CONTEXTS = ("context", "indication")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns hold what, where they have none of the usual names.

    Attributes:
        study_id, report, reference: the names.
        required: whether a row without one of these is an error; otherwise the usual names serve there.
    """

    study_id: str | None = None
    report: str | None = None
    reference: str | None = None
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One record of a file.

    Attributes:
        study_id: as written.
        text: the generated report, or the only report of the record; ``""`` where the system wrote none.
        reference: the reference report where the record carries one.
        patient_id: whose study it is, where the record says.
        context: the indication, where the record says.
        split: of the data set, where the record says.
    """

    study_id: str
    text: str
    reference: str | None
    patient_id: str | None = None
    context: str | None = None
    split: str | None = None

    @property
    def truth(self) -> str | None:
        """The reference where this record is one of a file of references: its only report if need be."""
        if self.reference is not None:
            return self.reference
        return self.text if self.text.strip() else None


def read_predictions(
    path: Path, columns: Columns | None = None, remarks: Remarks | None = None
) -> Iterator[Prediction]:
    """Read a file of reports record by record; of those read, only the ids and places stay in memory.

    Args:
        path: a table of `radflow.tables`.
        columns: which hold what.
        remarks: collects remarks on how the rows were read.

    Raises:
        MissingFileError: no such file.
        DataError: not one of the formats, no known column, a row with too few or too many fields, an id that
            is missing or stands twice. The message names the line or the record.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; expected a table with study ids and reports")
    if path.is_file() and ending(path) not in TABLES:
        raise DataError(f"{path}: expected a name ending in {', '.join(TABLES)} (or with .gz behind)")
    seen: dict[str, str] = {}
    for row in read_rows(path, remarks):
        where = row.where
        record = _record(row.fields, columns or Columns(), where)
        if record.study_id in seen:
            raise DataError(
                f"{where}: study {record.study_id!r} stands there already at {seen[record.study_id]}"
            )
        seen[record.study_id] = where
        yield record
    if not seen:
        raise DataError(f"{path}: expected reports, found none")


def study_id(
    fields: Mapping[str, Any], column: str | None, where: str, *, required: bool = True
) -> str | None:
    """The id of a row; ``None`` where it has none.

    Args:
        fields: of the row.
        column: where it stands, when it is none of the usual names.
        where: the row, for the message.
        required: whether ``column`` must be there.

    Raises:
        DataError: ``column`` is not there.
    """
    named = _named(fields, column, where, "--id-column", required)
    if named is not None:
        return identifier(fields[named])
    plain = {plain_name(name): value for name, value in fields.items()}
    return next((found for name in IDS if (found := identifier(plain.get(name))) is not None), None)


def _named(
    fields: Mapping[str, Any], column: str | None, where: str, flag: str, required: bool
) -> str | None:
    """The column that somebody named, in this row."""
    if column is None or not (required or any(plain_name(name) == plain_name(column) for name in fields)):
        return None
    return find_column(column, fields, where, flag)


def _record(fields: Mapping[str, Any], columns: Columns, where: str) -> Prediction:
    study = study_id(fields, columns.study_id, where, required=columns.required)
    if study is None:
        raise DataError(
            f"{where}: expected a study id in one of {', '.join(IDS)}; found {', '.join(map(str, fields))}. "
            "Name it with --id-column."
        )
    row = {plain_name(name): value for name, value in fields.items()}
    said = _named(fields, columns.reference, where, "--reference-column", columns.required)
    reference = _text(row, REFERENCES, where) if said is None else _text(fields, (said,), where)
    if reference is None and said is None:
        sections = _sections(row, OF_REFERENCE, where)
        reference = render_report(*sections) if any(sections) else None
    said = _named(fields, columns.report, where, "--report-column", columns.required)
    if said is not None:
        text = _text(fields, (said,), where) or ""
    elif any(name in row for name in PREDICTIONS):
        text = _text(row, PREDICTIONS, where) or ""
    elif sections := _sections(row, OF_PREDICTION, where):
        named = zip(("Findings", "Impression"), sections, strict=True)
        text = " ".join(f"{name}: {said}" for name, said in named if said)  # no None that nobody generated
    elif reference is not None:
        text = reference  # a file of references alone
    else:
        raise DataError(
            f"{where}: expected a report in one of {', '.join(PREDICTIONS)}, or {' and '.join(SECTIONS)}; "
            f"found {', '.join(map(str, fields))}. Name it with --report-column."
        )
    return Prediction(
        study_id=_unicode(study, where),
        text=text,
        reference=reference,
        patient_id=_plain(row, PATIENTS, where),
        context=_plain(row, CONTEXTS, where),
        split=_plain(row, ("split",), where),
    )


def _plain(row: Mapping[str, Any], names: Sequence[str], where: str) -> str | None:
    """The first of some fields that says something, whatever its type."""
    return next(
        (_unicode(str(row[name]).strip(), where) for name in names if not missing(row.get(name))), None
    )


def _text(row: Mapping[str, Any], names: Sequence[str], where: str) -> str | None:
    """The first of some fields that says something."""
    for name in names:
        value = row.get(name)
        if missing(value):
            continue
        if not isinstance(value, str):
            raise DataError(f"{where}: {name!r} should be text, got {value!r:.40}")
        return _unicode(value, where)
    return None


def _sections(row: Mapping[str, Any], before: Sequence[str], where: str) -> tuple[str | None, ...]:
    """Findings and Impression, if the row has a column for one of them under one of the names."""
    for prefix in before:
        names = [prefix + section for section in SECTIONS]
        if any(name in row for name in names):
            return tuple(_text(row, (name,), where) for name in names)
    return ()


def _unicode(text: str, where: str) -> str:
    """JSON can spell half a character (``\\ud800``), which no file of text can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: expected Unicode text, got {error}") from None
    return text
