"""CheXpert Plus: 187,711 studies of 64,725 patients, reports in sections (Chambon et al., arXiv:2405.19538).

What the adapter reads::

    df_chexpert_plus_240401.csv                                  one row per image, in no order
    PNG/train/patient42142/study5/view1_frontal.png              or below png_chexpert_plus_chunk_N/
    DICOM/Uncompressed/train/patient42142/study5/view1_frontal.dcm

The table says ``.jpg`` for what is ``.png``. It repeats a report on each row of its study, is not sorted, and
has no column for a study: folders of patient and study make one. So its rows are indexed first (their places
in the file, not their texts), then read study by study.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from radflow.errors import DataError
from radflow.reports import Report
from radflow.studies.sources import Source
from radflow.studies.sources.choice import Choice, Sections, report_of
from radflow.studies.sources.folders import find_file, find_folders, first_there, image_root
from radflow.studies.splits import assign_split, split_named
from radflow.studies.study import Rejected, Split, Study
from radflow.studies.views import Picture, Views, said, view_of
from radflow.tables import CsvTable, identifier, open_csv, words

TABLES = ("df_chexpert_plus_240401.csv", "df_chexpert_plus*.csv")
IMAGES = (
    ".",
    "PNG",
    "PNG/PNG",
    "png_chexpert_plus_chunk_*",
    "png_chexpert_plus_chunk_*/PNG",
    "PNG/png_chexpert_plus_chunk_*",
    "PNG/png_chexpert_plus_chunk_*/PNG",
    "DICOM/*",
)
_NEEDED = ("path_to_image", "deid_patient_id", "split", "section_findings", "section_impression")
_VALIDATION = (0.98, 0.02, 0.0)  # of the training patients, where the official validation is the test


def open_chexpert_plus(
    root: Path,
    *,
    views: Views = "all",
    max_images: int | None = None,
    sections: Sections = "both",
    images: Path | None = None,
    split: Literal["official", "rexrank"] = "official",
    seed: int = 0,
) -> Source:
    """Open CheXpert Plus.

    The official split has 223,228 images to train and 234 to validate, and none to test. With ``rexrank`` the
    validation studies are the test, as on the ReXrank leaderboard, and 2 % of the training patients, by hash,
    are to validate on.

    The prior study of a study is the one before it by ``patient_report_date_order``.

    Args:
        root: holds the table and the unpacked images.
        views, max_images, sections: what is wanted of a study, as in `Choice`.
        images: the folder with ``train`` and ``valid``, where it is not in the root.
        split: see above.
        seed: of the patients drawn for validation.

    Raises:
        MissingFileError: the table or every folder of images is missing.
        DataError: the table lacks a column, or an option is none of those above.
    """
    choice = Choice(views=views, max_images=max_images, sections=sections)
    if split not in ("official", "rexrank"):
        raise DataError(f"split: expected official or rexrank, got {split!r}")
    table = open_csv(find_file(root, TABLES, "CheXpert Plus"), needs=_NEEDED)
    opened = _ChexpertPlus(
        table=table,
        folders=find_folders(image_root(root, images), IMAGES, ("train", "valid"), "CheXpert Plus"),
        choice=choice,
        split=split,
        seed=seed,
    )
    index = _index(table)
    return Source(
        total=len(index.studies) + len(index.broken),
        studies=opened.studies(index),
        notes=_notes(split),
    )


def _notes(split: str) -> tuple[str, ...]:
    order = (
        "prior studies follow patient_report_date_order as published; the dates that could confirm that "
        "order are not"
    )
    if split == "rexrank":
        return (order, "the official validation studies are the test, 2 % of the training patients validate")
    return (
        order,
        "the official split has no test; with split = 'rexrank' its validation studies are the test",
    )


@dataclass(frozen=True, kw_only=True)
class _Index:
    """Where things are in the table.

    Attributes:
        studies: study -> the places of its rows.
        prior: study -> the patient's study before it.
        broken: rows that cannot be used.
    """

    studies: Mapping[str, list[int]]
    prior: Mapping[str, str]
    broken: list[Rejected]


def _index(table: CsvTable) -> _Index:
    studies: dict[str, list[int]] = {}
    order: dict[str, dict[str, int]] = {}
    broken: list[Rejected] = []
    for row in table.rows():
        try:
            if row.problem is not None:
                raise DataError(row.problem)
            study = study_of(row.fields["path_to_image"])
        except DataError as error:
            broken.append(Rejected(row.where, str(error)))
            continue
        studies.setdefault(study, []).append(row.place)
        number = _number(row.fields.get("patient_report_date_order"))
        if number is not None:
            order.setdefault(study.partition("_")[0], {})[study] = number
    prior: dict[str, str] = {}
    for numbers in order.values():
        for study, number in numbers.items():
            earlier = [other for other in numbers if numbers[other] < number]
            if earlier:
                prior[study] = max(earlier, key=numbers.__getitem__)
    return _Index(studies=studies, prior=prior, broken=broken)


def study_of(path: str) -> str:
    """The study that an image belongs to, named as ReXrank names it.

    Raises:
        DataError: the path is none of CheXpert's.

    >>> study_of("train/patient42142/study5/view1_frontal.jpg")
    'patient42142_study5'
    """
    parts = PurePosixPath(path).parts
    if len(parts) < 3 or not (parts[-3].startswith("patient") and parts[-2].startswith("study")):
        raise DataError(f"broken row: expected a path .../patientN/studyN/view.jpg, got {path!r:.80}")
    return f"{parts[-3]}_{parts[-2]}"


@dataclass(frozen=True, kw_only=True)
class _ChexpertPlus:
    table: CsvTable
    folders: tuple[Path, ...]
    choice: Choice
    split: str
    seed: int

    def studies(self, index: _Index) -> Iterator[Study | Rejected]:
        yield from index.broken
        for study_id, places in index.studies.items():
            rows = [row.fields for row in self.table.at(places)]
            prior = index.prior.get(study_id)
            before = next(self.table.at(index.studies[prior][:1])).fields if prior else None
            try:
                yield self._study(study_id, rows, prior, _report(before) if before else None)
            except DataError as error:
                yield Rejected(study_id, str(error))

    def _study(
        self,
        study_id: str,
        rows: list[Mapping[str, Any]],
        prior: str | None,
        prior_report: Report | None,
    ) -> Study:
        first = rows[0]
        patient = identifier(first["deid_patient_id"])
        report = self.choice.report(_report(first))
        if patient is None:
            raise DataError("no patient")
        pictures = [self._picture(row) for row in rows]
        chosen = self.choice.pictures(pictures)
        return Study(
            study_id=study_id,
            patient_id=patient,
            images=tuple(picture.path for picture in chosen),
            reference=report,
            indication=words(first.get("section_clinical_history")) or words(first.get("section_history")),
            comparison=words(first.get("section_comparison")),
            split=self._place(patient, str(first["split"])),
            views=said(chosen),
            prior_study=prior,
            prior_report=prior_report.text if prior_report else None,
        )

    def _picture(self, row: Mapping[str, Any]) -> Picture:
        path = first_there(self.folders, PurePosixPath(row["path_to_image"]).with_suffix(".png").as_posix())
        return Picture(path, view_of(row.get("frontal_lateral")))

    def _place(self, patient: str, official: str) -> Split:
        place = split_named(official)
        if place is None:
            raise DataError(f"unknown split: {official!r:.40}")
        if self.split == "rexrank":
            return "test" if place == "validate" else assign_split(patient, self.seed, _VALIDATION)
        return place


def _report(row: Mapping[str, Any]) -> Report | None:
    return report_of(words(row["section_findings"]), words(row["section_impression"]))


def _number(value: object) -> int | None:
    """The order of a report; a data frame may have written it as ``5.0``."""
    try:
        return int(float(str(value)))
    except (ValueError, OverflowError):
        return None
