"""Files of reports, read a row at a time: CSV, JSONL, JSON, plain text, folders of text files.

CSV may be separated by commas, semicolons (Excel in half of Europe) or tabs. Any file may be gzipped. Text is
UTF-8, with or without a byte order mark. A plain text file holds one report a line, unless it is one report
over several lines; in a folder each ``.txt`` file, at any depth, is one report (MIMIC-CXR's layout).

Memory does not grow with the file, save for JSON, which is read whole.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from radflow.errors import DataError, MissingFileError
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
        DataError: not UTF-8, a broken CSV, JSON or gzip, a row with too few or too many fields. The message
            names file and line.
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
        for number, line in enumerate(_lines(path), start=1):
            if line.strip():
                where = f"{path}:{number}"
                yield Row(where, _object(_decode(line, where), where))
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
    if path.stat().st_size > _ONE_REPORT:
        return True
    lines = list(_lines(path))
    return not parse_report("".join(lines)).sectioned or any(parse_report(line).sectioned for line in lines)


def _folder(path: Path) -> Iterator[Row]:
    files = sorted(file for file in path.rglob("*.txt") if file.is_file())
    if not files:
        raise MissingFileError(f"{path}: expected a folder with one report a .txt file, found no .txt in it")
    for file in files:
        yield Row(str(file), {"study_id": file.stem, "report": "".join(_lines(file)).strip()})


def _text_rows(path: Path) -> Iterator[Row]:
    if not text_lines(path):
        yield Row(str(path), {"study_id": path.stem, "report": "".join(_lines(path)).strip()})
        return
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            yield Row(f"{path}:{number}", {"study_id": str(number), "report": line.strip()})


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file with their ends, decoded one by one so that a bad byte has a line number."""
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}:{number}: expected UTF-8 text, got {error}; "
            "save the file as UTF-8 (in Excel: 'CSV UTF-8')"
        ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}: expected a whole gzip file, got {error} after line {number}; fetch it again"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def _open(path: Path) -> io.BufferedIOBase:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def _csv_rows(path: Path) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)  # the default of 128 KB is less than the longest reports
    lines = _lines(path)
    first = next(lines, "")
    reader = csv.reader(_chain(first, lines), delimiter=_delimiter(first), strict=True)
    try:
        header = next(reader, [])
        twice = {name for name in header if header.count(name) > 1}
        if twice:
            raise DataError(f"{path}:1: expected each column once, got {', '.join(sorted(twice))} twice")
        for row in reader:
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


def _chain(first: str, rest: Iterable[str]) -> Iterator[str]:
    if first:
        yield first
        yield from rest


def _delimiter(header: str) -> str:
    """The separator that gives the header most fields; a comma where none gives two."""
    return max(_DELIMITERS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))


def _json_rows(path: Path) -> Iterator[Row]:
    content = _decode("".join(_lines(path)), str(path))
    if isinstance(content, list):
        for number, row in enumerate(content, start=1):
            where = f"{path}: record {number}"
            yield Row(where, _object(row, where))
    else:
        for key, row in _object(content, str(path)).items():
            where = f"{path}: {key}"
            yield Row(where, {"study_id": key, **_object(row, where)})


def _decode(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=partial(_unique, where))
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: expected JSON, got {error}") from None
    except RecursionError:
        raise DataError(f"{where}: expected JSON, got more nested brackets than can be read") from None


def _unique(where: str, fields: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(fields)
    if len(record) < len(fields):
        twice = next(name for i, (name, _) in enumerate(fields) if name in dict(fields[:i]))
        raise DataError(f"{where}: {twice!r} stands twice in one object")
    return record


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object with fields, got {str(value)[:40]!r}")
    return value
