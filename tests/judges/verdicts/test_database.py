import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import pytest

from radflow.errors import DataError, NotWritableError
from radflow.judges.verdicts import database
from radflow.judges.verdicts.database import Database

TABLES = ("CREATE TABLE numbers (number INTEGER)",)


def opened(path, version=1):
    return Database(path, application=7, version=version, tables=TABLES)


def numbers(file):
    with file.connection() as db:
        return [number for (number,) in db.execute("SELECT number FROM numbers ORDER BY number")]


def insert(file, number):
    with file.transaction() as db:
        db.execute("INSERT INTO numbers VALUES (?)", (number,))


def test_all_files_are_the_user_s_alone(tmp_path):
    before = os.umask(0)
    try:
        file = opened(tmp_path / "new" / "file.sqlite3")
        insert(file, 1)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.path.parent.iterdir()}
    finally:
        os.umask(before)
        file.close()
    assert modes == {f"file.sqlite3{end}": 0o600 for end in ("", "-wal", "-shm")}


def test_a_block_that_fails_is_taken_back(tmp_path):
    file = opened(tmp_path / "file")
    with pytest.raises(KeyError), file.transaction() as db:
        db.execute("INSERT INTO numbers VALUES (1)")
        raise KeyError
    insert(file, 2)
    assert numbers(file) == [2]
    file.close()


def test_it_opens_again_after_it_was_closed(tmp_path):
    file = opened(tmp_path / "file")
    insert(file, 1)
    file.close()
    file.close()
    assert numbers(file) == [1]
    file.close()


def test_a_network_file_system_gets_a_rollback_journal(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "network_file_system", lambda path: "nfs4")
    file = opened(tmp_path / "file")
    insert(file, 1)
    with file.connection() as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
    file.close()


def test_elsewhere_it_has_a_write_ahead_log(tmp_path):
    file = opened(tmp_path / "file")
    with file.connection() as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (1,)
    file.close()


FORK = """
import os, sys
from pathlib import Path
from threading import Thread, Event
from radflow.judges.verdicts.database import Database

TABLES = ("CREATE TABLE numbers (number INTEGER)",)
file = Database(Path(sys.argv[1]), application=7, version=1, tables=TABLES)

def insert(number):
    with file.transaction() as db:
        db.execute("INSERT INTO numbers VALUES (?)", (number,))

held, leave = Event(), Event()
def hold():
    with file.connection():
        held.set()
        leave.wait()

insert(1)
thread = Thread(target=hold)
thread.start()
held.wait()
child = os.fork()  # while a thread of the parent holds the lock
if child == 0:
    insert(2)
    os._exit(0)
leave.set()
thread.join()
insert(3)
assert os.waitpid(child, 0)[1] == 0
insert(4)
with file.connection() as db:
    rows = db.execute("SELECT number FROM numbers ORDER BY number").fetchall()
    print(",".join(str(number) for (number,) in rows))
    print(db.execute("PRAGMA integrity_check").fetchone()[0])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_parent_and_child_both_go_on_after_a_fork(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path / "file")], capture_output=True, text=True, timeout=50
    )
    assert ran.stdout.split() == ["1,2,3,4", "ok"], ran.stderr


@pytest.mark.parametrize("statement", ["CREATE TABLE patients (name TEXT)", "PRAGMA application_id = 8"])
def test_somebody_elses_database_is_left_as_it_is(tmp_path, statement):
    path = tmp_path / "file"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)
    before = path.read_bytes()
    with pytest.raises(DataError, match="another database"):
        opened(path)
    assert path.read_bytes() == before


def test_another_version_is_refused(tmp_path):
    opened(tmp_path / "file", version=2).close()
    with pytest.raises(DataError, match="version 1"):
        opened(tmp_path / "file")


def test_what_is_not_a_database_is_named(tmp_path):
    (tmp_path / "file").write_text("not a database, but as long as the header of one would be " * 3)
    with pytest.raises(
        DataError, match=r"file: expected a file of verdicts, got a damaged one.*move it away"
    ):
        opened(tmp_path / "file")


def test_a_damaged_page_is_an_error(tmp_path):
    file = opened(tmp_path / "file")
    for number in range(2000):
        insert(file, number)
    file.close()
    content = bytearray(file.path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        numbers(file)
    file.close()


def test_a_place_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritableError, match="choose another place"):
        opened(tmp_path / "file" / "below")


def test_a_file_that_another_holds_is_named(tmp_path, monkeypatch):
    file = opened(tmp_path / "file")
    file.close()
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    with closing(sqlite3.connect(file.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotWritableError, match="locked"):
            insert(file, 1)
    insert(file, 1)
    assert numbers(file) == [1]
    file.close()
