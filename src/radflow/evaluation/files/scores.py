"""Scores of one system on disk: written by ``radflow score --out``, read back from there or from a run.

FOLDER/scores.csv, scores.parquet          study_id, patient_id where known, one column per metric
FOLDER/scores.json                         the system's name, and the model behind each metric
FOLDER/labels.jsonl                        what the reports assert (`radflow.evaluation.files.labels`)
FOLDER/unpaired.csv                        records that were not scored, and why
RUN/evaluation/scores/SYSTEM.jsonl         one line per study; names and patients from the run's files
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from radflow.errors import DataError, MissingFileError
from radflow.evaluation.files.labels import LABELS, Asserted, read_labels
from radflow.evaluation.files.store import Unpaired
from radflow.files import atomic_file, read_json, read_jsonl, write_atomic
from radflow.metrics import METRICS
from radflow.metrics.naming import LABEL_F1, corpus_labels, in_order
from radflow.reports.files import read_rows
from radflow.tables import Row, ending, missing
from radflow.tables.writing import csv_writer

_KEYS = ("study_id", "patient_id")
ABOUT = ("track", "split", "modality", "references")
"""Keys of ``scores.json`` that say what was scored."""


@dataclass(frozen=True, kw_only=True)
class MetricFacts:
    """How a metric's numbers were made.

    Attributes:
        label: as printed, with the model behind the number where there is one.
        higher_is_better: the direction.
        reader: the reader's name, or ``None`` where none was used or the file does not say.
    """

    label: str
    higher_is_better: bool
    reader: str | None


@dataclass(frozen=True, kw_only=True)
class SystemScores:
    """One system's numbers, one per study for each metric.

    Attributes:
        system: its name.
        path: the file with the numbers.
        values: study id to metric to number; NaN where the metric skipped the study.
        patients: study id to patient id, as far as known.
        metrics: metric to what stands behind it, in the order of the file.
        about: those of :data:`ABOUT` that the file says.
        asserted: study id to what its reports assert, where a file beside the scores says so. Then the F1s
            over the corpus are among ``metrics``, though not among ``values``.
    """

    system: str
    path: Path
    values: Mapping[str, Mapping[str, float]]
    patients: Mapping[str, str]
    metrics: Mapping[str, MetricFacts]
    about: Mapping[str, str]
    asserted: Mapping[str, Asserted] = field(default_factory=dict)


def read_scores(path: Path) -> SystemScores:
    """Read a scored folder, its ``scores.csv``, or a run's ``evaluation/scores/SYSTEM.jsonl``.

    Raises:
        MissingFileError: there is nothing there, or a folder without ``scores.csv``.
        DataError: no studies, a study without an id or twice, a score that is not a finite number, or labels
            of other studies. The message names file and line.
    """
    file = _scores_file(path)
    said = _run_summary(file) if file.suffix == ".jsonl" else _folder_summary(file)
    values: dict[str, dict[str, float]] = {}
    patients: dict[str, str] = {}
    for row in read_rows(file):
        study = _study_id(row)
        if study in values:
            raise DataError(f"{row.where}: expected each study once, got {study!r} again")
        names = [name for name in row.fields if name not in _KEYS and (said.others or name in said.metrics)]
        values[study] = {name: _number(row, name) for name in names}
        if not missing(row.fields.get("patient_id")):
            patients[study] = str(row.fields["patient_id"]).strip()
    named = dict.fromkeys(name for scores in values.values() for name in scores)
    if not named:
        raise DataError(f"{file}: expected studies with at least one metric each, found none")
    metrics = {name: _metric(name, said.metrics.get(name, {})) for name in named}
    asserted = _labels(file, values) if set(LABEL_F1) & set(metrics) else {}
    return SystemScores(
        system=said.system,
        path=file,
        values=values,
        patients=patients or {study: said.patients[study] for study in values if study in said.patients},
        metrics=_with_corpus(metrics) if asserted else metrics,
        about={key: said.about[key] for key in ABOUT if said.about.get(key)},
        asserted=asserted,
    )


def _labels(file: Path, studies: Iterable[str]) -> dict[str, Asserted]:
    run = file.suffix == ".jsonl"
    path = file.parent.with_name("labels") / file.name if run else file.with_name(LABELS)
    found = read_labels(path)
    if found and (without := [study for study in studies if study not in found]):
        raise DataError(
            f"{path}: expected the labels of every study of {file.name}, got none of {without[0]!r}; "
            "score the reports again, or delete the file to compare without F1s over the corpus"
        )
    return found


def _with_corpus(metrics: Mapping[str, MetricFacts]) -> dict[str, MetricFacts]:
    """The same with the F1s over the corpus after the label F1, read by the same reader."""
    label = next(metrics[name] for name in LABEL_F1 if name in metrics)
    corpus = {name: replace(label, label=printed) for name, printed in corpus_labels(label.label).items()}
    both = {**metrics, **corpus}
    return {name: both[name] for name in in_order(both)}


def _scores_file(path: Path) -> Path:
    if path.is_dir():
        if (path / "scores.csv").is_file():
            return path / "scores.csv"
        systems = sorted(file.name for file in (path / "evaluation" / "scores").glob("*.jsonl"))
        if systems:
            raise MissingFileError(
                f"{path}: a run has scores of several systems; name one of them, such as "
                f"{path / 'evaluation' / 'scores' / systems[0]} ({', '.join(systems)})"
            )
        raise MissingFileError(
            f"{path}: expected a folder with scores.csv, found none; write one with "
            "'radflow score REPORTS --out FOLDER'"
        )
    if not path.is_file():
        raise MissingFileError(
            f"{path}: no such file or folder; expected what 'radflow score REPORTS --out FOLDER' wrote"
        )
    if ending(path) not in (".csv", ".jsonl"):
        raise DataError(f"{path}: expected scores as .csv or .jsonl, got {path.name!r}")
    return path


class _Summary(NamedTuple):
    """What the files beside the scores say of them.

    ``others`` is whether columns that ``metrics`` does not name are metrics too.
    """

    system: str
    about: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    patients: Mapping[str, str]
    others: bool


def _folder_summary(file: Path) -> _Summary:
    path = file.with_name("scores.json")
    said = _mapping(read_json(path), path) if path.is_file() else {}
    metrics = _mapping(said.get("metrics", {}), path)
    folder = file.absolute().parent.name
    name = said.get("system") or (folder if file.name == "scores.csv" else file.stem)
    return _Summary(system=name, about=said, metrics=metrics, patients={}, others=not metrics)


def _run_summary(file: Path) -> _Summary:
    run = file.absolute().parent.parent.parent
    results, manifest = run / "results.json", run / "prepare" / "studies.jsonl"
    said = _mapping(read_json(results), results) if results.is_file() else {}
    metrics: dict[str, dict[str, Any]] = {}
    for key, fact in (("labels", "label"), ("higher_is_better", "higher_is_better")):
        for name, value in said.get(key, {}).items():
            metrics.setdefault(name, {})[fact] = value
    studies = read_jsonl(manifest) if manifest.is_file() else ()
    patients = {row["study_id"]: row["patient_id"] for row in studies}
    return _Summary(system=file.stem, about=said, metrics=metrics, patients=patients, others=True)


def _metric(name: str, recorded: Mapping[str, Any]) -> MetricFacts:
    """What the file says of a metric, and what radflow's own table says where it does not."""
    known = METRICS.get(name)
    label = recorded.get("label") or (known.label if known else name.replace("reward/", "reward: "))
    higher = recorded.get("higher_is_better")
    if higher is None:
        higher = known.higher_is_better if known else True
    return MetricFacts(label=label, higher_is_better=bool(higher), reader=recorded.get("reader"))


def _mapping(value: Any, where: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected a JSON object, got {str(value)[:40]!r}")
    return value


def _study_id(row: Row) -> str:
    study = row.fields.get("study_id")
    if missing(study):
        raise DataError(
            f"{row.where}: expected a study id under 'study_id', got {', '.join(row.fields) or 'nothing'}"
        )
    return str(study).strip()


def _number(row: Row, name: str) -> float:
    value = row.fields[name]
    if missing(value):
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isinf(number):
        raise DataError(f"{row.where}: expected a finite number under {name!r}, got {str(value)[:40]!r}")
    return number


# ---- writing ----------------------------------------------------------------------------------------------


def write_scores(
    folder: Path,
    study_ids: Sequence[str],
    patients: Sequence[str | None],
    scores: Mapping[str, np.ndarray],
) -> list[Path]:
    """Write one row per study: its id, its patient where any is known, and every metric; NaN is left blank.

    Returns:
        what was written: ``scores.csv``, and ``scores.parquet`` where pyarrow is installed.

    Raises:
        NotWritableError: the folder cannot be written.
    """
    known = any(patients)
    path = folder / "scores.csv"
    with atomic_file(path) as file:
        write = csv_writer(file)
        write(["study_id", *(["patient_id"] if known else []), *scores])
        for row, (study, patient) in enumerate(zip(study_ids, patients, strict=True)):
            numbers = (float(column[row]) for column in scores.values())
            written = ("" if math.isnan(number) else number for number in numbers)
            write([study, *([patient or ""] if known else []), *written])
    if find_spec("pyarrow") is None:
        return [path]
    return [path, _write_parquet(folder / "scores.parquet", study_ids, patients if known else None, scores)]


def write_unpaired(path: Path, records: Iterable[Unpaired]) -> int:
    """Write every record that is in no pair, and return how many there are; without any there is no file.

    Raises:
        NotWritableError: the folder cannot be written.
    """
    rows = list(records)
    if not rows:
        if path.exists():
            path.unlink()  # of an earlier run
        return 0
    with atomic_file(path) as file:
        write = csv_writer(file)
        for row in (Unpaired._fields, *rows):
            write(row)
    return len(rows)


def _write_parquet(
    path: Path,
    study_ids: Sequence[str],
    patients: Sequence[str | None] | None,
    scores: Mapping[str, np.ndarray],
) -> Path:
    pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    columns = {
        "study_id": pyarrow.array(study_ids, pyarrow.string()),
        **({} if patients is None else {"patient_id": pyarrow.array(patients, pyarrow.string())}),
        **{name: pyarrow.array(column, from_pandas=True) for name, column in scores.items()},
    }
    content = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), content)
    write_atomic(path, content.getvalue())
    return path
