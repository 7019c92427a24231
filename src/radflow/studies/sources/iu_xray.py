"""IU X-Ray: 3,955 reports, 7,470 images (Demner-Fushman et al., JAMIA 2016).

Without a root the reports come from the torchxrayvision package, and the images, unless a folder of them is
given, are frontal films drawn from each report's MeSH tags; the manifest then says that they are drawn. In a
root it may lie in three layouts, told by the reports; the images may be of any of the three:

==========  ================================================  ==============================================
layout      reports                                           images
==========  ================================================  ==============================================
Open-i      ``ecgen-radiology/1000.xml``                      ``NLMCXR_png/CXR1000_IM-0003-1001.png``
Kaggle      ``indiana_reports.csv``                           ``images/images_normalized/1000_IM-...dcm.png``
R2Gen       ``annotation.json``, Findings alone               ``images/CXR1000_IM-0003/0.png``
==========  ================================================  ==============================================

Views are in ``indiana_projections.csv``, which is Kaggle's and may lie beside the other two. A study of the
R2Gen split (2,069 / 296 / 590) keeps its place in it; the others are placed by hash. One report is one
patient, as far as the published ids tell.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.errors import DataError, MissingFileError, at_least
from radflow.files import make_folder
from radflow.studies.phantoms.chest import draw_chest
from radflow.studies.phantoms.drawing import SMALLEST_IMAGE, drawing_note, renderer_fingerprint, save_drawing
from radflow.studies.sources import Source
from radflow.studies.sources.choice import Choice, Sections, report_of
from radflow.studies.sources.folders import archives, image_root, lies_in
from radflow.studies.sources.openi import (
    PROJECTIONS,
    OpenIImages,
    OpenIReport,
    find_open_i_images,
    frontal_first,
    image_key,
    open_i_reports,
    parse_report_xml,
    r2gen_split,
    read_header_views,
)
from radflow.studies.sources.r2gen import ANNOTATIONS, open_r2gen
from radflow.studies.splits import assign_split
from radflow.studies.study import Rejected, Split, Study
from radflow.studies.views import Picture, View, Views, said
from radflow.tables import Row, identifier, open_csv, words
from radflow.tables.opening import LONGEST, opened
from radflow.workspace import derive_seed

REPORTS = "indiana_reports.csv"
_XML = ("ecgen-radiology/*.xml", "*/ecgen-radiology/*.xml", "*.xml")
_NEEDED = ("uid", "findings", "impression")
_DRAWN_BY = "open-i"  # in the notes of drawn pictures
_NO_PATIENTS = "each report counts as a patient: the published ids tell no more"

Reports = Iterator[OpenIReport | Rejected]


def open_iu_xray(
    root: Path | None = None,
    *,
    views: Views | None = None,
    max_images: int | None = None,
    sections: Sections = "both",
    images: Path | None = None,
    seed: int = 0,
    count: int | None = None,
    image_size: int = 256,
    store: Path | None = None,
) -> Source:
    """Open IU X-Ray, from the package or in whichever layout the root has.

    Args:
        root: holds reports and images; the reports are torchxrayvision's when not given.
        views, max_images, sections: what is wanted of a study, as in `Choice`. R2Gen's layout has Findings
            alone, and keeps all. When no views are asked for: all in a root, else one frontal film.
        images: the folder of the images, where it is not in the root.
        seed: places the studies that the R2Gen split lacks, and picks those of ``count``.
        count: without a root, at most so many studies, picked evenly by hash.
        image_size: height and width of a drawn image in pixels.
        store: the folder for drawn images.

    Raises:
        MissingDependencyError: torchxrayvision is needed and not installed.
        MissingFileError: none of the three layouts.
        DataError: a table lacks a column, views are asked for that nobody knows, or an option is none of
            those above.
    """
    if views is None:
        views, max_images = ("frontal", max_images or 1) if root is None else ("all", max_images)
    choice = Choice(views=views, max_images=max_images, sections=sections)
    if root is None:
        return _of_package(choice, images, seed=seed, count=count, image_size=image_size, store=store)
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
    ids: dict[int, list[str]] = {}  # all that Kaggle's table has, or else those that are there
    for key in sorted(found.views or found.files):
        ids.setdefault(int(key.partition("_")[0]), []).append(key)
    opened = _OnDisk(choice=choice, seed=seed, splits=r2gen_split(), images=found, ids=ids)
    notes = ["studies of the R2Gen split keep their place in it, the others are placed by hash", _NO_PATIENTS]
    if not found.views:
        notes.append(f"no {PROJECTIONS}: views are not known, and images stand in the order of their names")
    total = len(xml) if table is None else None
    return Source(total=total, studies=opened.studies(reports), notes=tuple(notes))


def open_open_i(
    *,
    images: Path | None = None,
    seed: int = 0,
    count: int | None = None,
    image_size: int = 256,
    store: Path | None = None,
) -> Source:
    """`open_iu_xray` without a root, under its older name."""
    return open_iu_xray(images=images, seed=seed, count=count, image_size=image_size, store=store)


# ---- without a root: the reports of the package ------------------------------------------------------------


def _of_package(
    choice: Choice, images: Path | None, *, seed: int, count: int | None, image_size: int, store: Path | None
) -> Source:
    at_least("image_size", image_size, SMALLEST_IMAGE)
    if count is not None:
        at_least("count", count, 1)
    common: dict[str, Any] = {"choice": choice, "seed": seed, "splits": r2gen_split()}
    reports = list(open_i_reports())
    if images is None:
        if store is None or choice.views == "lateral":
            raise DataError("iu-xray: drawn films are frontal, and need a folder (store)")
        opened: _Studies = _Drawn(folder=make_folder(store), drawn=True, **common)
        notes = ("the images are drawn from the MeSH tags; no pixel is real",)
        draw = _Draw(size=image_size, renderer=renderer_fingerprint("chest"))
    else:
        found = find_open_i_images(images)
        opened = _Films(images=found, folder=images, header=read_header_views(), **common)
        notes, draw = (), None
        if not found.views:
            notes = (
                f"no {PROJECTIONS} beside the images: frontal images were chosen by DICOM header, "
                "which takes a lateral one for about 1 study in 20",
            )
    studies = limited(list(opened.studies(iter(reports))), count, seed)
    return Source(total=len(studies), studies=iter(studies), notes=notes, draw=draw)


def limited(studies: list[Study | Rejected], count: int | None, seed: int) -> list[Study | Rejected]:
    """At most ``count`` studies, the same ones for a seed whatever else there is; the others are rejected."""
    ids = [item.study_id for item in studies if isinstance(item, Study)]
    kept = set(sorted(ids, key=lambda study: derive_seed(seed, "open-i limit", study))[:count])
    return [
        Rejected(item.study_id, f"over the limit of {count}")
        if isinstance(item, Study) and item.study_id not in kept
        else item
        for item in studies
    ]


@dataclass(frozen=True, kw_only=True)
class _Draw:
    """Draws the film of a study unless it lies there, made the same way; gives the tags it does not show."""

    size: int
    renderer: str

    def __call__(self, study: Study) -> tuple[str, ...]:
        tags, path = study.truth.get("mesh", []), study.images[0]
        note = {"drawn": True, "source": _DRAWN_BY, "study": study.study_id, "mesh": tags}
        note |= {"size": self.size, "renderer": self.renderer}
        present = drawing_note(path) or {}
        unsupported = present.pop("unsupported", None)
        if unsupported is None or present != note:
            drawing = draw_chest(tags, study_id=study.study_id, size=self.size)
            unsupported = drawing.unsupported
            save_drawing(path, drawing.image, {**note, "unsupported": list(unsupported)})
        return tuple(unsupported)


# ---- in a root: Open-i's and Kaggle's reports --------------------------------------------------------------


def _images(root: Path) -> OpenIImages:
    try:
        return find_open_i_images(root)
    except DataError as error:
        packed = f"; {lies_in(root)}" if archives(root) else ""
        raise DataError(f"{error}{packed}") from None


def _open_i(files: list[Path]) -> Reports:
    """The reports of Open-i by number, as `open_i_reports` orders them too."""
    for path in sorted(files, key=lambda path: (len(path.stem), path.stem)):
        try:
            with opened(path) as file:
                yield parse_report_xml(file.read(LONGEST), str(path))  # a longer one is cut, and so broken
        except (DataError, OSError) as error:
            yield Rejected(path.stem, f"broken row: {error}")


def _kaggle(path: Path) -> Reports:
    table = open_csv(path, needs=_NEEDED)
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


# ---- reports to studies ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Studies(ABC):
    choice: Choice
    seed: int
    splits: Mapping[int, Split]
    drawn: bool = False

    @abstractmethod
    def pictures(self, report: OpenIReport) -> list[Picture]:
        """All pictures of a study; raises `DataError` with the reason of a `Rejected`."""

    def studies(self, reports: Reports) -> Iterator[Study | Rejected]:
        for report in reports:
            if isinstance(report, Rejected):
                yield report
                continue
            try:
                yield self._study(report)
            except DataError as error:
                yield Rejected(report.study_id, str(error))

    def _study(self, report: OpenIReport) -> Study:
        reference = self.choice.report(report_of(report.findings, report.impression))
        chosen = self.choice.pictures(self.pictures(report))
        return Study(
            study_id=report.study_id,
            patient_id=report.study_id,
            images=tuple(picture.path for picture in chosen),
            reference=reference,
            indication=report.indication,
            comparison=report.comparison,
            split=self.splits.get(report.number) or assign_split(report.study_id, self.seed),
            drawn=self.drawn,
            views=said(chosen),
            truth={"mesh": list(report.mesh)} if report.mesh else {},
        )


@dataclass(frozen=True, kw_only=True)
class _Drawn(_Studies):
    folder: Path

    def pictures(self, report: OpenIReport) -> list[Picture]:
        return [Picture(self.folder / f"{report.study_id}.png", "frontal")]


@dataclass(frozen=True, kw_only=True)
class _Films(_Studies):
    """Real images with the package's reports; what no projection says, the DICOM headers may."""

    images: OpenIImages
    folder: Path
    header: Mapping[str, View]

    def pictures(self, report: OpenIReport) -> list[Picture]:
        files = self.images.of(report.image_ids)
        if not files:
            raise DataError(f"no image in {self.folder}")
        if self.choice.views != "frontal":
            views = {**self.header, **self.images.views}
            return [Picture(path, views.get(key, "unknown")) for key, path in files.items()]
        if not (frontal := frontal_first(files, self.images.views, self.header)):
            raise DataError("only lateral images")
        return [Picture(path, "frontal") for path in frontal]


@dataclass(frozen=True, kw_only=True)
class _OnDisk(_Studies):
    images: OpenIImages
    ids: Mapping[int, list[str]]

    def pictures(self, report: OpenIReport) -> list[Picture]:
        ids = [image_key(name) for name in report.image_ids] or self.ids.get(report.number, [])
        files = self.images.of(ids)
        # R2Gen's archive has two images of each study, whatever the study has; the others have all.
        if missing := [key for key in ids if key not in files and files.keys() & self.images.files.keys()]:
            raise DataError(f"missing image: {missing[0]}")
        return [Picture(path, self.images.views.get(key, "unknown")) for key, path in files.items()]
