"""What each report of a scored system asserts, on disk: corpus F1 cannot be made of numbers per study.

FOLDER/labels.jsonl                        of ``radflow score --out``
RUN/evaluation/labels/SYSTEM.jsonl         of a run
    {"study_id": "s1", "generated": ["Edema"], "reference": ["Edema", "Cardiomegaly"]}

Uncertain observations are among them; those that sum up a whole report are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from radflow.errors import DataError
from radflow.evaluation.scoring import SIDES, Columns, asserted
from radflow.files import read_jsonl, write_jsonl

LABELS = "labels.jsonl"
"""In a scored folder."""


class Asserted(NamedTuple):
    """The observations that the two reports of a study assert."""

    generated: frozenset[str]
    reference: frozenset[str]


def write_labels(path: Path, study_ids: Sequence[str], columns: Columns) -> None:
    """Write one line per study; without states there is no file.

    Args:
        path: the file.
        study_ids: N of them.
        columns: as `radflow.evaluation.scoring.score_pairs` gives them.

    Raises:
        NotWritableError: the file cannot be written.
    """
    if not asserted(columns, SIDES[1]):
        path.unlink(missing_ok=True)  # of an earlier call
        return
    both = {side: asserted(columns, side) for side in SIDES}
    rows = (
        {"study_id": study}
        | {side: [name for name, states in found.items() if states[row]] for side, found in both.items()}
        for row, study in enumerate(study_ids)
    )
    write_jsonl(path, rows)


def read_labels(path: Path) -> dict[str, Asserted]:
    """Read what `write_labels` wrote: study id to what its reports assert; nothing where there is no file.

    Raises:
        DataError: a line that is not of this form; names file and line.
    """
    if not path.is_file():
        return {}
    found = {}
    for number, row in enumerate(read_jsonl(path), start=1):
        if not isinstance(row, Mapping) or not all(isinstance(row.get(side), list) for side in SIDES):
            raise DataError(
                f"{path}, line {number}: expected a study_id and the lists generated and reference, got "
                f"{str(row)[:60]!r}; score the reports again"
            )
        found[str(row.get("study_id"))] = Asserted(*(frozenset(map(str, row[side])) for side in SIDES))
    return found
