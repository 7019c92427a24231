"""Files of reports, read row by row: any table of `radflow.tables`, plain text, or a folder of text files.

A plain text file holds one report per line, unless it is one report over several lines; in a folder each
``.txt`` file, at any depth, is one report (MIMIC-CXR's layout). Here an unreadable row is an error, because
labels and scores of a part would be taken for those of the whole. Memory does not grow with the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from radflow.errors import DataError, MissingFileError
from radflow.reports.parser import parse_report
from radflow.tables import TABLES, TEXT, Remarks, Row, ending, open_table
from radflow.tables.opening import LONGEST, decoded, lines, opened_text
from radflow.tables.rows import AS_CP1252, AS_UTF16, HALF_A_PAIR

_BOOKS = (".xls", ".xlsb", ".ods", ".numbers")  # of spreadsheets that nothing here reads
_ONE_REPORT = 2**16  # bytes: a longer text file is not one report


def read_rows(path: Path, remarks: Remarks | None = None) -> Iterator[Row]:
    """Read a file of reports, or a folder of them, row by row.

    Args:
        path: the file or folder.
        remarks: collects remarks on how the rows were read.

    Raises:
        MissingFileError: there is no such file or folder, or a folder without ``.txt`` files and tables.
        DataError: a row that cannot be read, or a file that is not what its ending says. The message names
            file and line.
    """
    remarks = remarks or Remarks()
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; expected reports as CSV, JSON, JSONL or plain text")
    if ending(path) in _BOOKS:
        raise DataError(f"{path}: expected a table or text; save the workbook as .xlsx or CSV UTF-8")
    if path.is_dir() and (texts := sorted(file for file in path.rglob("*.txt") if file.is_file())):
        for file in texts:
            yield Row(str(file), {"study_id": file.stem, "report": _whole(file, remarks)})
    elif path.is_file() and ending(path) not in TABLES:
        yield from _text_rows(path, remarks)
    elif path.is_dir() or ending(path) not in TEXT or path.stat().st_size:
        yield from _table_rows(path, remarks)


def text_lines(path: Path) -> bool:
    """Whether a plain text file holds one report per line, rather than one report over several lines.

    It is one report when its sections are found in the whole and in none of its lines.
    """
    with opened_text(path) as (file, _):
        if len(file.read(_ONE_REPORT + 1)) > _ONE_REPORT:
            return True
    found = [text for _, text in _lines(path, Remarks())]
    return not parse_report("".join(found)).sectioned or any(parse_report(line).sectioned for line in found)


def _table_rows(path: Path, remarks: Remarks) -> Iterator[Row]:
    try:
        table = open_table(path, pictures=False)
    except MissingFileError as error:
        raise MissingFileError(f"{error}; nor one report a .txt file: found no .txt in it") from None
    for row in table.rows():
        if row.problem is not None and row.problem.endswith(HALF_A_PAIR):
            remarks.add(f"rows set aside: {HALF_A_PAIR}", row.where)
            continue
        if row.problem is not None:
            raise DataError(row.problem.removeprefix("broken row: "))
        yield row
    remarks.take(table.remarks)


def _text_rows(path: Path, remarks: Remarks) -> Iterator[Row]:
    if not text_lines(path):
        yield Row(str(path), {"study_id": path.stem, "report": _whole(path, remarks)})
        return
    for number, line in _lines(path, remarks):
        if line.strip():
            yield Row(f"{path}:{number}", {"study_id": str(number), "report": line.strip()})


def _whole(path: Path, remarks: Remarks) -> str:
    """A file that is one report."""
    found: list[str] = []
    size = 0
    for number, line in _lines(path, remarks):
        found.append(line)
        size += len(line)
        if size >= LONGEST:
            raise DataError(f"{path}:{number}: expected one report, got more than {LONGEST:,} bytes")
    return "".join(found).strip()


def _lines(path: Path, remarks: Remarks) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their ends and numbers."""
    with opened_text(path) as (file, wide):
        if wide:
            remarks.add(AS_UTF16, str(path))
        for number, line in enumerate(lines(file), start=1):
            where = f"{path}:{number}"
            if len(line) >= LONGEST:
                raise DataError(f"{where}: expected a report, got a line of more than {LONGEST:,} bytes")
            text, problem, cp1252 = decoded(line, "utf-8")
            if problem is not None:
                raise DataError(f"{where}: {problem}")
            if cp1252:
                remarks.add(AS_CP1252, where)
            yield number, text
