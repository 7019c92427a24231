"""The tables of a scored folder: ``scores.csv``, ``scores.parquet`` and ``unpaired.csv``."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from radflow.evaluation.pair_store import Unpaired
from radflow.files import atomic_file, write_atomic
from radflow.tables.writing import csv_writer


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
