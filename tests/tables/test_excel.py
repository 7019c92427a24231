"""Workbooks as people keep them."""

from __future__ import annotations

import builtins
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from radflow.errors import DataError, MissingDependencyError
from radflow.tables import open_table


def save(path: Path, *sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets, start=1):
        sheet = book.create_sheet(f"s{number}")
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_the_first_sheet_with_rows_is_read(tmp_path: Path) -> None:
    rows = [
        [],
        [" Study ID ", "Report  ", None],
        [1, "Größe", None],
        [None, " ", None],
        [2.0, None, None],
        [],
        [],
    ]
    path = save(tmp_path / "t.xlsx", [], rows, [["x"]])
    table = open_table(path)
    assert table.columns == ("Study ID", "Report")
    assert [(row.where, dict(row.fields)) for row in table.rows()] == [
        (f"{path}:3", {"Study ID": 1, "Report": "Größe"}),
        (f"{path}:5", {"Study ID": 2, "Report": None}),
    ]
    assert table.remarks.lines() == (
        f"workbooks of several sheets (s1, s2, s3), of which s2 was read: 1 (first: {path})",
        f"empty rows, passed over: 1 (first: {path}:4)",
    )


def test_a_row_with_more_cells_than_names_is_a_problem(tmp_path: Path) -> None:
    table = open_table(save(tmp_path / "t.xlsx", [["id", "report"], [1, "a", "b"], [2, "c"]]))
    first, second = table.rows()
    assert "expected 2 fields as in the first row, got more" in (first.problem or "")
    assert second.fields == {"id": 2, "report": "c"}


def test_what_is_no_workbook_or_has_no_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got a workbook without rows"):
        open_table(save(tmp_path / "t.xlsx", []))
    with pytest.raises(DataError, match=r"t\.xlsx:1: expected each column once, .*: columns 1 and 3"):
        open_table(save(tmp_path / "t.xlsx", [["id", "report", "id "]]))
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as file:
        file.writestr("a.txt", "x")
    with pytest.raises(DataError, match="expected an Excel workbook"):
        open_table(tmp_path / "t.xlsx")


def test_without_openpyxl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "t.xlsx", [["id"]])
    there = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("openpyxl"):
            raise ImportError(name)
        return there(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"pip install 'radflow\[excel\]'"):
        open_table(path)
