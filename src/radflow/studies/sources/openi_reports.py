"""The Open-i (IU X-Ray) reports that the torchxrayvision package carries, read where they lie.

They are Kohli and Rosenman's Indiana University collection (CC BY-NC-ND 4.0), so they are never copied into
radflow: the archive is found in the installed package, without importing it.
"""

from __future__ import annotations

import importlib.resources
import importlib.util
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from radflow.errors import DataError, MissingDependencyError
from radflow.studies.study import SPLITS, Split

_REPORTS = "NLMCXR_reports.tgz"


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
            "open-i: the reports come with the torchxrayvision package, which is not installed; "
            "run 'pip install torchxrayvision' (it is only read, never imported)"
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
