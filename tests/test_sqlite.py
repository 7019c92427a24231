import os
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace

import pytest

from radflow import sqlite
from radflow.errors import DataError, NotWritableError
from radflow.sqlite import Kind, connect, named_errors, transaction

KIND = Kind(
    what="a file of numbers",
    if_damaged="delete it",
    application=7,
    version=1,
    tables=("CREATE TABLE numbers (number INTEGER)",),
    mode=0o600,
    wal=True,
)


def opened(path, **changes):
    return closing(connect(path, replace(KIND, **changes)))


def insert(db, number):
    with transaction(db):
        db.execute("INSERT INTO numbers VALUES (?)", (number,))


def numbers(db):
    return [number for (number,) in db.execute("SELECT number FROM numbers ORDER BY number")]


@pytest.mark.parametrize(("mode", "expected"), [(0o600, 0o600), (0o666, 0o640)])
def test_all_files_have_the_mode_of_the_kind_under_the_umask(tmp_path, mode, expected):
    before = os.umask(0o027)
    try:
        with opened(tmp_path / "new" / "file.sqlite3", mode=mode) as db:
            insert(db, 1)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    finally:
        os.umask(before)
    assert modes == {f"file.sqlite3{end}": expected for end in ("", "-wal", "-shm")}


def test_a_block_that_fails_is_taken_back(tmp_path):
    with opened(tmp_path / "file") as db:
        with pytest.raises(KeyError), transaction(db):
            db.execute("INSERT INTO numbers VALUES (1)")
            raise KeyError
        insert(db, 2)
        assert numbers(db) == [2]


def test_what_is_there_is_opened(tmp_path):
    for number in (1, 2):
        with opened(tmp_path / "file") as db:
            insert(db, number)
    with opened(tmp_path / "file") as db:
        assert numbers(db) == [1, 2]


@pytest.mark.parametrize(("wal", "journal", "synchronous"), [(True, "wal", 1), (False, "delete", 2)])
def test_a_commit_waits_for_the_disk_unless_there_is_a_write_ahead_log(tmp_path, wal, journal, synchronous):
    with opened(tmp_path / "file", wal=wal) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == (journal,)
        assert db.execute("PRAGMA synchronous").fetchone() == (synchronous,)


def test_a_file_that_cannot_have_the_log_now_works_without(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    with opened(tmp_path / "file", wal=False):
        pass
    with closing(sqlite3.connect(tmp_path / "file", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM numbers").fetchall()
        with opened(tmp_path / "file") as db:
            assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
            assert db.execute("PRAGMA synchronous").fetchone() == (2,)
            reader.execute("COMMIT")
            insert(db, 1)
    with opened(tmp_path / "file") as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("statement", ["CREATE TABLE patients (name TEXT)", "PRAGMA application_id = 8"])
def test_somebody_elses_database_is_left_as_it_is(tmp_path, statement):
    path = tmp_path / "file"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)
    before = path.read_bytes()
    with pytest.raises(DataError, match="another database"):
        connect(path, KIND)
    assert path.read_bytes() == before


def test_another_version_is_refused(tmp_path):
    with opened(tmp_path / "file", version=2):
        pass
    with pytest.raises(DataError, match="version 1"):
        connect(tmp_path / "file", KIND)


def test_what_is_not_a_database_is_named(tmp_path):
    (tmp_path / "file").write_text("not a database, but as long as the header of one would be " * 3)
    with pytest.raises(DataError, match=r"file: expected a file of numbers, got a damaged file.*delete it"):
        connect(tmp_path / "file", KIND)


def test_a_damaged_page_is_an_error(tmp_path):
    path = tmp_path / "file"
    with opened(path) as db, transaction(db):
        for number in range(2000):
            db.execute("INSERT INTO numbers VALUES (?)", (number,))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with opened(path) as db, pytest.raises(DataError, match="damaged"), named_errors(path, KIND):
        numbers(db)


def test_a_place_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritableError, match="choose another place"):
        connect(tmp_path / "file" / "below", KIND)


def test_a_file_that_another_holds_is_named(tmp_path, monkeypatch):
    path = tmp_path / "file"
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    with opened(path) as db, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotWritableError, match="locked"), named_errors(path, KIND):
            insert(db, 1)
        other.execute("COMMIT")
        insert(db, 1)
        assert numbers(db) == [1]
