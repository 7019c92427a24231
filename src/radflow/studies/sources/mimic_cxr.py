"""MIMIC-CXR and MIMIC-CXR-JPG: 227,835 studies of 65,379 patients (Johnson et al. 2019, Sci. Data 6:317).

What the adapter reads::

    mimic-cxr-2.0.0-split.csv.gz       dicom_id, study_id, subject_id, split
    mimic-cxr-2.0.0-metadata.csv.gz    dicom_id, subject_id, study_id, ViewPosition, StudyDate, StudyTime, ...
    files/p10/p10000032/s50414267/02aa804e-...-4e384014.jpg      or .dcm
    files/p10/p10000032/s50414267.txt  the report; or mimic-cxr-reports/files/..., or mimic-cxr-reports.zip
    mimic_cxr_sectioned.csv            where it is there, its sections go before our own parser's

MIMIC-CXR (DICOM) comes without the two tables: lay those of MIMIC-CXR-JPG beside its ``files``. MIMIC-CXR-JPG
comes without the reports: lay ``mimic-cxr-reports.zip`` of MIMIC-CXR beside its ``files``.

As with Open-i, a report without both Findings and Impression is left out unless asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from radflow.errors import DataError, MissingFileError
from radflow.files import is_file
from radflow.reports.mimic import MimicSections
from radflow.studies.sources import Source
from radflow.studies.sources.choice import Choice, Sections, report_of
from radflow.studies.sources.folders import find_file, lies_in
from radflow.studies.sources.mimic_reports import MimicReports, find_reports, report_place
from radflow.studies.sources.mimic_tables import (
    MimicImages,
    MimicOrder,
    MimicSplits,
    MimicStudy,
    read_images,
    read_splits,
)
from radflow.studies.study import Rejected, Study
from radflow.studies.views import Picture, Views

SPLIT_TABLES = ("mimic-cxr-2.*-split.csv.gz", "mimic-cxr-2.*-split.csv")
METADATA_TABLES = ("mimic-cxr-2.*-metadata.csv.gz", "mimic-cxr-2.*-metadata.csv")
_ENDINGS = (".jpg", ".dcm", ".png")
_LOOKED_AT = 500  # studies whose reports are looked for before the work begins


def open_mimic_cxr(
    root: Path,
    *,
    views: Views = "all",
    max_images: int | None = None,
    sections: Sections = "both",
    reports: Path | None = None,
    images: Path | None = None,
) -> Source:
    """Open MIMIC-CXR-JPG, or MIMIC-CXR with the tables of MIMIC-CXR-JPG beside it.

    The split is the official one. The prior study of a study is the same patient's last one before it by
    ``StudyDate`` and ``StudyTime``, whether or not that one is itself kept.

    Args:
        root: holds the tables and ``files``.
        views, max_images, sections: what is wanted of a study, as in `Choice`.
        reports: folder, zip archive or table of sections with the reports, where they are not in ``root``.
        images: the folder with ``p10`` to ``p19``, where it is not ``root/files``.

    Raises:
        MissingFileError: a table, the images or the reports are not there.
        DataError: a table lacks a column or is cut short, or ``max_images`` is below 1.
    """
    choice = Choice(views=views, max_images=max_images, sections=sections)
    splits, broken = read_splits(find_file(root, SPLIT_TABLES, "MIMIC-CXR"))
    table, notes = _images(root, views)
    files = root / "files" if images is None else images.absolute()
    if not files.is_dir():
        raise MissingFileError(f"{files}: expected the images of MIMIC-CXR in p10 to p19; {lies_in(root)}")
    opened = _MimicCxr(files=files, splits=splits, reports=find_reports(root, reports), choice=choice)
    order = table.order()
    opened.expect_reports(order, root if reports is None else reports)
    broken += table.broken
    return Source(total=len(broken) + len(order), studies=chain(broken, opened.studies(order)), notes=notes)


def _images(root: Path, views: Views) -> tuple[MimicImages, tuple[str, ...]]:
    """The images and what to say about them: from the metadata, or without it from the split table."""
    try:
        return read_images(find_file(root, METADATA_TABLES, "MIMIC-CXR")), ()
    except MissingFileError:
        if views != "all":
            raise
    note = f"no {METADATA_TABLES[0]}: views and prior studies are not known"
    return read_images(find_file(root, SPLIT_TABLES, "MIMIC-CXR")), (note,)


@dataclass(frozen=True, kw_only=True)
class _MimicCxr:
    files: Path
    splits: MimicSplits
    reports: MimicReports
    choice: Choice

    def expect_reports(self, order: MimicOrder, where: Path) -> None:
        """Raise `MissingFileError` unless one of the first studies has a report."""
        if self.reports.table is not None or not len(order):
            return
        for study in islice(order, _LOOKED_AT):
            try:
                if self.reports.sections(study.subject, study.study) is not None:
                    return
            except DataError:
                return  # there is one, and it is broken
        place = report_place(study.subject, study.study)
        raise MissingFileError(
            f"{where}: expected the reports of MIMIC-CXR, as mimic-cxr-reports.zip, as files/{place} or in "
            f"mimic_cxr_sectioned.csv; {lies_in(where)}; they come with MIMIC-CXR, not with MIMIC-CXR-JPG"
        )

    def studies(self, order: MimicOrder) -> Iterator[Study | Rejected]:
        """Every study, by patient and time, with what came before it."""
        before: MimicStudy | None = None
        said_before: str | None = None
        for study in order:
            prior = before if before is not None and before.subject == study.subject else None
            if prior is not None and (prior.when >= study.when or math.isinf(study.when)):
                prior = None  # the order is not known
            sections: MimicSections | None = None
            try:
                sections = self.reports.sections(study.subject, study.study)
                yield self._study(study, sections, prior, said_before if prior else None)
            except DataError as error:
                yield Rejected(f"s{study.study}", str(error))
            before, said_before = study, _said(sections)

    def _study(
        self,
        study: MimicStudy,
        sections: MimicSections | None,
        prior: MimicStudy | None,
        prior_report: str | None,
    ) -> Study:
        if sections is None:
            raise DataError(f"no report: files/{report_place(study.subject, study.study)} is not there")
        reference = report_of(sections.findings, sections.impression)
        if reference is None or (self.choice.sections == "both" and not reference.sectioned):
            raise DataError(f"report with {sections.present}")
        split = self.splits.of(study.study)
        if split is None:
            raise DataError("not in the split table")
        chosen = self.choice.pictures([Picture(Path(image), view) for image, view in study.images])
        return Study(
            study_id=f"s{study.study}",
            patient_id=f"p{study.subject}",
            images=tuple(self._file(study, picture.path.name) for picture in chosen),
            reference=reference,
            indication=sections.indication or sections.history,
            comparison=sections.comparison,
            split=split,
            views=tuple(picture.view for picture in chosen),
            prior_study=f"s{prior.study}" if prior else None,
            prior_report=prior_report,
        )

    def _file(self, study: MimicStudy, image: str) -> Path:
        """The image's file, whichever ending it has; the first ending where it is not on disk."""
        subject = str(study.subject)
        stem = f"{self.files}/p{subject[:2]}/p{subject}/s{study.study}/{image}"
        candidates = [Path(stem + ending) for ending in _ENDINGS]
        return next((path for path in candidates if is_file(path)), candidates[0])


def _said(sections: MimicSections | None) -> str | None:
    """A report as the next study's prior report: the sections it has."""
    if sections is None:
        return None
    report = report_of(sections.findings, sections.impression)
    return report.text if report is not None else sections.last_paragraph
