"""ReXrank's input files: the studies that the leaderboard scores, one JSON object each (rexrank.ai).

What the adapter reads::

    ReXRank_IUXray_test.json, ReXRank_MIMICCXR_test.json, ReXRank_CheXpertPlus.json      all that are there
    images/, PNG/, files/ or the root itself, as the paths in the file say

``context`` is one text: ``Age:50-60.Gender:M.Indication: ... Comparison: ...``, with ``nan`` for what is
missing; a missing section is ``NaN``. Paths of MIMIC-CXR begin with a slash. ``split`` is ``test`` or
``val``, and where there is none the file is a test set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.errors import DataError
from radflow.studies.sources import Source
from radflow.studies.sources.choice import Choice, Sections, paired, report_of
from radflow.studies.sources.folders import find_file, first_there, image_folders, matching
from radflow.studies.sources.r2gen import iu_patient
from radflow.studies.splits import split_named
from radflow.studies.study import Rejected, Study
from radflow.studies.views import Picture, Views, said, view_of
from radflow.tables import identifier, listed, words
from radflow.tables.json_records import read_records

FILES = ("ReXRank*.json", "ReXrank*.json", "rexrank*.json")
IMAGES = ("images", "PNG", "files")

_INDICATION = re.compile(r"Indication:(?P<text>.*?)(?=Comparison:|\Z)", re.DOTALL)
_COMPARISON = re.compile(r"Comparison:(?P<text>.*)", re.DOTALL)
_CHEXPERT = re.compile(r"(?P<patient>patient\d+)_study\d+")
_REXGRADIENT = re.compile(r"p(?P<patient>[^_]+)_a[^_]+_s.+")


def open_rexrank(
    root: Path,
    *,
    views: Views = "all",
    max_images: int | None = None,
    sections: Sections = "any",
    images: Path | None = None,
    table: Path | None = None,
) -> Source:
    """Open ReXrank's files, to write reports that `radflow score --write-rexrank` turns into a submission.

    Args:
        root: holds the files and the images.
        views: which pictures of a study.
        max_images: at most so many, frontal before lateral, and of these the file's ``key_image_path`` first.
        sections: ``any``, because the leaderboard scores reports with one section too; ``both`` leaves them
            out.
        images: the folder of the images, where it is not in the root.
        table: the file, relative to the root; all of ReXrank's when not given.

    Raises:
        MissingFileError: there is no such file.
        DataError: an option is none of those above.
    """
    choice = Choice(views=views, max_images=max_images, sections=sections)
    places = [str(table)] if table else FILES
    find_file(root, places, "a ReXrank input file")
    files = sorted({path for place in places for path in matching(root, place)})
    opened = _ReXrank(
        files=tuple(files),
        folders=image_folders((root,), IMAGES, images),
        choice=choice,
    )
    notes = (
        f"read {', '.join(path.name for path in files)}; a file without splits is a test set",
        "where a file names no patient, a study counts as one",
    )
    return Source(total=None, studies=opened.studies(), notes=notes)


@dataclass(frozen=True, kw_only=True)
class _ReXrank:
    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    choice: Choice

    def studies(self) -> Iterator[Study | Rejected]:
        for path in self.files:
            for record in read_records(path):
                study = str(record.keys[0])
                try:
                    yield self._study(study, record.value)
                except DataError as error:
                    yield Rejected(study, str(error))

    def _study(self, study: str, row: Any) -> Study:
        if not isinstance(row, dict):
            raise DataError("broken row: expected an object with image_path and context")
        found = report_of(words(row.get("section_findings")), words(row.get("section_impression")))
        report = self.choice.report(found)
        split = split_named(str(row.get("split", "test")))
        if split is None:
            raise DataError(f"unknown split: {row['split']!r:.40}")
        pictures = self._pictures(row)
        chosen = self.choice.pictures(pictures)
        indication, comparison = context_of(str(row.get("context", "")))
        return Study(
            study_id=study,
            patient_id=identifier(row.get("subject_id")) or patient_of(study) or study,
            images=tuple(picture.path for picture in chosen),
            reference=report,
            indication=indication,
            comparison=comparison,
            split=split,
            views=said(chosen),
        )

    def _pictures(self, row: dict[str, Any]) -> list[Picture]:
        """The key image first: with ``max_images = 1`` it is the one that single-image models are given."""
        named = paired(listed(row.get("image_path")), listed(row.get("frontal_lateral")))
        named.sort(key=lambda pair: pair[0] != row.get("key_image_path"))
        return [Picture(first_there(self.folders, name.lstrip("/")), view_of(view)) for name, view in named]


def context_of(context: str) -> tuple[str | None, str | None]:
    """The indication and the comparison in ReXrank's context.

    >>> context_of("Age:50-60.Gender:M.Indication: Cough.Comparison: ___ radiograph.")
    ('Cough.', '___ radiograph.')
    >>> context_of("Age:77.0.Gender:F.Indication:nanComparison: None.")
    (None, 'None.')
    """
    indication, comparison = _INDICATION.search(context), _COMPARISON.search(context)
    return (
        words(indication["text"]) if indication else None,
        words(comparison["text"]) if comparison else None,
    )


def patient_of(study: str) -> str | None:
    """The patient, from the id of a study of CheXpert Plus, ReXGradient or IU X-Ray.

    >>> patient_of("patient64545_study1"), patient_of("pGRDNLZ_aGRDNLD_s1.2.3"), patient_of("CXR38_IM-1911")
    ('patient64545', 'GRDNLZ', 'CXR38')
    >>> patient_of("50051329")
    """
    match = _CHEXPERT.fullmatch(study) or _REXGRADIENT.fullmatch(study)
    return match["patient"] if match else iu_patient(study)
