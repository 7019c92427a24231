"""Excel workbooks, row by row, with openpyxl."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from radflow.errors import DataError, MissingDependencyError
from radflow.tables.cells import missing
from radflow.tables.chats import report_columns
from radflow.tables.rows import EMPTY, Remarks, Row, Table, broken, names_of

_LOOKED_AT = 20  # rows in which the names of the columns are looked for
_LARGEST = 2**32  # bytes of a workbook unpacked: openpyxl holds its texts in memory


def open_excel(path: Path) -> ExcelTable:
    """Open the first sheet of a workbook that has rows; a formula counts as its last result.

    Raises:
        MissingDependencyError: openpyxl is not installed.
        DataError: no workbook, no rows in it, or a column twice.
    """
    remarks = Remarks()
    with _workbook(path) as book:
        for sheet in book.worksheets:
            rows = islice(sheet.iter_rows(values_only=True), _LOOKED_AT)
            number, cells = next(
                ((n, row) for n, row in enumerate(rows, start=1) if not all(map(missing, row))), (0, ())
            )
            if number:
                break
        else:
            raise DataError(f"{path}: expected the names of the columns, got a workbook without rows")
        if len(book.worksheets) > 1:
            titles = ", ".join(book.sheetnames)
            remarks.add(f"workbooks of several sheets ({titles}), of which {sheet.title} was read", str(path))
        used = max(place for place, cell in enumerate(cells, start=1) if not missing(cell))
        names = names_of(cells[:used], f"{path}:{number}")
        return ExcelTable(
            path=path,
            columns=report_columns(names),
            remarks=remarks,
            names=names,
            sheet=sheet.title,
            header=number,
        )


@dataclass(frozen=True, kw_only=True)
class ExcelTable(Table):
    """An open sheet.

    Attributes:
        names: in its first row that is not empty.
        sheet: its title.
        header: the number of that row.
    """

    names: tuple[str, ...]
    sheet: str
    header: int

    def read(self) -> Iterator[Row]:
        """All rows in order."""
        count = len(self.names)
        empty: list[int] = []  # a million empty rows may follow, to which a format was once applied
        with _workbook(self.path) as book:
            rows = book[self.sheet].iter_rows(min_row=self.header + 1, values_only=True)
            for number, cells in enumerate(rows, start=self.header + 1):
                if all(map(missing, cells)):
                    empty = [*empty[:1], number]
                    continue
                if empty:
                    self.remarks.add(EMPTY, f"{self.path}:{empty[0]}")
                    empty = []
                where = f"{self.path}:{number}"
                if not all(map(missing, cells[count:])):
                    yield broken(where, f"expected {count} fields as in the first row, got more")
                    continue
                values = [*cells[:count], *[None] * (count - len(cells))]
                yield Row(where, dict(zip(self.names, values, strict=True)))


@contextmanager
def _workbook(path: Path) -> Generator[Any]:
    try:
        import openpyxl
    except ImportError:
        raise MissingDependencyError(
            f"{path}: Excel needs openpyxl: pip install 'radflow[excel]', or save the table as CSV UTF-8"
        ) from None
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(info.file_size for info in packed.infolist())
        if size > _LARGEST:
            raise DataError(f"{path}: refused, {size / 2**30:.1f} GiB unpacked; save it as CSV UTF-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions that openpyxl does not know
            book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
            try:
                yield book
            finally:
                book.close()
    except DataError:
        raise
    except Exception as error:  # zipfile, its decompressors, the XML parser and openpyxl raise many kinds
        raise DataError(
            f"{path}: expected an Excel workbook (.xlsx), got {error}; is it CSV under another name?"
        ) from None
