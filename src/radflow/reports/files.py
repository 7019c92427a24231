"""Files of reports, read a row at a time: CSV, JSONL, JSON, plain text, folders of text files.

CSV may be separated by commas, semicolons (Excel in half of Europe) or tabs. Any file may be gzipped. Text is
UTF-8, with or without a byte order mark. A plain text file holds one report a line, unless it is one report
over several lines; in a folder each ``.txt`` file, at any depth, is one report (MIMIC-CXR's layout).

Memory does not grow with the file, but for the names in a JSON object; `radflow.reports.opening` bounds it
for any.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from radflow.errors import DataError, MissingFileError
from radflow.reports.json_records import read_records
from radflow.reports.opening import LONGEST, lines, opened, twice
from radflow.reports.parser import parse_report

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
"""Endings of files whose rows have named fields; ``.gz`` may follow."""

_DELIMITERS = ",;\t"
_ONE_REPORT = 2**16  # bytes: a longer text file is not one report


class Row(NamedTuple):
    """One record of a file.

    Attributes:
        where: the place, for messages: ``"reports.csv:12"``.
        fields: its fields by name. A row of plain text has ``study_id`` and ``report``.
    """

    where: str
    fields: Mapping[str, Any]


def read_rows(path: Path) -> Iterator[Row]:
    """Read a file of reports, or a folder of text files, row by row.

    Raises:
        MissingFileError: there is no such file or folder, or no ``.txt`` in the folder.
        DataError: not UTF-8, a broken CSV, JSON or gzip, a row with too few or too many fields, one that is
            too long. The message names file and line.
    """
    if path.is_dir():
        yield from _folder(path)
        return
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; expected reports as CSV, JSON, JSONL or plain text")
    kind = ending(path)
    if kind in (".csv", ".tsv"):
        yield from _csv_rows(path)
    elif kind in (".jsonl", ".ndjson"):
        for number, line in _each_line(path):
            yield _json_row(line, f"{path}:{number}")
    elif kind == ".json":
        yield from _json_rows(path)
    else:
        yield from _text_rows(path)


def ending(path: Path) -> str:
    """The ending that says the format, in lower case, ``.gz`` taken off.

    >>> ending(Path("Reports.CSV.gz"))
    '.csv'
    """
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


def missing(value: Any) -> bool:
    """Whether a field says nothing: null, NaN or blank, the ways in which tables write that.

    >>> missing(None), missing(float("nan")), missing("  "), missing("Normal.")
    (True, True, True, False)
    """
    return value is None or (isinstance(value, float) and math.isnan(value)) or not str(value).strip()


def text_lines(path: Path) -> bool:
    """Whether a plain text file holds one report a line, rather than one report over several lines.

    It is one report when its sections are found in the whole and in none of its lines.
    """
    with opened(path) as file:
        if len(file.read(_ONE_REPORT + 1)) > _ONE_REPORT:
            return True
    found = list(_Lines(path))
    return not parse_report("".join(found)).sectioned or any(parse_report(line).sectioned for line in found)


def _folder(path: Path) -> Iterator[Row]:
    files = sorted(file for file in path.rglob("*.txt") if file.is_file())
    if not files:
        raise MissingFileError(f"{path}: expected a folder with one report a .txt file, found no .txt in it")
    for file in files:
        yield Row(str(file), {"study_id": file.stem, "report": "".join(_Lines(file)).strip()})


def _text_rows(path: Path) -> Iterator[Row]:
    if not text_lines(path):
        yield Row(str(path), {"study_id": path.stem, "report": "".join(_Lines(path)).strip()})
        return
    for number, line in _each_line(path):
        yield Row(f"{path}:{number}", {"study_id": str(number), "report": line.strip()})


class _Lines:
    """The lines of a file with their ends, decoded one by one so that a bad byte has a line number.

    Attributes:
        number: of the line that was read last, from 1 on.
        size: bytes read since somebody set it to 0 at the start of a record; bounded.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.number, self.size = path, 0, 0

    def __iter__(self) -> Iterator[str]:
        with opened(self.path) as file:
            for self.number, line in enumerate(lines(file), start=1):
                self.size += len(line)
                if self.size >= LONGEST:
                    raise DataError(
                        f"{self.path}:{self.number}: expected lines and records of less than {LONGEST:,} "
                        "bytes, got a longer one; is this a table or text, is a quotation mark missing?"
                    )
                yield self._decoded(line)

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self.path}:{self.number}: expected UTF-8 text, got {error}; "
                "save the file as UTF-8 (in Excel: 'CSV UTF-8')"
            ) from None


def _each_line(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank and a record each, with their numbers."""
    source = _Lines(path)
    for line in source:
        source.size = 0
        if line.strip():
            yield source.number, line


def _csv_rows(path: Path) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)  # the default of 128 KB is less than the longest reports
    source = _Lines(path)
    text = iter(source)
    first = next(text, "")
    reader = csv.reader(chain([first] if first else [], text), delimiter=_delimiter(first), strict=True)
    try:
        header = next(reader, [])
        if repeated := twice(header):
            raise DataError(f"{path}:1: expected each column once, got {', '.join(repeated)} twice")
        source.size = 0
        for row in reader:
            source.size = 0
            where = f"{path}:{reader.line_num}"
            if row and len(row) != len(header):
                raise DataError(
                    f"{where}: expected {len(header)} fields as in the first line, got {len(row)}; "
                    "is a quotation mark missing?"
                )
            if row:
                yield Row(where, dict(zip(header, row, strict=True)))
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: expected CSV, got {error}") from None


def _delimiter(header: str) -> str:
    """The separator that gives the header most fields; a comma where none gives two."""
    return max(_DELIMITERS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))


def _json_rows(path: Path) -> Iterator[Row]:
    keys: set[str | int] = set()
    for record in read_records(path):
        key = record.keys[0]
        if key in keys:
            raise DataError(f"{path}: {key!r} stands twice in one object")
        keys.add(key)
        where = f"{path}: {key if isinstance(key, str) else f'record {key + 1}'}"
        if record.twice is not None:
            raise DataError(f"{where}: {record.twice!r} stands twice in one object")
        fields = _object(record.value, where)
        yield Row(where, fields if isinstance(key, int) else {"study_id": key, **fields})


def _json_row(line: str, where: str) -> Row:
    try:
        return Row(where, _object(json.loads(line, object_pairs_hook=partial(_unique, where)), where))
    except RecursionError:
        raise DataError(f"{where}: expected JSON, got more nested brackets than can be read") from None
    except DataError:
        raise
    except ValueError as error:  # broken, or a number of more digits than Python reads
        raise DataError(f"{where}: expected JSON, got {error}") from None


def _unique(where: str, fields: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(fields)
    if len(record) < len(fields):
        raise DataError(f"{where}: {twice([name for name, _ in fields])[0]!r} stands twice in one object")
    return record


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object with fields, got {str(value)[:40]!r}")
    return value
