"""JSON as a table: one object per line; or one list of objects, or an object of objects named by study id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from radflow.errors import DataError
from radflow.tables.chats import has_chats, report_columns
from radflow.tables.json_records import read_records
from radflow.tables.opening import LONGEST, ending, lines, opened_text, too_long, twice
from radflow.tables.rows import AS_UTF16, HALF_A_PAIR, Remarks, Row, Table, broken

_LOOKED_AT = 100  # rows read for the names of the fields


def open_json(path: Path) -> JsonTable:
    """Open a file of JSON; its columns are the fields of the first hundred rows that can be read.

    Raises:
        DataError: not one row of these can be read; the reason is that of the first.
    """
    by_line = ending(path) != ".json" or _has_rows_in_lines(path)
    table = JsonTable(path=path, columns=(), by_line=by_line)
    names: dict[str, None] = {}
    problem = None
    for row in islice(table.read(), _LOOKED_AT):
        names |= dict.fromkeys(row.fields)
        problem = problem or row.problem
    if problem and not names:
        raise DataError(problem.removeprefix("broken row: "))
    return JsonTable(
        path=path, columns=report_columns(tuple(names)), examples=has_chats(tuple(names)), by_line=by_line
    )


@dataclass(frozen=True, kw_only=True)
class JsonTable(Table):
    """An open file of JSON.

    Attributes:
        by_line: one object per line.
    """

    by_line: bool

    def read(self) -> Iterator[Row]:
        """All rows in order."""
        return _lines(self.path, self.remarks) if self.by_line else _records(self.path)


def _lines(path: Path, remarks: Remarks) -> Iterator[Row]:
    with opened_text(path) as (file, wide):
        if wide:
            remarks.add(AS_UTF16, str(path))
        for number, line in enumerate(lines(file), start=1):
            if line.strip():
                yield _line(f"{path}:{number}", line)


def _line(where: str, line: bytes) -> Row:
    if too_long(line):
        return broken(where, f"expected JSON, got a line of more than {LONGEST:,} bytes")
    try:
        value = json.loads(line, object_pairs_hook=_unique)
    except DataError as error:
        return broken(where, str(error))
    except UnicodeDecodeError as error:
        return broken(where, f"expected UTF-8 text, got {error}; save the file as UTF-8")
    except ValueError as error:
        return broken(where, f"expected JSON, got {error}")
    except RecursionError:
        return broken(where, "expected JSON, got more nested brackets than can be read")
    return _row(where, value, escapes=b"\\u" in line)


def _row(where: str, value: Any, *, escapes: bool = True) -> Row:
    """A record as a row; half a surrogate pair can only come from an escape."""
    if not isinstance(value, dict):
        return broken(where, f"expected an object with fields, got {str(value)[:40]!r}")
    if escapes:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return broken(where, f"expected text, got {HALF_A_PAIR}")
    return Row(where, value)


def _unique(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(fields)
    if len(record) < len(fields):
        raise DataError(f"{twice([name for name, _ in fields])[0]!r} stands twice in one object")
    return record


def _records(path: Path) -> Iterator[Row]:
    names: set[int] = set()
    for record in read_records(path):
        key = record.keys[0]
        if isinstance(key, str) and hash(key) in names:
            raise DataError(f"{path}: {key!r} stands twice in one object")
        names.add(hash(key))
        shown = f"record {key + 1}" if isinstance(key, int) else key
        where = f"{path}: {shown}".encode("utf-8", "backslashreplace").decode()
        row = _row(where, record.value)
        if record.twice is not None:
            row = broken(where, f"{record.twice!r} stands twice in one object")
        if not where.endswith(shown):
            row = broken(where, f"expected text, got {HALF_A_PAIR}")
        if isinstance(key, str) and row.problem is None:
            row = row._replace(fields={"study_id": key, **row.fields})
        yield row


def _has_rows_in_lines(path: Path) -> bool:
    """Whether a file that is named ``.json`` has an object in its first line, and more after it."""
    with opened_text(path) as (file, _):
        found = lines(file)
        first, second = (next(found, b"").strip() for _ in range(2))
    if not (first.startswith(b"{") and second.startswith(b"{")):
        return False
    return _line("", first).problem is None
