"""What all tables have in common: rows, names of columns, and remarks on what was read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from radflow.errors import DataError
from radflow.tables.chats import as_report

AS_CP1252 = "lines that are not UTF-8, read as cp1252"
AS_UTF16 = "files in UTF-16, read as such"
EMPTY = "empty rows, passed over"
HALF_A_PAIR = "half a surrogate pair, which no file can hold"


class Row(NamedTuple):
    """One row.

    Attributes:
        where: the place, for messages: ``"reports.csv:12"``.
        fields: its values by column; empty where there is a problem.
        place: where it begins in a CSV file, in bytes; `CsvTable.at` reads it again.
        problem: why it cannot be read, as the reason of a `Rejected`: ``"broken row: reports.csv:12: ..."``.
    """

    where: str
    fields: Mapping[str, Any]
    place: int = 0
    problem: str | None = None


class Remarks:
    """Remarks on a table that are no errors, each kind with its count and first place."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, what: str, where: str) -> None:
        """Count one more of a kind."""
        count, first = self._found.get(what, (0, where))
        self._found[what] = (count + 1, first)

    def take(self, others: Remarks) -> None:
        """Count those of another table too."""
        for what, (count, first) in others._found.items():
            before, place = self._found.get(what, (0, first))
            self._found[what] = (before + count, place)

    def lines(self) -> tuple[str, ...]:
        """One line per kind.

        >>> remarks = Remarks()
        >>> remarks.add(EMPTY, "r.csv:3")
        >>> remarks.lines()
        ('empty rows, passed over: 1 (first: r.csv:3)',)
        """
        return tuple(f"{what}: {n:,} (first: {where})" for what, (n, where) in self._found.items())


@dataclass(frozen=True, kw_only=True)
class Table(ABC):
    """An open table.

    Attributes:
        path: the file or folder.
        columns: the names, as rows have them.
        examples: whether each row is one example to train on: a chat, or with its picture in it.
        remarks: on what has been read so far.
    """

    path: Path
    columns: tuple[str, ...]
    examples: bool = False
    remarks: Remarks = field(default_factory=Remarks, compare=False)

    @abstractmethod
    def read(self) -> Iterator[Row]:
        """All rows in order, as they stand in the file."""

    def rows(self) -> Iterator[Row]:
        """All rows in order; a chat (`radflow.tables.chats`) as the report and the images that it holds."""
        for row in self.read():
            fields, problem = as_report(row.fields)
            yield row._replace(fields=fields) if problem is None else broken(row.where, problem)


def broken(where: str, problem: str, place: int = 0) -> Row:
    """A row that cannot be read."""
    return Row(where, {}, place, f"broken row: {where}: {problem}")


def names_of(cells: Sequence[Any], where: str) -> tuple[str, ...]:
    """The names of the columns from the first row: trimmed, and those without one called by their place.

    Raises:
        DataError: no names, or two columns with the same one.

    >>> names_of([" id", "Report  ", None], "r.csv:1")
    ('id', 'Report', 'column 3')
    >>> names_of(["id", "report", " id"], "r.csv:1")
    Traceback (most recent call last):
    ...
    radflow.errors.DataError: r.csv:1: expected each column once, got id twice: columns 1 and 3; rename one
    """
    said = ["" if cell is None else str(cell).strip() for cell in cells]
    if not any(said):
        raise DataError(f"{where}: expected the names of the columns, got nothing")
    names = tuple(name or f"column {number}" for number, name in enumerate(said, start=1))
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if (before := first.setdefault(name, number)) != number:
            raise DataError(
                f"{where}: expected each column once, got {name} twice: columns {before} and {number}; "
                "rename one"
            )
    return names
