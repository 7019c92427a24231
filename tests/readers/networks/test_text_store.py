import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.errors import DataError, NotWritableError
from radflow.readers.networks.text_store import FILE, TextStore

entries = st.dictionaries(st.binary(min_size=1, max_size=8), st.binary(max_size=40), max_size=12)


def rows(path, statement, *values):
    with closing(sqlite3.connect(path)) as db, db:
        return db.execute(statement, values).fetchall()


@settings(max_examples=25)
@given(entries, entries)
def test_it_is_a_dictionary(tmp_path_factory, first, second):
    folder = tmp_path_factory.mktemp("store")
    TextStore(folder, bound=10**6).put(first)
    store = TextStore(folder, bound=10**6)
    store.put(second)
    assert store.get([*first, *second, b"not there"]) == first | second


def test_many_keys_at_once(tmp_path):
    store = TextStore(tmp_path, bound=10**7)
    many = {str(number).encode(): b"x" for number in range(3000)}
    store.put(many)
    assert store.get(many) == many


def test_the_file_is_bounded_and_loses_the_oldest(tmp_path):
    store = TextStore(tmp_path, bound=400_000)
    for number in range(60):
        store.put({bytes([number, part]) * 16: bytes([number]) * 4000 for part in range(8)})
    assert store.path.stat().st_size < 500_000
    oldest, newest = bytes([0, 0]) * 16, bytes([59, 7]) * 16
    assert store.get([oldest, newest]) == {newest: bytes([59]) * 4000}


def test_what_is_larger_than_the_bound_is_not_written(tmp_path):
    store = TextStore(tmp_path, bound=400_000)
    store.put({b"small": b"value"})
    store.put({b"large": b"y" * 500_000})
    assert store.get([b"small", b"large"]) == {b"small": b"value"}


def test_a_failure_in_the_middle_takes_all_of_it_back(tmp_path):
    store = TextStore(tmp_path, bound=10**6)
    rows(
        store.path,
        "CREATE TRIGGER stop BEFORE INSERT ON readings WHEN NEW.key = CAST('bad' AS BLOB)"
        " BEGIN SELECT RAISE(ABORT, 'stopped'); END",
    )
    with pytest.raises(DataError, match="stopped"):
        store.put({b"good": b"1", b"bad": b"2"})
    assert store.get([b"good", b"bad"]) == {}
    store.put({b"good": b"1"})
    assert store.get([b"good"]) == {b"good": b"1"}


@pytest.mark.parametrize(
    "change", ["value = x'00'", "value = 'text'", "value = 7", "key = x'6b32'", "hash = x'00'"]
)
def test_a_row_that_was_changed_is_not_there(tmp_path, change):
    store = TextStore(tmp_path, bound=10**6)
    store.put({b"k1": b"value"})
    rows(store.path, f"UPDATE readings SET {change}")
    assert store.get([b"k1", b"k2"]) == {}


@pytest.mark.parametrize("statement", ["CREATE TABLE patients (name TEXT)", "PRAGMA application_id = 7"])
def test_somebody_elses_database_is_left_alone(tmp_path, statement):
    rows(tmp_path / FILE, statement)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(DataError, match="another database"):
        TextStore(tmp_path, bound=10**6)
    assert (tmp_path / FILE).read_bytes() == before


def test_another_version_is_refused(tmp_path):
    TextStore(tmp_path, bound=10**6)
    rows(tmp_path / FILE, "PRAGMA user_version = 99")
    with pytest.raises(DataError, match="version 1"):
        TextStore(tmp_path, bound=10**6)


def test_what_is_not_a_database_is_named(tmp_path):
    (tmp_path / FILE).write_text("not a database, but as long as the header of one would be " * 3)
    with pytest.raises(DataError, match=r"damaged file.*delete it"):
        TextStore(tmp_path, bound=10**6)


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritableError, match="choose another place"):
        TextStore(tmp_path / "file", bound=10**6)
