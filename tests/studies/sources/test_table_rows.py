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
from radflow.studies.sources import table_rows
from radflow.studies.sources.table_rows import TableRow, open_csv, open_rows

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


def read(path: Path, text: str | bytes, **options: str) -> list[TableRow]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(open_rows(path, **options).rows())


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=6))
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
    monkeypatch.setattr(table_rows, "_LONGEST_ROW", 200)
    lines = "".join(f"s{number},clear\n" for number in range(3, 60))
    rows = read(tmp_path / "t.csv", f'id,report\ns1,clear\ns2,"open\n{lines}')
    assert [row.fields.get("id", "-") for row in rows] == ["s1", "-", *(f"s{n}" for n in range(3, 60))]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_separators_and_the_byte_order_mark(tmp_path: Path, mark: str) -> None:
    text = "\ufeff" + mark.join(("id", "report")) + "\r\n" + mark.join(("s1", "Größe")) + "\r\n"
    assert read(tmp_path / "t.csv", text)[0].fields == {"id": "s1", "report": "Größe"}


def test_latin_1_is_an_error_of_its_rows_unless_it_is_said(tmp_path: Path) -> None:
    text = "id,report\ns1,clear\ns2,Größe\ns3,clear\n".encode("latin-1")
    rows = read(tmp_path / "t.csv", text)
    assert [bool(row.problem) for row in rows] == [False, True, False]
    assert "set data.encoding to latin-1" in (rows[1].problem or "")
    assert read(tmp_path / "t.csv", text, encoding="latin-1")[1].fields["report"] == "Größe"


def test_a_gzipped_table(tmp_path: Path) -> None:
    packed = gzip.compress(b"id,report\n" + b"s1,clear\n" * 2000)
    assert len(read(tmp_path / "t.csv.gz", packed)) == 2000
    with pytest.raises(DataError, match=r"t\.csv\.gz: expected a whole gzip file"):
        read(tmp_path / "t.csv.gz", packed[: len(packed) - 12])


def test_jsonl_sets_its_bad_lines_aside(tmp_path: Path) -> None:
    rows = read(tmp_path / "t.jsonl", '{"id": 1, "x": ["a"]}\n{"id": 2\n\n[3]\n{"id": 4}\n')
    assert [row.fields.get("id") for row in rows] == [1, None, None, 4]
    assert (rows[1].problem or "").startswith(f"broken row: {tmp_path}/t.jsonl:2: expected a JSON object")
    assert "got list" in (rows[2].problem or "")
    assert open_rows(tmp_path / "t.jsonl").columns == ("id", "x")


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": ["s1", "s2"], "png": [["a.png"], ["b.png", "c.png"]]}), path)
    monkeypatch.setattr(table_rows, "_BATCH", 1)
    table = open_rows(path)
    assert table.columns == ("id", "png")
    assert [row.fields["png"] for row in table.rows()] == [["a.png"], ["b.png", "c.png"]]
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(DataError, match=r"t\.parquet: expected a Parquet file"):
        open_rows(path)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return there(name, *args, **kwargs)

    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"pip install 'radflow\[parquet\]'"):
        open_rows(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", b"", "expected the names of the columns, got nothing"),
        ("t.csv", b"id,report\rs1,clear\r", "new-line character seen in unquoted field"),
        ("t.csv", b"id,report,id\n", "expected each column once, got id twice"),
        ("t.csv", "id,report\n".encode("utf-16"), "expected UTF-8, got UTF-16"),
        ("t.jsonl", b"not json\n", "expected one JSON object a line, found none"),
        ("t.xlsx", b"PK", "expected a table as .csv"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(tmp_path / name, content)


def test_a_missing_table_and_an_unknown_encoding(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such table"):
        open_rows(tmp_path / "t.csv")
    with pytest.raises(DataError, match="expected one that Python knows"):
        read(tmp_path / "t.csv", "id\n", encoding="utf-9")
