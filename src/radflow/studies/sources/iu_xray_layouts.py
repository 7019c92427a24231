"""IU X-Ray in its three layouts: 3,955 reports, 7,470 images (Demner-Fushman et al., JAMIA 2016).

==========  ================================================  ==============================================
layout      reports                                           images
==========  ================================================  ==============================================
Open-i      ``ecgen-radiology/1000.xml``                      ``NLMCXR_png/CXR1000_IM-0003-1001.png``
Kaggle      ``indiana_reports.csv``                           ``images/images_normalized/1000_IM-...dcm.png``
R2Gen       ``annotation.json``, Findings alone               ``images/CXR1000_IM-0003/0.png``
==========  ================================================  ==============================================

The layout is told by the reports that lie in the root; the images may be of any of the three. Views are in
``indiana_projections.csv``, which is Kaggle's and may lie beside the other two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.errors import DataError, MissingFileError
from radflow.studies.manifest import Rejected
from radflow.studies.sources.cells import Sections, check_sections, report_of, wanted
from radflow.studies.sources.folders import archives, image_root, lies_in
from radflow.studies.sources.openi_images import PROJECTIONS, OpenIImages, find_open_i_images, image_key
from radflow.studies.sources.openi_reports import OpenIReport, parse_report_xml, r2gen_split
from radflow.studies.sources.r2gen import ANNOTATIONS, open_r2gen
from radflow.studies.splits import assign_split
from radflow.studies.stream import Source
from radflow.studies.study import Split, Study
from radflow.studies.views import Picture, Views, check_choice, pick, said
from radflow.tables import Row, identifier, open_csv, words
from radflow.tables.opening import LONGEST, opened

REPORTS = "indiana_reports.csv"
_XML = ("ecgen-radiology/*.xml", "*/ecgen-radiology/*.xml", "*.xml")
_NEEDED = ("uid", "findings", "impression")


def open_iu_xray(
    root: Path,
    *,
    views: Views = "all",
    max_images: int | None = None,
    sections: Sections = "both",
    images: Path | None = None,
    seed: int = 0,
) -> Source:
    """Open IU X-Ray, in whichever layout the root has.

    A study of the R2Gen split (2,069 / 296 / 590) keeps its place in it; the others are placed by hash. One
    report is one patient, as far as the published ids tell.

    Args:
        root: holds reports and images.
        views: which pictures of a study.
        max_images: at most so many, frontal before lateral.
        sections: ``both`` leaves out reports that lack Findings or Impression; ``any`` keeps those with one.
            R2Gen's layout has Findings alone, and keeps all.
        images: the folder of the images, where it is not in the root.
        seed: places the studies that the R2Gen split lacks.

    Raises:
        MissingFileError: none of the three layouts.
        DataError: a table lacks a column, views are asked for that nobody knows, or an option is none of
            those above.
    """
    check_choice(views, max_images)
    check_sections(sections)
    table = next(iter([*root.glob(REPORTS), *sorted(root.glob(f"*/{REPORTS}"))]), None)
    xml = next((found for pattern in _XML if (found := sorted(root.glob(pattern)))), [])
    if table is None and not xml:
        if any(next(root.glob(pattern), None) for pattern in ANNOTATIONS):
            return open_r2gen(root, views=views, max_images=max_images, images=images)
        raise MissingFileError(
            f"{root}: expected IU X-Ray with ecgen-radiology/*.xml (Open-i), {REPORTS} (Kaggle) or "
            f"annotation.json (R2Gen); {lies_in(root)}"
        )
    reports = _kaggle(table) if table is not None else _open_i(xml)
    found = _images(image_root(root, images))
    if views != "all" and not found.views:
        raise DataError(
            f"{root}: no {PROJECTIONS} here says which images are {views}; put Kaggle's beside the reports, "
            "or use views = 'all'"
        )
    opened = _IuXray(
        images=found,
        ids=_ids(found),
        views=views,
        max_images=max_images,
        sections=sections,
        seed=seed,
        splits=r2gen_split(),
    )
    notes = [
        "studies of the R2Gen split keep their place in it, the others are placed by hash",
        "each report counts as a patient: the published ids tell no more",
    ]
    if not found.views:
        notes.append(f"no {PROJECTIONS}: views are not known, and images stand in the order of their names")
    total = len(xml) if table is None else None
    return Source(total=total, studies=opened.studies(reports), notes=tuple(notes))


def _images(root: Path) -> OpenIImages:
    try:
        return find_open_i_images(root)
    except DataError as error:
        packed = f"; {lies_in(root)}" if archives(root) else ""
        raise DataError(f"{error}{packed}") from None


def _ids(images: OpenIImages) -> dict[int, list[str]]:
    """Report number -> the ids of its images: all that Kaggle's table has, or else those that are there."""
    ids: dict[int, list[str]] = {}
    for key in sorted(images.views or images.files):
        ids.setdefault(int(key.partition("_")[0]), []).append(key)
    return ids


def _open_i(files: list[Path]) -> Iterator[OpenIReport | Rejected]:
    """The reports of Open-i by number, as `radflow.studies.sources.openi_reports` orders them too."""
    for path in sorted(files, key=lambda path: (len(path.stem), path.stem)):
        try:
            with opened(path) as file:
                yield parse_report_xml(file.read(LONGEST), str(path))  # a longer one is cut, and so broken
        except (DataError, OSError) as error:
            yield Rejected(path.stem, f"broken row: {error}")


def _kaggle(path: Path) -> Iterator[OpenIReport | Rejected]:
    table = open_csv(path)
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise DataError(
            f"{path}:1: expected the columns {', '.join(_NEEDED)}, found {', '.join(table.columns)}"
        )
    return (_kaggle_report(row) for row in table.rows())


def _kaggle_report(row: Row) -> OpenIReport | Rejected:
    uid = identifier(row.fields.get("uid"))
    if row.problem is not None:
        return Rejected(row.where, row.problem)
    if uid is None or not uid.isdecimal():
        return Rejected(row.where, f"broken row: {row.where}: expected a number as uid, got {uid!r}")
    section: dict[str, Any] = {
        name: words(row.fields.get(name)) for name in ("findings", "impression", "indication", "comparison")
    }
    mesh = tuple(tag for tag in str(row.fields.get("MeSH") or "").split(";") if tag)
    return OpenIReport(number=int(uid), mesh=mesh, image_ids=(), **section)


@dataclass(frozen=True, kw_only=True)
class _IuXray:
    images: OpenIImages
    ids: Mapping[int, list[str]]
    views: Views
    max_images: int | None
    sections: Sections
    seed: int
    splits: Mapping[int, Split]

    def studies(self, reports: Iterator[OpenIReport | Rejected]) -> Iterator[Study | Rejected]:
        for report in reports:
            if isinstance(report, Rejected):
                yield report
                continue
            try:
                yield self._study(report)
            except DataError as error:
                yield Rejected(report.study_id, str(error))

    def _study(self, report: OpenIReport) -> Study:
        reference = wanted(report_of(report.findings, report.impression), self.sections)
        ids = [image_key(name) for name in report.image_ids] or self.ids.get(report.number, [])
        files = self.images.of(ids)
        # R2Gen's archive has two images of each study, whatever the study has; the others have all.
        if missing := [key for key in ids if key not in files and files.keys() & self.images.files.keys()]:
            raise DataError(f"missing image: {missing[0]}")
        pictures = [Picture(path, self.images.views.get(key, "unknown")) for key, path in files.items()]
        chosen = pick(pictures, self.views, self.max_images)
        return Study(
            study_id=report.study_id,
            patient_id=report.study_id,
            images=tuple(picture.path for picture in chosen),
            reference=reference,
            indication=report.indication,
            comparison=report.comparison,
            split=self.splits.get(report.number) or assign_split(report.study_id, self.seed),
            views=said(chosen),
            truth={"mesh": list(report.mesh)} if report.mesh else {},
        )
