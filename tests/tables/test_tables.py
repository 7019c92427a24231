"""Tables as people write them: what is broken is one row, and is said with file and line."""

from __future__ import annotations

import builtins
import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.errors import DataError, MissingDependencyError, MissingFileError
from radflow.tables import Row, arrow, delimited, open_csv, open_table

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


def read(path: Path, text: str | bytes, **options: str) -> list[Row]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(open_table(path, **options).rows())


@given(st.lists(st.tuples(CELLS, CELLS, CELLS).filter(lambda row: "".join(row).strip()), max_size=6))
def test_what_the_csv_module_writes_is_read_back_and_again_by_place(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *rows])
    path = tmp_path_factory.getbasetemp() / "round.csv"
    path.write_bytes(text.getvalue().encode())
    table = open_csv(path)
    found = list(table.rows())
    assert [tuple(row.fields.values()) for row in found] == rows
    backwards = [row.place for row in reversed(found)]
    assert [row.fields for row in table.at(backwards)] == [row.fields for row in reversed(found)]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("s2,one field too few", "expected 3 fields as in the first line, got 2"),
        ("s2,a,b,c", "expected 3 fields as in the first line, got 4"),
        ('s2,"stray" quote,b', "is a quotation mark missing"),
        ('s2,"never closed,b', "is a quotation mark missing"),
        ("s2,nul\0,b", "a NUL byte in it"),
    ],
)
def test_a_broken_row_spoils_only_itself(tmp_path: Path, broken: str, words: str) -> None:
    rows = read(tmp_path / "t.csv", f"id,report,png\ns1,Clear.,a.png\n{broken}\ns3,Clear.,c.png\n")
    assert [row.fields.get("id") for row in rows] == ["s1", None, "s3"]
    assert rows[1].where == f"{tmp_path}/t.csv:3"
    assert (rows[1].problem or "").startswith(f"broken row: {tmp_path}/t.csv:3: ")
    assert words in (rows[1].problem or "")


def test_a_row_of_several_lines_counts_its_lines(tmp_path: Path) -> None:
    rows = read(tmp_path / "t.csv", 'id,report\ns1,"FINDINGS:\nClear."\ns2,Clear.,too many\n')
    assert rows[0].fields["report"] == "FINDINGS:\nClear."
    assert rows[1].where.endswith("t.csv:4")


def test_an_open_quotation_mark_is_given_up_after_some_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "LONGEST", 200)
    lines = "".join(f"s{number},clear\n" for number in range(3, 60))
    rows = read(tmp_path / "t.csv", f'id,report\ns1,clear\ns2,"open\n{lines}')
    assert [row.fields.get("id", "-") for row in rows] == ["s1", "-", *(f"s{n}" for n in range(3, 60))]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_separators_and_the_byte_order_mark(tmp_path: Path, mark: str) -> None:
    text = "\ufeff" + mark.join(("id", "report")) + "\r\n" + mark.join(("s1", "Größe")) + "\r\n"
    assert read(tmp_path / "t.csv", text)[0].fields == {"id": "s1", "report": "Größe"}


def test_cp1252_is_read_and_said_and_damaged_utf_8_is_an_error_of_its_rows(tmp_path: Path) -> None:
    lines = ["id,report", "s1,clear", "s2,Größe – 3 µm"]
    path = tmp_path / "t.csv"
    path.write_bytes("\n".join(lines).encode("cp1252") + b"\ns3,\x81\n" + "s4,Größe".encode() + b"\xff\n")
    table = open_table(path)
    rows = list(table.rows())
    assert rows[1].fields["report"] == "Größe – 3 µm"
    assert [bool(row.problem) for row in rows] == [False, False, True, True]
    assert "not utf-8 (invalid start byte); save it as UTF-8, or say its encoding" in (rows[2].problem or "")
    assert table.remarks.lines() == (f"lines that are not UTF-8, read as cp1252: 1 (first: {path}:3)",)
    text = "id,report\ns2,Größe\n".encode("cp437")
    assert read(path, text, encoding="cp437")[0].fields["report"] == "Größe"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_from_excel_is_read_and_said(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "t.csv"
    mark = "" if encoding == "utf-16" else "\ufeff"
    path.write_bytes(f"{mark}id\treport\r\ns1\tGröße Ā\r\n".encode(encoding))
    table = open_csv(path)
    rows = list(table.rows())
    assert rows[0].fields == {"id": "s1", "report": "Größe Ā"}
    assert table.remarks.lines() == (f"files in UTF-16, read as such: 1 (first: {path})",)
    assert next(table.at([rows[0].place])).fields == rows[0].fields


def test_what_spreadsheets_add(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sep=;\n id ;  Report ;;\ns1;a,b;;\n;;;\n\ns2; c\t;;;;\n ;;;\n")
    table = open_csv(path)
    assert table.columns == ("id", "Report", "column 3", "column 4")
    rows = list(table.rows())
    assert [(row.fields["id"], row.fields["Report"]) for row in rows] == [("s1", "a,b"), ("s2", " c\t")]
    assert rows[1].where == f"{path}:6"
    assert table.remarks.lines() == (f"empty rows, passed over: 2 (first: {path}:4)",)


def test_a_gzipped_table(tmp_path: Path) -> None:
    packed = gzip.compress(b"id,report\n" + b"s1,clear\n" * 2000)
    assert len(read(tmp_path / "t.csv.gz", packed)) == 2000
    with pytest.raises(DataError, match=r"t\.csv\.gz: expected a whole gzip file"):
        read(tmp_path / "t.csv.gz", packed[: len(packed) - 12])


def test_jsonl_sets_its_bad_lines_aside(tmp_path: Path) -> None:
    rows = read(tmp_path / "t.jsonl", '{"id": 1, "x": ["a"]}\n{"id": 2\n\n[3]\n{"id": 4}\n')
    assert [row.fields.get("id") for row in rows] == [1, None, None, 4]
    assert (rows[1].problem or "").startswith(f"broken row: {tmp_path}/t.jsonl:2: expected JSON, got")
    assert "expected an object with fields, got '[3]'" in (rows[2].problem or "")
    assert open_table(tmp_path / "t.jsonl").columns == ("id", "x")


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": ["s1", "s2"], "png": [["a.png"], ["b.png", "c.png"]]}), path)
    monkeypatch.setattr(arrow, "_BATCH", 1)
    table = open_table(path)
    assert table.columns == ("id", "png")
    assert [row.fields["png"] for row in table.rows()] == [["a.png"], ["b.png", "c.png"]]
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(DataError, match=r"t\.parquet: expected a Parquet file"):
        open_table(path)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return there(name, *args, **kwargs)

    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"pip install 'radflow\[parquet\]'"):
        open_table(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", b"", "expected the names of the columns, got nothing"),
        ("t.csv", b"id,report\rs1,clear\r", "new-line character seen in unquoted field"),
        ("t.csv", b"id,report, id\n", "expected each column once, got id twice: columns 1 and 3"),
        ("t.csv", "id\n".encode("utf-16")[:-1], "expected UTF-16, as it begins, got truncated data"),
        ("t.jsonl", b"not json\n", r"t\.jsonl:1: expected JSON, got Expecting value"),
        ("t.json", b"[3]", r"t\.json: record 1: expected an object with fields, got '3'"),
        ("t.xlsx", b"id,report\n1,a\n", "expected an Excel workbook .* is it CSV under another name"),
        ("t.parquet", b"id,report\n1,a\n", "expected a Parquet file"),
        ("t.arrow", b"id,report\n1,a\n", "expected an Arrow file"),
        ("t.docx", b"PK", "expected a table as .csv"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(tmp_path / name, content)


def test_a_missing_table_and_an_unknown_encoding(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such table"):
        open_table(tmp_path / "t.csv")
    with pytest.raises(DataError, match="expected one that Python knows"):
        read(tmp_path / "t.csv", "id\n", encoding="utf-9")
