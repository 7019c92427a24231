"""What Open-i publishes of IU X-Ray: its reports, and its radiographs as three archives name them.

The reports are Kohli and Rosenman's Indiana University collection (CC BY-NC-ND 4.0). The torchxrayvision
package carries them; they are read where they lie, without importing it, and never copied into radflow.

==============  =====================================  ==========================================
archive         file                                   image id
==============  =====================================  ==========================================
Open-i          ``CXR1000_IM-0003-1001.png``           ``1000_IM-0003-1001``
Kaggle          ``1000_IM-0003-1001.dcm.png``          ``1000_IM-0003-1001``
R2Gen           ``CXR1000_IM-0003/0.png``              the first, in order, of those the folder names
Open-i, uid 1   ``CXR1_1_IM-0001-3001.png``            ``1_IM-0001-3001``
==============  =====================================  ==========================================

Which image is frontal is in Kaggle's ``indiana_projections.csv``, if it lies near the images. The DICOM
headers say it for some only: of the studies with a frontal and a lateral image, choosing by header picks a
lateral in 5% (175 of 3,394), because many lateral images are labelled PA.
"""

from __future__ import annotations

import csv
import gzip
import importlib.resources
import importlib.util
import os
import re
import tarfile
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from radflow.errors import DataError, MissingDependencyError, MissingFileError
from radflow.reports.files import read_rows
from radflow.studies.study import SPLITS, Split
from radflow.studies.views import View

PROJECTIONS = "indiana_projections.csv"
_REPORTS = "NLMCXR_reports.tgz"
_HEADERS = "nlmcxr_dicom_metadata.csv.gz"

_FLAT = re.compile(
    r"(?:CXR)?(?:1_(?=1_IM))?(?P<uid>\d+)_(?P<rest>IM-[\d-]+)(?:\.dcm)?\.(?:png|jpe?g)", re.IGNORECASE
)
_R2GEN_FOLDER = re.compile(r"CXR(?:1_(?=1_IM))?(?P<uid>\d+)_IM-[\d-]+")
_R2GEN_FILE = re.compile(r"(?P<place>\d)\.(?:png|jpe?g)", re.IGNORECASE)
_DEPTH = 4  # archives nest "images/images_normalized"


# ---- reports ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class OpenIReport:
    """One report as published; ``XXXX`` marks what the publisher redacted.

    Attributes:
        number: the report's number, e.g. 1000; one patient each.
        findings, impression, indication, comparison: sections, white space collapsed; ``None`` where empty.
        mesh: the ``major`` MeSH tags, e.g. ``("Opacity/lung/base/left",)``; ``("normal",)`` for a normal one.
        image_ids: as Open-i names them, e.g. ``CXR1000_IM-0003-1001``.
    """

    number: int
    findings: str | None
    impression: str | None
    indication: str | None
    comparison: str | None
    mesh: tuple[str, ...]
    image_ids: tuple[str, ...]

    @property
    def study_id(self) -> str:
        """``CXR1000``, which is the patient's id too."""
        return f"CXR{self.number}"

    @property
    def sections(self) -> str:
        """Which of the two sections it has, in words."""
        if self.findings and self.impression:
            return "findings and impression"
        if self.findings or self.impression:
            return "findings only" if self.findings else "impression only"
        return "neither section"


def open_i_reports(folder: Path | None = None) -> Iterator[OpenIReport]:
    """Yield all reports by number.

    Args:
        folder: where ``NLMCXR_reports.tgz`` lies; by default the data folder of torchxrayvision.

    Raises:
        MissingDependencyError: torchxrayvision is not installed.
        DataError: the archive is missing or broken.
    """
    archive = (folder or package_data()) / _REPORTS
    reports: list[OpenIReport] = []
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.name.endswith(".xml") else None
                if file is not None:
                    reports.append(parse_report_xml(file.read(), f"{archive}:{member.name}"))
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{archive}: cannot be read ({error}); install torchxrayvision again") from None
    yield from sorted(reports, key=lambda report: report.number)


def r2gen_split() -> dict[int, Split]:
    """Report number -> split, for the 2,955 studies of the R2Gen split (2,069 / 296 / 590).

    >>> r2gen_split()[3030]
    'test'
    """
    text = importlib.resources.files("radflow.studies").joinpath("data/r2gen_split.txt").read_text("utf-8")
    splits: dict[int, Split] = {}
    named: Split = "train"
    for line in text.splitlines():
        if line in SPLITS:
            named = line
        elif not line.startswith("#"):
            splits |= dict.fromkeys(map(int, line.split()), named)
    return splits


def package_data() -> Path:
    """The data folder of torchxrayvision, found without importing it (that would import torch)."""
    spec = importlib.util.find_spec("torchxrayvision")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(
            "iu-xray: without data.root the reports come with the torchxrayvision package, which is not "
            "installed; run 'pip install torchxrayvision' (it is only read, never imported)"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def parse_report_xml(content: bytes, where: str) -> OpenIReport:
    """Read one report as Open-i publishes it.

    Args:
        content: of the XML file.
        where: opens every error message.

    Raises:
        DataError: it is no report with a number.
    """
    try:
        root = ElementTree.fromstring(content)
        name = root.find("uId")
        number = int("" if name is None else name.get("id", "").removeprefix("CXR"))
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{where}: expected an Open-i report with a uId ({error})") from None
    sections = {
        part.get("Label"): " ".join("".join(part.itertext()).split()) for part in root.iter("AbstractText")
    }
    return OpenIReport(
        number=number,
        findings=sections.get("FINDINGS") or None,
        impression=sections.get("IMPRESSION") or None,
        indication=sections.get("INDICATION") or None,
        comparison=sections.get("COMPARISON") or None,
        mesh=tuple(tag.text.strip() for tag in root.iter("major") if tag.text),
        image_ids=tuple(image.get("id", "") for image in root.iter("parentImage")),
    )


# ---- images ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class OpenIImages:
    """The radiographs found in a folder.

    Attributes:
        files: image id -> path, for the flat archives.
        r2gen: report number (``"1000"``) -> place -> path, for R2Gen, which has one folder per report.
        views: image id -> frontal or lateral, from ``indiana_projections.csv``; empty without that file.
    """

    files: Mapping[str, Path]
    r2gen: Mapping[str, Mapping[int, Path]]
    views: Mapping[str, View]

    def of(self, image_ids: Iterable[str]) -> dict[str, Path]:
        """The files of a study, by image id in the order of the ids."""
        ids = [image_key(image_id) for image_id in image_ids]
        found = {key: self.files[key] for key in ids if key in self.files}
        return found or self._of_r2gen(ids)

    def _of_r2gen(self, ids: list[str]) -> dict[str, Path]:
        places = self.r2gen.get(ids[0].partition("_")[0], {}) if ids else {}
        if not places:
            return {}
        prefix = image_key(next(iter(places.values())).parent.name)
        named = sorted(key for key in ids if key == prefix or key.startswith(f"{prefix}-"))
        return {key: places[place] for place, key in enumerate(named) if place in places}


def image_key(image_id: str) -> str:
    """An Open-i image id as Kaggle writes it.

    >>> image_key("CXR1000_IM-0003-1001"), image_key("CXR1_1_IM-0001-3001")
    ('1000_IM-0003-1001', '1_IM-0001-3001')
    """
    return re.sub(r"^CXR(1_(?=1_IM))?", "", image_id)


def find_open_i_images(folder: Path) -> OpenIImages:
    """Look through a folder, up to four levels deep.

    Raises:
        MissingFileError: there is no such folder.
        DataError: no file in it is named as in one of the three archives.
    """
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: no such folder of images")
    files: dict[str, Path] = {}
    r2gen: defaultdict[str, dict[int, Path]] = defaultdict(dict)
    root = folder.absolute()
    for place, folders, names in os.walk(root):
        here = Path(place)
        if len(here.relative_to(root).parts) >= _DEPTH:
            folders.clear()
        parent = _R2GEN_FOLDER.fullmatch(here.name)
        for name in names:
            if match := _FLAT.fullmatch(name):
                files[f"{match['uid']}_{match['rest']}"] = here / name
            elif parent and (match := _R2GEN_FILE.fullmatch(name)):
                r2gen[parent["uid"]][int(match["place"])] = here / name
    if not files and not r2gen:
        raise DataError(
            f"{folder}: expected radiographs named as in Open-i (CXR1000_IM-0003-1001.png), Kaggle "
            "(1000_IM-0003-1001.dcm.png) or R2Gen (CXR1000_IM-0003/0.png), found none"
        )
    return OpenIImages(files=files, r2gen=r2gen, views=read_projections(root))


def read_header_views() -> dict[str, View]:
    """Frontal or lateral by the DICOM header of each image, which torchxrayvision carries too.

    Lateral is sure where the header says so. Frontal is not: many lateral images are labelled PA.
    """
    with gzip.open(package_data() / _HEADERS, "rt", encoding="utf-8", newline="") as file:
        return {image_key(row["imageid"]): _header_view(row) for row in csv.DictReader(file)}


def frontal_first(
    images: Mapping[str, Path], views: Mapping[str, View], header: Mapping[str, View]
) -> list[Path]:
    """The images of a study that may be frontal, the likeliest first; empty if all are lateral.

    Args:
        images: image id -> path.
        views: what `OpenIImages.views` says; decides where it knows the image.
        header: what `read_header_views` says; decides elsewhere.
    """
    rank = {"frontal": 0, "unknown": 1}
    view = {key: views.get(key) or header.get(key, "unknown") for key in images}
    return [
        images[key] for key in sorted(images, key=lambda key: rank.get(view[key], 2)) if view[key] in rank
    ]


def _header_view(row: Mapping[str, str]) -> View:
    position, orientation = row["View Position"].upper(), row["Patient Orientation"]
    # Rows run towards the patient's front or back only in a lateral image.
    if position in ("LL", "RL") or "LATERAL" in position or orientation.startswith(("['A'", "['P'")):
        return "lateral"
    return "frontal" if position in ("PA", "AP") else "unknown"


def read_projections(root: Path) -> dict[str, View]:
    """Kaggle's table, from the folder itself or up to two levels above it or one below."""
    places = [root, *root.parents[:2], *sorted(path for path in root.iterdir() if path.is_dir())]
    for table in (place / PROJECTIONS for place in places):
        if table.is_file():
            rows = [row.fields for row in read_rows(table)]
            if not rows or not {"filename", "projection"} <= rows[0].keys():
                raise DataError(f"{table}: expected the columns uid, filename and projection")
            return {row["filename"].removesuffix(".dcm.png"): _view(row["projection"]) for row in rows}
    return {}


def _view(projection: str) -> View:
    words: dict[str, View] = {"frontal": "frontal", "lateral": "lateral"}
    return words.get(projection.strip().lower(), "unknown")
