"""R2Gen's ``annotation.json``, the file that most published report generators read (Chen et al. 2020).

What the adapter reads::

    annotation.json     {"train": [entry], "val": [entry], "test": [entry]}
    images/...          as the entries' paths say: CXR2384_IM-0942/0.png, or p10/p10000032/s50414267/ID.jpg

An entry has ``id``, ``report`` and ``image_path``, a list; for MIMIC-CXR also ``subject_id`` and
``study_id``. There an entry is an image and not a study, so a study of two images is two entries with one
report. They are left as they are, because the numbers published with this file count entries.

R2Gen kept the Findings alone, without a header: a report in which no sections are found is taken as Findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from radflow.errors import DataError
from radflow.modality import ModalityName
from radflow.reports import Report, parse_report
from radflow.studies.sources import Source
from radflow.studies.sources.choice import Choice
from radflow.studies.sources.folders import find_file, first_there, image_folders
from radflow.studies.sources.openi import PROJECTIONS, image_key, read_projections
from radflow.studies.splits import split_named
from radflow.studies.study import Rejected, Study
from radflow.studies.views import Picture, View, Views, said
from radflow.tables import identifier, listed, words
from radflow.tables.json_records import Record, read_records

ANNOTATIONS = ("annotation.json", "*annotation*.json", "*/annotation.json")
IMAGES = ("images", "files")

_IU_STUDY = re.compile(r"CXR(?:1_(?=1_IM))?(?P<uid>\d+)_IM-[\d-]+")


def open_r2gen(
    root: Path,
    *,
    views: Views = "all",
    max_images: int | None = None,
    images: Path | None = None,
    table: Path | None = None,
    modality: ModalityName = "chest-xray",
) -> Source:
    """Open any data set in R2Gen's format, in the split of its annotation file.

    Views are known for IU X-Ray alone, and there only with ``indiana_projections.csv`` near the root.

    Args:
        root: holds the annotation file and the images.
        views: which pictures of an entry.
        max_images: at most so many.
        images: the folder of the images, where it is not in the root.
        table: the annotation file, relative to the root; found by its name when not given.
        modality: of all studies.

    Raises:
        MissingFileError: there is no annotation file.
        DataError: frontal images are asked for and no view is known, or an option is none of those above.
    """
    choice = Choice(views=views, max_images=max_images)
    annotation = find_file(root, [str(table)] if table else ANNOTATIONS, "a data set of R2Gen")
    projections = read_projections(root)
    if views != "all" and not projections:
        raise DataError(
            f"{annotation}: it does not say which images are {views}, and no {PROJECTIONS} lies near it; "
            "use views = 'all', with max_images = 1 for the first image of each entry"
        )
    opened = _R2Gen(
        annotation=annotation,
        folders=image_folders((annotation.parent, root), IMAGES, images),
        iu_views=IuViews(projections),
        choice=choice,
        modality=modality,
    )
    notes = (
        "a report without headers is taken as Findings, which is what R2Gen kept",
        "where an entry has no subject_id, it counts as a patient of its own",
    )
    return Source(total=None, studies=opened.studies(), notes=notes)


@dataclass(frozen=True, kw_only=True)
class _R2Gen:
    annotation: Path
    folders: tuple[Path, ...]
    iu_views: IuViews
    choice: Choice
    modality: ModalityName

    def studies(self) -> Iterator[Study | Rejected]:
        for record in read_records(self.annotation, depth=2):
            split, number = record.keys
            study = f"{split} entry {number}"
            try:
                if not isinstance(record.value, dict):
                    raise DataError("broken row: expected an object with id, report and image_path")
                study = identifier(record.value.get("id")) or study
                yield self._study(study, record)
            except DataError as error:
                yield Rejected(study, str(error))

    def _study(self, study: str, record: Record) -> Study:
        entry = record.value
        split = split_named(str(record.keys[0]))
        report = reported(words(entry.get("report")))
        if report is None:
            raise DataError("empty report")
        if split is None:
            raise DataError(f"unknown split: {record.keys[0]}")
        names = listed(entry.get("image_path"))
        pictures = [Picture(first_there(self.folders, name), self.iu_views.of(name)) for name in names]
        chosen = self.choice.pictures(pictures)
        return Study(
            study_id=study,
            patient_id=identifier(entry.get("subject_id")) or iu_patient(study) or study,
            images=tuple(picture.path for picture in chosen),
            reference=report,
            split=split,
            modality=self.modality,
            views=said(chosen),
        )


class IuViews:
    """Frontal or lateral by the path of an IU X-Ray image, from the views of Kaggle's table."""

    def __init__(self, projections: Mapping[str, View]) -> None:
        self._views = projections
        self._of_report: dict[str, list[str]] = {}
        for key in sorted(projections):
            self._of_report.setdefault(key.partition("_")[0], []).append(key)

    def of(self, name: str) -> View:
        """The view of ``CXR1000_IM-0003/0.png``: the first of the ids, in order, that the folder names.

        Folders that name one series more (``CXR3468_IM-1684-0001``) are in no order that could be found:
        against ReXrank's views, 10 of 14 such studies are as sorted. So their views are unknown.

        >>> views = IuViews({"1000_IM-0003-1001": "frontal", "1000_IM-0003-2001": "lateral"})
        >>> views.of("CXR1000_IM-0003/1.png"), views.of("CXR1000_IM-0003/2.png"), views.of("p10/a.jpg")
        ('lateral', 'unknown', 'unknown')
        """
        path = PurePosixPath(name)
        prefix = image_key(path.parent.name)
        if prefix.count("-") != 1:
            return "unknown"
        ids = [
            key for key in self._of_report.get(prefix.partition("_")[0], []) if key.startswith(f"{prefix}-")
        ]
        place = int(path.stem) if path.stem.isdecimal() and len(path.stem) < 3 else len(ids)
        return self._views[ids[place]] if place < len(ids) else "unknown"


def reported(text: str | None) -> Report | None:
    """A report as R2Gen gives it: its sections where it has them, else all of it as Findings.

    >>> reported("The lungs are clear.").findings, reported("Findings: Clear. Impression: Normal.").impression
    ('The lungs are clear.', 'Normal.')
    """
    if text is None:
        return None
    report = parse_report(text)
    known = report.findings is not None or report.impression is not None
    return report if known else Report(text=text, findings=text, impression=None)


def iu_patient(study: str) -> str | None:
    """The patient of an IU X-Ray study: its report number, as one patient has one report.

    >>> iu_patient("CXR2384_IM-0942"), iu_patient("CXR1_1_IM-0001"), iu_patient("02aa804e-bde0afdd")
    ('CXR2384', 'CXR1', None)
    """
    match = _IU_STUDY.fullmatch(study)
    return f"CXR{match['uid']}" if match else None
