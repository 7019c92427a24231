"""Read files of generated reports: CSV, JSON as ReXrank submissions are, and JSONL.

A record has a study id and a prediction, and may carry its reference:

    study id      ``study_id`` or ``id`` (ReXrank: the key of the object)
    prediction    ``model_prediction``, ``prediction``, ``report``, ``generated`` or ``text``
    reference     ``reference``, ``ground_truth``, or ``section_findings`` with ``section_impression``

A prediction that is null, NaN or blank is an empty report: the system wrote nothing, and is scored so. A
reference that is null, NaN or blank is none: the study is left out, and said to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.errors import DataError, MissingFileError
from radflow.reports import render_report
from radflow.reports.files import TABLES, ending, missing, read_rows

IDS = ("study_id", "id")
PREDICTIONS = ("model_prediction", "prediction", "report", "generated", "text")
REFERENCES = ("reference", "ground_truth")
SECTIONS = ("section_findings", "section_impression")


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One record of a file.

    Attributes:
        study_id: as written.
        text: the generated report, or the only report of the record; ``""`` where the system wrote none.
        reference: the reference report where the record carries one.
    """

    study_id: str
    text: str
    reference: str | None


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Generated reports beside their references, and what did not pair."""

    study_ids: tuple[str, ...]
    generated: tuple[str, ...]
    reference: tuple[str, ...]
    without_reference: tuple[str, ...]
    without_prediction: tuple[str, ...]


def read_predictions(path: Path) -> list[Prediction]:
    """Read a file of reports.

    Raises:
        MissingFileError: no such file.
        DataError: not one of the formats, no known column, a row with too few or too many fields, an id that
            is missing or stands twice. The message names the line or the record.
    """
    if not path.is_file():
        raise MissingFileError(
            f"{path}: no such file; expected CSV, JSON or JSONL with study ids and reports"
        )
    if ending(path) not in TABLES:
        raise DataError(f"{path}: expected a name ending in {', '.join(TABLES)} (or with .gz behind)")
    records: list[Prediction] = []
    seen: dict[str, str] = {}
    for where, row in read_rows(path):
        record = _record(row, where)
        if record.study_id in seen:
            raise DataError(
                f"{where}: study {record.study_id!r} stands there already at {seen[record.study_id]}"
            )
        seen[record.study_id] = where
        records.append(record)
    if not records:
        raise DataError(f"{path}: expected reports, found none")
    return records


def pair(predictions: Sequence[Prediction], references: Sequence[Prediction] | None = None) -> Pairs:
    """Pair by study id, in the order of the predictions.

    Args:
        predictions: records with the generated reports.
        references: records of another file; without it each record must carry its own reference.

    Raises:
        DataError: nothing pairs.
    """
    if references is None:
        truth = {p.study_id: p.reference for p in predictions if p.reference is not None}
    else:
        truth = {r.study_id: r.reference if r.reference is not None else r.text for r in references}
        truth = {study: text for study, text in truth.items() if text.strip()}
    matched = [p for p in predictions if p.study_id in truth]
    if not matched:
        raise DataError(
            "no prediction has a reference: expected a column 'reference' (or 'section_findings' and "
            "'section_impression') beside the predictions, or --reference FILE with the same study ids"
        )
    known = {p.study_id for p in predictions}
    return Pairs(
        study_ids=tuple(p.study_id for p in matched),
        generated=tuple(p.text for p in matched),
        reference=tuple(truth[p.study_id] for p in matched),
        without_reference=tuple(p.study_id for p in predictions if p.study_id not in truth),
        without_prediction=tuple(i for i in truth if i not in known),
    )


def _record(row: Mapping[str, Any], where: str) -> Prediction:
    study = next((row[name] for name in IDS if not missing(row.get(name))), None)
    if study is None:
        raise DataError(
            f"{where}: expected a study id in one of {', '.join(IDS)}; found {', '.join(map(str, row))}"
        )
    reference = _text(row, REFERENCES, where)
    if reference is None:
        sections = [_text(row, (name,), where) for name in SECTIONS]
        reference = render_report(*sections) if any(sections) else None
    if any(name in row for name in PREDICTIONS):
        text = _text(row, PREDICTIONS, where) or ""
    elif reference is not None:
        text = reference  # a file of references alone
    else:
        raise DataError(
            f"{where}: expected a report in one of {', '.join(PREDICTIONS)}; found {', '.join(map(str, row))}"
        )
    return Prediction(study_id=str(study).strip(), text=text, reference=reference)


def _text(row: Mapping[str, Any], names: Sequence[str], where: str) -> str | None:
    """The first of some fields that says something."""
    for name in names:
        value = row.get(name)
        if missing(value):
            continue
        if not isinstance(value, str):
            raise DataError(f"{where}: {name!r} should be text, got {value!r:.40}")
        return value
    return None
