"""Tables of reports and studies, read row by row, in any format.

One reader for every command: CSV, JSON, JSON Lines, Parquet, Arrow (what ``datasets.save_to_disk`` writes)
and Excel; a folder of Parquet shards is one table. An unreadable row comes with a ``problem``,
and does not affect the next one. Memory holds a few rows, not the file (of Excel also its texts).
"""

from __future__ import annotations

from pathlib import Path

from radflow.errors import DataError, MissingFileError
from radflow.files import open_regular
from radflow.tables.arrow import ArrowTable, open_arrow, shards_of
from radflow.tables.cells import find_column, identifier, listed, missing, plain_name, words
from radflow.tables.delimited import CsvTable, open_csv
from radflow.tables.excel import ExcelTable, open_excel
from radflow.tables.json_rows import JsonTable, open_json
from radflow.tables.opening import ending
from radflow.tables.rows import Remarks, Row, Table

TEXT = (".csv", ".tsv")
JSON = (".jsonl", ".ndjson", ".json")
ARROW = (".parquet", ".arrow")
EXCEL = (".xlsx", ".xlsm")
TABLES = (*TEXT, *JSON, *ARROW, *EXCEL)
"""Endings of files whose rows have named fields; text formats may also end in ``.gz``."""

__all__ = [
    "ARROW",
    "EXCEL",
    "TABLES",
    "TEXT",
    "ArrowTable",
    "CsvTable",
    "ExcelTable",
    "JsonTable",
    "Remarks",
    "Row",
    "Table",
    "ending",
    "find_column",
    "identifier",
    "listed",
    "missing",
    "open_csv",
    "open_table",
    "plain_name",
    "shards_of",
    "words",
]


def open_table(path: Path, *, encoding: str = "utf-8", pictures: bool = True) -> Table:
    """Open a table by the ending of its name; ``.gz`` may follow one of a text format.

    Args:
        path: the file, or a folder of Parquet or Arrow files.
        encoding: of CSV; a byte order mark goes before it.
        pictures: whether rows bring pictures that are embedded in Parquet or Arrow; without them these
            columns are not read.

    Raises:
        MissingFileError: there is no such file, or a folder without a table in it.
        MissingDependencyError: pyarrow or openpyxl is needed and not installed.
        DataError: another ending, an unknown encoding, no names of columns, a column twice, or not what the
            ending says.
    """
    if path.is_dir():
        return open_arrow(path, shards_of(path), pictures=pictures)
    if not path.exists():
        raise MissingFileError(f"{path}: no such table")
    open_regular(path, "a table").close()
    kind = ending(path)
    if kind in ARROW:
        return open_arrow(path, [(path, None)], pictures=pictures)
    if kind in EXCEL:
        return open_excel(path)
    if kind in JSON:
        return open_json(path)
    if kind in TEXT:
        return open_csv(path, encoding=encoding)
    raise DataError(f"{path}: expected a table as {', '.join(TABLES)}; save it as one of these")
