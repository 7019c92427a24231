"""Tables of studies, a row at a time: CSV, JSONL and Parquet of any size, where a bad row spoils only itself.

Beside `radflow.reports.files`, which stops at the first bad row of a file that a program wrote, this reads
what people wrote: a row that cannot be read is a row with a ``problem``, and the next one is read as if it
had not been. Rows of a CSV file can also be read again by their place, so that an adapter which must group or
order rows keeps places in memory and not texts.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from radflow.errors import DataError, MissingDependencyError, MissingFileError
from radflow.reports.files import ending
from radflow.reports.opening import LONGEST, lines, opened, too_long, twice

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")

_DELIMITERS = ",;\t|"
_LONGEST_ROW = 2**22  # bytes: a row that goes on for longer has an open quotation mark
_BATCH = 256  # rows of Parquet in memory at once
_LOOKED_AT = 100  # lines of JSONL read for the names of the fields


class TableRow(NamedTuple):
    """One row.

    Attributes:
        where: ``"reports.csv:12"``, for messages.
        fields: its values by column; empty where there is a problem.
        place: where it begins in a CSV file, in bytes; `CsvTable.at` reads it again.
        problem: why it cannot be read, as the reason of a `Rejected`.
    """

    where: str
    fields: Mapping[str, Any]
    place: int = 0
    problem: str | None = None


def open_rows(path: Path, *, encoding: str = "utf-8") -> Table:
    """Open a table by the ending of its name; ``.gz`` may follow one of a text format.

    Args:
        path: the file.
        encoding: of CSV; a byte order mark is taken off.

    Raises:
        MissingFileError: there is no such file.
        MissingDependencyError: it is Parquet, and pyarrow is not installed.
        DataError: another ending, an unknown encoding, an empty file, a column twice, no valid Parquet.
    """
    kind = ending(path)
    if kind not in TABLES:
        raise DataError(f"{path}: expected a table as {', '.join(TABLES)}; save it as one of these")
    if not path.is_file():
        raise MissingFileError(f"{path}: no such table")
    if kind == ".parquet":
        return ParquetTable(path=path, columns=tuple(_parquet(path).schema_arrow.names))
    if kind in (".jsonl", ".ndjson"):
        return JsonlTable(path=path, columns=_fields(path))
    return open_csv(path, encoding=encoding)


def open_csv(path: Path, *, encoding: str = "utf-8") -> CsvTable:
    """Open a CSV file, separated by commas, semicolons, tabs or bars, as its first line says.

    Raises:
        DataError: an unknown encoding, an empty file, a column twice.
    """
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise DataError(
            f"encoding: expected one that Python knows (utf-8, latin-1, cp1252), got {encoding!r}"
        ) from None
    csv.field_size_limit(sys.maxsize)  # a report may have more than the default of 128 KB
    with opened(path) as file:
        mark = file.read(3)
        if mark[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise DataError(f"{path}: expected UTF-8, got UTF-16; save it as 'CSV UTF-8'")
        skip = len(codecs.BOM_UTF8) if mark == codecs.BOM_UTF8 else 0
        file.seek(skip)
        line, _ = _text(file.readline(_LONGEST_ROW), encoding)
        delimiter = max(_DELIMITERS, key=line.count)
        file.seek(skip)
        columns, problem, _ = _next_record(file, delimiter, encoding)
        first = file.tell()
    if problem or not any(columns):
        raise DataError(f"{path}:1: expected the names of the columns, got {problem or 'nothing'}")
    if repeated := twice(columns):
        raise DataError(f"{path}:1: expected each column once, got {', '.join(repeated)} twice")
    return CsvTable(path=path, columns=tuple(columns), delimiter=delimiter, encoding=encoding, first=first)


@dataclass(frozen=True, kw_only=True)
class CsvTable:
    """An open CSV file.

    Attributes:
        path: the file.
        columns: the names in its first line.
        delimiter: what separates them.
        encoding: of its text.
        first: where the first row begins, in bytes.
    """

    path: Path
    columns: tuple[str, ...]
    delimiter: str
    encoding: str
    first: int

    def rows(self) -> Iterator[TableRow]:
        """All rows in order."""
        line = 2
        with opened(self.path) as file:
            file.seek(self.first)
            while True:
                place = file.tell()
                values, problem, lines = _next_record(file, self.delimiter, self.encoding)
                if not lines:
                    return
                if values or problem:
                    yield self._row(f"{self.path}:{line}", values, place, problem)
                line += lines

    def at(self, places: Iterable[int]) -> Iterator[TableRow]:
        """The rows that begin at some places."""
        with opened(self.path) as file:
            for place in places:
                file.seek(place)
                values, problem, _ = _next_record(file, self.delimiter, self.encoding)
                yield self._row(f"{self.path}, byte {place:,}", values, place, problem)

    def _row(self, where: str, values: list[str], place: int, problem: str | None) -> TableRow:
        if problem is None and len(values) != len(self.columns):
            problem = f"expected {len(self.columns)} fields as in the first line, got {len(values)}"
        if problem is not None:
            return TableRow(where, {}, place, f"broken row: {where}: {problem}")
        return TableRow(where, dict(zip(self.columns, values, strict=True)), place)


@dataclass(frozen=True, kw_only=True)
class JsonlTable:
    """A file with one JSON object a line; its columns are the fields of the first hundred."""

    path: Path
    columns: tuple[str, ...]

    def rows(self) -> Iterator[TableRow]:
        """All rows in order."""
        return _json_rows(self.path)


@dataclass(frozen=True, kw_only=True)
class ParquetTable:
    """A Parquet file; needs pyarrow."""

    path: Path
    columns: tuple[str, ...]

    def rows(self) -> Iterator[TableRow]:
        """All rows in order."""
        number = 0
        for batch in _parquet(self.path).iter_batches(batch_size=_BATCH):
            for fields in batch.to_pylist():
                number += 1
                yield TableRow(f"{self.path}: row {number}", fields)


Table = CsvTable | JsonlTable | ParquetTable


def _parquet(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError(
            f"{path}: Parquet needs pyarrow: pip install 'radflow[parquet]', or save the table as CSV"
        ) from None
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: expected a Parquet file, got {error}; fetch or write it again") from None


def _next_record(file: io.BufferedIOBase, delimiter: str, encoding: str) -> tuple[list[str], str | None, int]:
    """Read one record from where the file stands, and leave the file behind it.

    A record that cannot be read ends with its first line, so that an open quotation mark does not swallow the
    rows after it.

    Returns:
        its values, what is wrong with it, and the lines it takes: 0 at the end of the file.
    """
    lines = _Lines(file, encoding)
    try:
        values = next(csv.reader(lines, delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        file.seek(lines.after_first)
        return [], f"expected CSV, got {error}; is a quotation mark missing?", 1
    return values, lines.problem, lines.count


class _Lines:
    """The lines of one record, decoded; remembers what was wrong with them."""

    def __init__(self, file: io.BufferedIOBase, encoding: str) -> None:
        self.file, self.encoding = file, encoding
        self.count = self.size = self.after_first = 0
        self.problem: str | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.file.readline(_LONGEST_ROW)
        if not line:
            raise StopIteration
        self.count += 1
        self.size += len(line)
        if self.count == 1:
            self.after_first = self.file.tell()
        if self.size >= _LONGEST_ROW:
            raise csv.Error(f"a row of more than {_LONGEST_ROW:,} bytes")
        text, problem = _text(line, self.encoding)
        self.problem = self.problem or problem
        return text


def _text(line: bytes, encoding: str) -> tuple[str, str | None]:
    """A line decoded, and what was wrong with it."""
    if b"\0" in line:
        return line.replace(b"\0", b" ").decode(encoding, "replace"), "a NUL byte in it"
    try:
        return line.decode(encoding), None
    except UnicodeDecodeError as error:
        hint = "save it as UTF-8, or set data.encoding to latin-1 or cp1252 if it is that"
        return line.decode(encoding, "replace"), f"not {encoding} ({error.reason}); {hint}"


def _fields(path: Path) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for row in islice(_json_rows(path), _LOOKED_AT):
        names |= dict.fromkeys(row.fields)
    if not names:
        raise DataError(f"{path}: expected one JSON object a line, found none in its first lines")
    return tuple(names)


def _json_rows(path: Path) -> Iterator[TableRow]:
    with opened(path) as file:
        for number, line in enumerate(lines(file), start=1):
            if line.strip():
                yield _json_row(f"{path}:{number}", line)


def _json_row(where: str, line: bytes) -> TableRow:
    if too_long(line):
        return TableRow(where, {}, problem=f"broken row: {where}: a line of more than {LONGEST:,} bytes")
    try:
        fields = json.loads(line.removeprefix(codecs.BOM_UTF8))
    except (ValueError, RecursionError) as error:
        return TableRow(where, {}, problem=f"broken row: {where}: expected a JSON object, got {error}")
    if not isinstance(fields, dict):
        kind = type(fields).__name__
        return TableRow(where, {}, problem=f"broken row: {where}: expected a JSON object, got {kind}")
    return TableRow(where, fields)
