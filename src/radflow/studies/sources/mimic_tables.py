"""The tables of MIMIC-CXR-JPG in a few bytes per row: a study's images, patient, date and split.

The 377,110 rows of metadata take about 40 MB here.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from radflow.errors import DataError
from radflow.studies.splits import split_named
from radflow.studies.study import SPLITS, Rejected, Split
from radflow.studies.views import View, view_of
from radflow.tables import Row, open_csv

IDS = ("dicom_id", "subject_id", "study_id")
_VIEWS: tuple[View, ...] = ("frontal", "lateral", "unknown")
_IMAGE_NAME = re.compile(r"[\w.-]{1,128}")  # it becomes a file name
_UNDATED = float("inf")
_CONFLICT = len(SPLITS)  # the code of a study in two splits


@dataclass(frozen=True, kw_only=True)
class MimicStudy:
    """One study as the tables have it.

    Attributes:
        subject: the patient's number.
        study: the study's number.
        when: ``StudyDate * 1e6 + StudyTime``, which orders a patient's studies; infinite where not known.
        images: dicom ids and views, in the order of the table.
    """

    subject: int
    study: int
    when: float
    images: tuple[tuple[str, View], ...]


class MimicImages:
    """Every image of a table, kept as arrays; studies come out by patient and, within one, by time."""

    def __init__(self) -> None:
        self._study, self._subject = array("q"), array("q")
        self._when = array("d")
        self._view = array("b")
        self._names, self._ends = bytearray(), array("q")
        self.broken: list[Rejected] = []

    def __len__(self) -> int:
        return len(self._study)

    def add(self, row: Row) -> None:
        """Take one row; one that cannot be used goes to ``broken``."""
        try:
            subject, study, name = _ids(row)
            when = _when(row)
        except DataError as error:
            self.broken.append(Rejected(row.where, str(error)))
            return
        self._subject.append(subject)
        self._study.append(study)
        self._when.append(when)
        self._view.append(_VIEWS.index(_view(row)))
        self._names += name.encode()
        self._ends.append(len(self._names))

    def order(self) -> MimicOrder:
        """The studies in order: by patient, then time, then number."""
        study = np.frombuffer(self._study, dtype=np.int64)
        rows = np.argsort(study, kind="stable")
        _, starts = np.unique(study[rows], return_index=True)
        when = np.frombuffer(self._when, dtype=np.float64)[rows]
        earliest = np.minimum.reduceat(when, starts) if len(starts) else when
        firsts = rows[starts]
        subject = np.frombuffer(self._subject, dtype=np.int64)[firsts]
        order = np.lexsort((study[firsts], earliest, subject))
        ends = np.append(starts[1:], len(rows))
        return MimicOrder(
            images=self, rows=rows, starts=starts[order], ends=ends[order], when=earliest[order]
        )

    def study_at(self, rows: Sequence[int], when: float) -> MimicStudy:
        """The study whose images are in these rows; an image that stands twice is one image."""
        images = {self._name(row): _VIEWS[self._view[row]] for row in rows}
        return MimicStudy(
            subject=self._subject[rows[0]],
            study=self._study[rows[0]],
            when=when,
            images=tuple(images.items()),
        )

    def _name(self, row: int) -> str:
        start = self._ends[row - 1] if row else 0
        return self._names[start : self._ends[row]].decode()


@dataclass(frozen=True, kw_only=True)
class MimicOrder:
    """The studies of a `MimicImages` in order: ``rows[starts[s] : ends[s]]`` are the images of study s."""

    images: MimicImages
    rows: Int[np.ndarray, " images"]
    starts: Int[np.ndarray, " studies"]
    ends: Int[np.ndarray, " studies"]
    when: Float[np.ndarray, " studies"]

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[MimicStudy]:
        for start, end, when in zip(self.starts, self.ends, self.when, strict=True):
            yield self.images.study_at(self.rows[start:end].tolist(), float(when))


class MimicSplits:
    """Which split a study is in, by number."""

    def __init__(self, numbers: array[int], codes: array[int]) -> None:
        study, code = np.frombuffer(numbers, dtype=np.int64), np.frombuffer(codes, dtype=np.int8)
        order = np.argsort(study, kind="stable")
        self._study, starts = np.unique(study[order], return_index=True)
        least, most = (
            ufunc.reduceat(code[order], starts) if len(starts) else code for ufunc in (np.minimum, np.maximum)
        )
        self._code = np.where(least == most, least, _CONFLICT)

    def of(self, study: int) -> Split | None:
        """The split of a study; ``None`` where the table has none for it.

        Raises:
            DataError: it is in two.
        """
        place = int(np.searchsorted(self._study, study))
        if place == len(self._study) or self._study[place] != study:
            return None
        code = int(self._code[place])
        if code == _CONFLICT:
            raise DataError(f"images in two splits: the split table has study {study} in more than one")
        return SPLITS[code]


def read_images(path: Path) -> MimicImages:
    """Read the metadata, or any table with the columns of `IDS`.

    Raises:
        DataError: a column is missing, or the gzip file is cut short.
    """
    images = MimicImages()
    for row in open_csv(path, needs=IDS).rows():
        images.add(row)
    return images


def read_splits(path: Path) -> tuple[MimicSplits, list[Rejected]]:
    """Read the split table; also the rows that cannot be used.

    Raises:
        DataError: as `read_images`.
    """
    numbers, codes = array("q"), array("b")
    broken: list[Rejected] = []
    for row in open_csv(path, needs=("study_id", "split")).rows():
        try:
            if row.problem is not None:
                raise DataError(row.problem)
            split = split_named(row.fields["split"])
            if split is None:
                raise DataError(f"broken row: {row.where}: unknown split {row.fields['split']!r:.40}")
            numbers.append(_number(row, "study_id"))
        except DataError as error:
            broken.append(Rejected(row.where, str(error)))
            continue
        codes.append(SPLITS.index(split))
    return MimicSplits(numbers, codes), broken


def _ids(row: Row) -> tuple[int, int, str]:
    if row.problem is not None:
        raise DataError(row.problem)
    name = row.fields["dicom_id"]
    if not _IMAGE_NAME.fullmatch(name) or name.startswith("."):
        raise DataError(f"broken row: {row.where}: expected a dicom_id, got {name!r:.60}")
    return _number(row, "subject_id"), _number(row, "study_id"), name


def _number(row: Row, column: str) -> int:
    """A number of up to twelve digits; data frames write ``10000032.0``, people ``s50414267``."""
    match = re.fullmatch(r"\s*[ps]?(\d{1,12})(?:\.0)?\s*", row.fields[column])
    if match is None:
        raise DataError(
            f"broken row: {row.where}: expected a number as {column}, got {row.fields[column]!r:.40}"
        )
    return int(match[1])


def _when(row: Row) -> float:
    """Date and time as one number that sorts; times come as ``213014.531`` or, before ten, as ``93014.5``."""
    date, time = row.fields.get("StudyDate", ""), row.fields.get("StudyTime", "")
    try:
        seconds = float(time or 0)
        days = float(date)
    except ValueError:
        return _UNDATED
    return days * 1e6 + seconds if 0 <= seconds < 1e6 and 0 < days < 1e8 else _UNDATED


def _view(row: Row) -> View:
    """From ``ViewPosition``, and where that is blank (1 image in 24) from the meaning of the view's code."""
    position = row.fields.get("ViewPosition", "").strip()
    return view_of(position or row.fields.get("ViewCodeSequence_CodeMeaning", ""))
