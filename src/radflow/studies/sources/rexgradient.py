"""ReXGradient-160K: 160,000 studies of 109,487 patients at 79 sites, four sections each (Zhang et al. 2025).

What the adapter reads::

    metadata/{train,valid,test}_metadata_view_position.json      one object per study, by a composite id
    deid_png/PATIENT/ACCESSION/studies/UID/series/UID/instances/UID.png

Where the files with view positions are missing, ``{train,valid,test}_metadata.json`` or ``.csv`` serve, whose
studies then have no views. Paths of images begin with ``../deid_png/``, as seen from ``metadata``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from radflow.errors import DataError, MissingFileError
from radflow.reports import Report
from radflow.studies.sources import Source
from radflow.studies.sources.choice import Choice, Sections, paired, report_of
from radflow.studies.sources.folders import find_folders, first_there, image_root, lies_in
from radflow.studies.study import SPLITS, Rejected, Split, Study
from radflow.studies.views import Picture, Views, said, view_of
from radflow.tables import CsvTable, identifier, listed, open_csv, words
from radflow.tables.json_records import read_records, record_at

IMAGES = (".", "images", "download")
METADATA = ("metadata", "download/metadata", ".")
_FILES: dict[Split, str] = {"train": "train", "validate": "valid", "test": "test"}
_ENDINGS = ("_metadata_view_position.json", "_metadata.json", "_metadata.csv")
_PREFIX = "deid_png/"


def open_rexgradient(
    root: Path,
    *,
    views: Views = "all",
    max_images: int | None = None,
    sections: Sections = "both",
    images: Path | None = None,
) -> Source:
    """Open ReXGradient-160K, in its official split.

    The prior study of a study is the same patient's last one of an earlier ``StudyDate``; of two on one day
    neither is the other's.

    Args:
        root: holds ``metadata/`` and the unpacked ``deid_png/``.
        views, max_images, sections: what is wanted of a study, as in `Choice`.
        images: the folder that holds ``deid_png``, where it is not the root.

    Raises:
        MissingFileError: no metadata, or no images.
        DataError: the metadata are broken, or an option is none of those above.
    """
    choice = Choice(views=views, max_images=max_images, sections=sections)
    files = _metadata(root)
    folders = find_folders(image_root(root, images), IMAGES, ("deid_png",), "ReXGradient-160K")
    index = _index(files)
    opened = _ReXGradient(
        files=files,
        tables={split: open_csv(path) for split, path in files.items() if path.suffix == ".csv"},
        folders=folders,
        choice=choice,
    )
    missing = [split for split in SPLITS if split not in files]
    notes = ["prior studies are of an earlier StudyDate; dates are shifted by the publisher"]
    if missing:
        notes.append(f"no metadata of the split {', '.join(missing)}: the download is not complete")
    return Source(total=len(index.studies), studies=opened.studies(index), notes=tuple(notes))


def _metadata(root: Path) -> dict[Split, Path]:
    """The best file of each split that has one."""
    files: dict[Split, Path] = {}
    for split, name in _FILES.items():
        places = [root / folder / f"{name}{ending}" for ending in _ENDINGS for folder in METADATA]
        found = next((path for path in places if path.is_file()), None)
        if found is not None:
            files[split] = found
    if not files:
        raise MissingFileError(
            f"{root}: expected ReXGradient-160K with metadata/train_metadata_view_position.json; "
            f"{lies_in(root)}"
        )
    return files


class _Entry(NamedTuple):
    """Where a study stands: its id, split, place in the split's file, and why it cannot be read."""

    study: str
    split: Split
    place: Any
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class _Index:
    """All studies in the order of the files, and for some the place in that order of the study before."""

    studies: list[_Entry]
    prior: Mapping[int, int]


def _index(files: Mapping[Split, Path]) -> _Index:
    studies: list[_Entry] = []
    dated: dict[str, list[tuple[str, int]]] = {}
    for split, path in files.items():
        for entry, fields in _entries(split, path):
            patient, date = identifier(fields.get("PatientID")), identifier(fields.get("StudyDate"))
            if patient and date and date.isdigit() and len(date) == 8:
                dated.setdefault(patient, []).append((date, len(studies)))
            studies.append(entry)
    prior: dict[int, int] = {}
    for visits in dated.values():
        visits.sort()
        for date, number in visits:
            earlier = [other for other in visits if other[0] < date]
            if earlier:
                prior[number] = earlier[-1][1]
    return _Index(studies=studies, prior=prior)


def _entries(split: Split, path: Path) -> Iterator[tuple[_Entry, Mapping[str, Any]]]:
    if path.suffix == ".csv":
        table = open_csv(path)
        if "ImagePath" not in table.columns:
            raise DataError(
                f"{path}:1: expected a column 'ImagePath', found {', '.join(table.columns)}; fetch "
                f"{_FILES[split]}_metadata_view_position.json, which has the paths"
            )
        for row in table.rows():
            study = identifier(row.fields.get("id")) or identifier(row.fields.get("StudyInstanceUid"))
            yield _Entry(study or row.where, split, row.place, row.problem), row.fields
        return
    for record in read_records(path):
        known = isinstance(record.value, dict)
        problem = None if known else f"broken row: {path}: {record.keys[0]}: expected an object"
        yield _Entry(str(record.keys[0]), split, record.place, problem), record.value if known else {}


@dataclass(frozen=True, kw_only=True)
class _ReXGradient:
    files: Mapping[Split, Path]
    tables: Mapping[Split, CsvTable]
    folders: tuple[Path, ...]
    choice: Choice

    def studies(self, index: _Index) -> Iterator[Study | Rejected]:
        for number, entry in enumerate(index.studies):
            if entry.problem is not None:
                yield Rejected(entry.study, entry.problem)
                continue
            before = index.studies[index.prior[number]] if number in index.prior else None
            try:
                yield self._study(entry, before)
            except DataError as error:
                yield Rejected(entry.study, str(error))

    def _study(self, entry: _Entry, before: _Entry | None) -> Study:
        fields = self._fields(entry)
        report = self.choice.report(_report(fields))
        patient = identifier(fields.get("PatientID"))
        if patient is None:
            raise DataError("no patient")
        pictures = [
            Picture(self._path(path), view_of(view))
            for path, view in paired(listed(fields.get("ImagePath")), listed(fields.get("ImageViewPosition")))
        ]
        chosen = self.choice.pictures(pictures)
        prior = _report(self._fields(before)) if before else None
        return Study(
            study_id=entry.study,
            patient_id=patient,
            images=tuple(picture.path for picture in chosen),
            reference=report,
            indication=words(fields.get("Indication")),
            comparison=words(fields.get("Comparison")),
            split=entry.split,
            views=said(chosen),
            prior_study=before.study if before else None,
            prior_report=prior.text if prior else None,
        )

    def _fields(self, entry: _Entry) -> Mapping[str, Any]:
        if entry.split in self.tables:
            return next(self.tables[entry.split].at([entry.place])).fields
        with self.files[entry.split].open("rb") as file:
            return record_at(file, entry.place)

    def _path(self, name: str) -> Path:
        """Whatever leads to ``deid_png/`` is the publisher's own folder."""
        _, prefix, below = name.rpartition(_PREFIX)
        return first_there(self.folders, prefix + below)


def _report(fields: Mapping[str, Any]) -> Report | None:
    return report_of(words(fields.get("Findings")), words(fields.get("Impression")))
