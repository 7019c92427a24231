"""CSV as people and spreadsheets write it: any usual separator and encoding; a bad row spoils only itself.

Rows can be read again by their position, so that an adapter that groups or orders rows keeps positions in
memory and not texts. The apostrophe that `radflow.tables.writing` sets before what a spreadsheet would
execute is taken off.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from radflow.errors import DataError, did_you_mean
from radflow.tables.cells import missing
from radflow.tables.chats import report_columns
from radflow.tables.opening import LONGEST, decoded, opened_text
from radflow.tables.rows import (
    AS_CP1252,
    AS_UTF16,
    EMPTY,
    Remarks,
    Row,
    Table,
    broken,
    names_of,
)
from radflow.tables.writing import unmarked

_DELIMITERS = ",;\t|"
_SAID = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)  # Excel's own first line


def open_csv(path: Path, *, encoding: str = "utf-8", needs: Sequence[str] = ()) -> CsvTable:
    """Open a CSV file, separated by commas, semicolons, tabs or bars, as its first line says.

    Raises:
        DataError: an unknown encoding, an empty file, a column twice, or one of ``needs`` that is not there.
    """
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise DataError(
            f"encoding: expected one that Python knows (utf-8, latin-1, cp1252), got {encoding!r}"
        ) from None
    csv.field_size_limit(sys.maxsize)  # a report may have more than the default of 128 KB
    remarks = Remarks()
    with opened_text(path) as (file, wide):
        if wide:
            encoding = "utf-8"
            remarks.add(AS_UTF16, str(path))
        begin, line = file.tell(), 1
        text, _, _ = decoded(file.readline(LONGEST), encoding)
        if said := _SAID.fullmatch(text):
            begin, line = file.tell(), 2
            text, _, _ = decoded(file.readline(LONGEST), encoding)
        delimiter = said[1] if said else _delimiter(text)
        file.seek(begin)
        lines = _Lines(file, encoding)
        cells, problem = _next_record(lines, delimiter)
        first = file.tell()
    if problem:
        raise DataError(f"{path}:{line}: expected the names of the columns, got {problem}")
    if lines.cp1252:
        remarks.add(AS_CP1252, f"{path}:{line}")
    names = names_of(cells, f"{path}:{line}")
    for column in needs:
        if column not in names:
            raise DataError(
                f"{path}:1: expected a column {column!r}, found {', '.join(names)}."
                f"{did_you_mean(column, names)}"
            )
    return CsvTable(
        path=path,
        columns=report_columns(names),
        remarks=remarks,
        names=names,
        delimiter=delimiter,
        encoding=encoding,
        first=(first, line + lines.count),
    )


def _delimiter(header: str) -> str:
    """The separator that gives the header most fields; a comma where none gives two."""

    def fields(mark: str) -> int:
        try:
            return len(next(csv.reader([header], delimiter=mark), []))
        except csv.Error:
            return 0

    return max(_DELIMITERS, key=fields)


@dataclass(frozen=True, kw_only=True)
class CsvTable(Table):
    """An open CSV file.

    Attributes:
        names: in its first line.
        delimiter: what separates them.
        encoding: of its text.
        first: where the first row begins, in bytes, and its line.
    """

    names: tuple[str, ...]
    delimiter: str
    encoding: str
    first: tuple[int, int]

    def read(self) -> Iterator[Row]:
        """All rows in order."""
        place, line = self.first
        with opened_text(self.path) as (file, _):
            file.seek(place)
            while True:
                place = file.tell()
                lines = _Lines(file, self.encoding)
                values, problem = _next_record(lines, self.delimiter)
                if not lines.count:
                    return
                where = f"{self.path}:{line}"
                if lines.cp1252:
                    self.remarks.add(AS_CP1252, where)
                if problem or not all(map(missing, values)):
                    yield self._row(where, values, place, problem)
                elif values:
                    self.remarks.add(EMPTY, where)
                line += lines.count

    def at(self, places: Iterable[int]) -> Iterator[Row]:
        """The rows that begin at some places."""
        with opened_text(self.path) as (file, _):
            for place in places:
                file.seek(place)
                values, problem = _next_record(_Lines(file, self.encoding), self.delimiter)
                yield self._row(f"{self.path}, byte {place:,}", values, place, problem)

    def _row(self, where: str, values: list[str], place: int, problem: str | None) -> Row:
        count = len(self.names)
        if all(map(missing, values[count:])):  # spreadsheets write separators behind the last field
            values = values[:count]
        if problem is None and len(values) != count:
            problem = f"expected {count} fields as in the first line, got {len(values)}"
        if problem is not None:
            return broken(where, problem, place)
        return Row(where, dict(zip(self.names, values, strict=True)), place)


def _next_record(lines: _Lines, delimiter: str) -> tuple[list[str], str | None]:
    """Read one record from the file's position, and leave the file positioned after it.

    A record that cannot be read ends with its first line, so that an open quotation mark does not swallow the
    rows after it.

    Returns:
        its values, and what is wrong with it; ``lines.count`` is 0 at the end of the file.
    """
    try:
        values = next(csv.reader(lines, delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        lines.file.seek(lines.after_first)
        lines.count = 1
        return [], f"expected CSV, got {error}; is a quotation mark missing?"
    return list(map(unmarked, values)), lines.problem


class _Lines:
    """The lines of one record, decoded; remembers how many there were and what was odd about them."""

    def __init__(self, file: io.BufferedIOBase, encoding: str) -> None:
        self.file, self.encoding = file, encoding
        self.count = self.size = self.after_first = 0
        self.problem: str | None = None
        self.cp1252 = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.file.readline(LONGEST)
        if not line:
            raise StopIteration
        self.count += 1
        self.size += len(line)
        if self.count == 1:
            self.after_first = self.file.tell()
        if self.size >= LONGEST:
            raise csv.Error(f"a row of more than {LONGEST:,} bytes")
        text, problem, cp1252 = decoded(line, self.encoding)
        self.problem = self.problem or problem
        self.cp1252 = self.cp1252 or cp1252
        return text
