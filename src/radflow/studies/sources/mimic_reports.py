"""Where the reports of MIMIC-CXR are: text files in the tree, the zip archive, or a table of sections."""

from __future__ import annotations

import zipfile
from array import array
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from radflow.errors import DataError
from radflow.files import open_regular
from radflow.reports.mimic import MimicSections, parse_mimic
from radflow.tables import open_csv, words

SECTIONED = "mimic_cxr_sectioned.csv"
_LARGEST = 2**20  # bytes: the longest report has some 10 KB, so more is no report
_TABLED = ("findings", "impression", "last_paragraph")


@dataclass(frozen=True, kw_only=True)
class TreeTexts:
    """Text files below a folder that has ``p10`` to ``p19``."""

    folder: Path

    def read(self, place: str) -> str | None:
        """The text at ``p10/p10000032/s50414267.txt``; ``None`` where there is none.

        Raises:
            DataError: it is broken, or too large to be a report.
        """
        path = self.folder / place
        try:
            with open_regular(path, "a report") as file:
                content = file.read(_LARGEST + 1)
        except FileNotFoundError:
            return None
        except DataError as error:
            raise DataError(f"broken report: {error}") from None
        except OSError as error:
            raise DataError(f"broken report: {path} cannot be read ({error.strerror or error})") from None
        if len(content) > _LARGEST:
            raise DataError(f"broken report: {path} has more than {_LARGEST:,} bytes")
        return content.decode("utf-8", "replace")


class ZipTexts:
    """``mimic-cxr-reports.zip``, read where it lies.

    Nothing is unpacked to disk, and only names of our own making are looked up, so a member called
    ``../../x`` does nothing. A member that claims or yields more than a report can have is refused.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except Exception as error:  # as below
            raise DataError(f"{path}: expected a whole zip archive, got {error}; fetch it again") from None
        reports = (name for name in self._zip.NameToInfo if name.endswith(".txt") and "p1" in name)
        self._prefix = next((name[: name.index("p1")] for name in reports), "files/")

    def read(self, place: str) -> str | None:
        """See `TreeTexts.read`."""
        info = self._zip.NameToInfo.get(self._prefix + place)
        if info is None:
            return None
        where = f"{self._path}:{info.filename}"
        if info.file_size > _LARGEST:
            raise DataError(f"broken report: {where} would unpack to {info.file_size:,} bytes")
        try:
            with self._zip.open(info) as file:
                return file.read(_LARGEST).decode("utf-8", "replace")
        except Exception as error:  # zipfile and its decompressors raise many kinds on damage
            raise DataError(f"broken report: {where} cannot be unpacked ({error})") from None


class SectionTable:
    """``mimic_cxr_sectioned.csv``, as MIMIC-CXR's own script writes it; only places are kept in memory."""

    def __init__(self, path: Path) -> None:
        self._table = open_csv(path, needs=("study", "findings", "impression"))
        numbers, places = array("q"), array("q")
        for row in self._table.rows():
            study = row.fields.get("study", "").lstrip("s")
            if study.isdecimal():
                numbers.append(int(study))
                places.append(row.place)
        study = np.frombuffer(numbers, dtype=np.int64)
        order = np.argsort(study, kind="stable")
        self._study, self._place = study[order], np.frombuffer(places, dtype=np.int64)[order]

    def sections(self, study: int, parsed: MimicSections) -> MimicSections:
        """The sections of a study with those of the table in place of the parsed ones, where it has a row."""
        at = int(np.searchsorted(self._study, study))
        if at == len(self._study) or self._study[at] != study:
            return parsed
        row = next(self._table.at([int(self._place[at])]))
        said = {name: words(row.fields.get(name)) for name in _TABLED}
        comparison = parsed.comparison or words(row.fields.get("comparison"))
        return replace(parsed, comparison=comparison, **said)


@dataclass(frozen=True, kw_only=True)
class MimicReports:
    """The reports: the text from the first of ``texts`` that has one, the sections from ``table`` first."""

    texts: tuple[TreeTexts | ZipTexts, ...]
    table: SectionTable | None = None

    def sections(self, subject: int, study: int) -> MimicSections | None:
        """The sections of one report; ``None`` where there is no report.

        Raises:
            DataError: the report is broken.
        """
        place = report_place(subject, study)
        text = next((text for texts in self.texts if (text := texts.read(place)) is not None), None)
        parsed = MimicSections() if text is None else parse_mimic(text)
        if self.table is None:
            return None if text is None else parsed
        sections = self.table.sections(study, parsed)
        return None if text is None and sections == parsed else sections


def report_place(subject: int, study: int) -> str:
    """Where a report lies below ``files``.

    >>> report_place(10000032, 50414267)
    'p10/p10000032/s50414267.txt'
    """
    return f"p{str(subject)[:2]}/p{subject}/s{study}.txt"


def find_reports(root: Path, reports: Path | None) -> MimicReports:
    """Open the reports that lie in the root, or those at ``reports``: a folder, the zip or the table.

    Raises:
        DataError: a zip archive or a table is broken.
    """
    base = root if reports is None else reports
    if base.is_file():
        if base.suffix.lower() == ".zip":
            return MimicReports(texts=(ZipTexts(base),))
        return MimicReports(texts=(TreeTexts(folder=root / "files"),), table=SectionTable(base))
    texts: list[TreeTexts | ZipTexts] = [
        TreeTexts(folder=base / folder)
        for folder in ("mimic-cxr-reports/files", "mimic-cxr-reports", "files", ".")
        if any((base / folder).glob("p1[0-9]"))
    ]
    texts += [ZipTexts(path) for path in (base / "mimic-cxr-reports.zip",) if path.is_file()]
    table = base / SECTIONED
    return MimicReports(texts=tuple(texts), table=SectionTable(table) if table.is_file() else None)
