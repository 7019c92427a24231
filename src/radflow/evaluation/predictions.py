"""Read files of generated reports: CSV, JSON as ReXrank submissions are, and JSONL.

A record has a study id and a prediction, and may carry its reference:

    study id      ``study_id`` or ``id`` (ReXrank: the key of the object)
    prediction    ``model_prediction``, ``prediction``, ``report``, ``generated`` or ``text``
    reference     ``reference``, ``ground_truth``, or ``section_findings`` with ``section_impression``
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.errors import DataError, MissingFileError
from radflow.reports import render_report

IDS = ("study_id", "id")
PREDICTIONS = ("model_prediction", "prediction", "report", "generated", "text")
REFERENCES = ("reference", "ground_truth")
SECTIONS = ("section_findings", "section_impression")


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One record of a file.

    Attributes:
        study_id: as written.
        text: the generated report, or the only report of the record.
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
        DataError: not one of the formats, no known column, an id that is missing or stands twice. The message
            names the line or the record.
    """
    if not path.is_file():
        raise MissingFileError(
            f"{path}: no such file; expected CSV, JSON or JSONL with study ids and reports"
        )
    records: list[Prediction] = []
    seen: dict[str, str] = {}
    for where, row in _rows(path):
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
        reference=tuple(truth[p.study_id] or "" for p in matched),
        without_reference=tuple(p.study_id for p in predictions if p.study_id not in truth),
        without_prediction=tuple(i for i in truth if i not in known),
    )


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each record with the place it stands at."""
    try:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                for row in reader:
                    yield f"{path}:{reader.line_num}", row
        elif path.suffix in (".jsonl", ".ndjson"):
            with path.open(encoding="utf-8-sig") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        yield f"{path}:{number}", _object(json.loads(line), f"{path}:{number}")
        elif path.suffix == ".json":
            yield from _json_records(path)
        else:
            raise DataError(f"{path}: expected a name ending in .csv, .json or .jsonl")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text, got {error}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: expected JSON, got {error}") from None
    except csv.Error as error:
        raise DataError(f"{path}: expected CSV, got {error}") from None


def _json_records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    if isinstance(content, list):
        for number, row in enumerate(content, start=1):
            where = f"{path}: record {number}"
            yield where, _object(row, where)
    else:
        for key, row in _object(content, str(path)).items():
            where = f"{path}: {key}"
            yield where, {"study_id": key, **_object(row, where)}


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object with fields, got {str(value)[:40]!r}")
    return value


def _record(row: Mapping[str, Any], where: str) -> Prediction:
    study = _first(row, IDS)
    if study is None or not str(study).strip():
        raise DataError(
            f"{where}: expected a study id in one of {', '.join(IDS)}; found {', '.join(map(str, row))}"
        )
    sections = [row.get(name) for name in SECTIONS]
    rendered = render_report(*(s or None for s in sections)) if any(sections) else None
    reference = _first(row, REFERENCES)
    reference = str(reference) if reference is not None else rendered
    text = _first(row, PREDICTIONS)
    if text is None:
        text = reference  # a file of references alone
    if text is None:
        raise DataError(
            f"{where}: expected a report in one of {', '.join(PREDICTIONS)}; found {', '.join(map(str, row))}"
        )
    return Prediction(study_id=str(study).strip(), text=str(text), reference=reference)


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)
