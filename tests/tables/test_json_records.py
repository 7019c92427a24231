"""Large JSON files, record by record: equal to json.load, in pieces of any size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.errors import DataError, MissingFileError
from radflow.tables import json_records
from radflow.tables.json_records import read_records, record_at

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    content=st.dictionaries(st.text(max_size=5), VALUES, max_size=5) | st.lists(VALUES, max_size=5),
    piece=st.integers(1, 12),
    plain=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_records_are_those_of_json_load(
    tmp_path_factory: pytest.TempPathFactory, content: Any, piece: int, plain: bool, indent: int | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "records.json"
    path.write_text(json.dumps(content, ensure_ascii=plain, indent=indent), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_records, "_PIECE", piece)
        records = list(read_records(path))
    expected = list(content.items()) if isinstance(content, dict) else list(enumerate(content))
    assert [(record.keys[0], record.value) for record in records] == expected
    with path.open("rb") as file:
        assert [record_at(file, record.place) for record in records] == [value for _, value in expected]


@pytest.mark.parametrize("text", ["[1.5, 2]", "[-0.25e+10]", '{"a": 12.75, "b": [1]}', "[1E5 , 1]"])
@pytest.mark.parametrize("piece", range(1, 12))
def test_numbers_cut_in_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, piece: int) -> None:
    monkeypatch.setattr(json_records, "_PIECE", piece)
    (tmp_path / "a.json").write_text(text)
    content = json.loads(text)
    values = list(content.values()) if isinstance(content, dict) else content
    assert [record.value for record in read_records(tmp_path / "a.json")] == values


def test_two_brackets_deep_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('\ufeff{"train": [{"id": "é"}, {"id": 2}], "val": [], "test": [{"id": 3}]}')
    records = list(read_records(path, depth=2))
    assert [(record.keys, record.value["id"]) for record in records] == [
        (("train", 0), "é"),
        (("train", 1), 2),
        (("test", 0), 3),
    ]
    with path.open("rb") as file:
        assert record_at(file, records[2].place) == {"id": 3}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": {"x": 1}, "b": {"x', r"after 1 records"),
        ('{"a": {"x": 1}, "b"', r"the file ends in the middle; fetch it again"),
        ('{"a": 1 "b": 2}', r"expected ,, got '\"'"),
        ('{"a": 1}{"b": 2}', r"more after the end"),
        ("[1, 2,", r"the file ends in the middle"),
        ("{a: 1}", r"expected a name in quotation marks, got 'a'"),
        ("7", r"expected { or \[, got '7'"),
        ("", r"the file ends in the middle"),
    ],
)
def test_broken_json_says_where(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=rf"a\.json: expected JSON, at byte [\d,]+, .*{words}"):
        list(read_records(tmp_path / "a.json"))


def test_bytes_that_are_no_text_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(DataError, match=r"expected UTF-8"):
        list(read_records(tmp_path / "a.json"))
    with pytest.raises(MissingFileError, match="no such file"):
        list(read_records(tmp_path / "b.json"))
