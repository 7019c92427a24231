"""Readings on disk: bytes by key in one SQLite file, the disk half of ``text_cache.py``.

SQLite keeps the file whole when processes share it or one is killed. A row also carries a hash of its key and
value, so a damaged one is a miss, never a wrong reading. Rollback journal, not WAL: the folder may lie on a
network file system. Each call opens the file anew (0.2 ms), so nothing has to survive threads or a fork.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from radflow.sqlite import Kind, connect, named_errors, rows_of, transaction

FILE = "readings.sqlite3"
_EVICTED_AT_ONCE = 16
_KIND = Kind(
    what="a cache of readings",
    if_damaged="delete it, it will be filled again",
    application=int.from_bytes(b"rdfl", "big"),
    version=1,
    tables=(
        "CREATE TABLE readings"
        " (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL, hash BLOB NOT NULL)",
    ),
)


class TextStore:
    """A bounded table of bytes that processes can share.

    Args:
        folder: made if it is not there.
        bound: bytes of content to keep; the oldest written goes first.

    Raises:
        NotWritableError: the folder cannot be made or written, or another process holds the file for 30 s.
            So do all methods.
        DataError: the file is damaged or is not a cache of radflow's. So do all methods.
    """

    def __init__(self, folder: Path, *, bound: int) -> None:
        self.path = folder / FILE
        self.bound = bound
        with self._open():
            pass

    def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those keys that are there and whole."""
        with self._open() as db:
            rows = rows_of(db, "SELECT key, value, hash FROM readings WHERE key IN", keys)
            return {key: value for key, value, seen in rows if _whole(key, value, seen)}

    def put(self, entries: Mapping[bytes, bytes]) -> None:
        """Write all entries or, when killed in between, none; then drop the oldest beyond the bound."""
        rows = [(key, value, _hash(key, value)) for key, value in entries.items() if len(value) <= self.bound]
        with self._open() as db, transaction(db):
            db.executemany("INSERT OR REPLACE INTO readings (key, value, hash) VALUES (?, ?, ?)", rows)
            while _used(db) > self.bound and _drop_oldest(db):
                pass

    def clear(self) -> None:
        """Drop every entry and give the space back."""
        with self._open() as db:
            db.execute("DELETE FROM readings")
            db.execute("VACUUM")

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        with named_errors(self.path, _KIND), closing(connect(self.path, _KIND)) as db:
            yield db


def _hash(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(key + value, digest_size=16).digest()


def _whole(key: object, value: object, seen: object) -> bool:
    """Whether a row is as it was written; damage can change even the type of a column."""
    return isinstance(key, bytes) and isinstance(value, bytes) and seen == _hash(key, value)


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return db.execute(f"PRAGMA {name}").fetchone()[0]


def _used(db: sqlite3.Connection) -> int:
    """Bytes of the pages in use; freed pages stay in the file and are filled again."""
    return (_pragma(db, "page_count") - _pragma(db, "freelist_count")) * _pragma(db, "page_size")


def _drop_oldest(db: sqlite3.Connection) -> bool:
    oldest = "SELECT id FROM readings ORDER BY id LIMIT ?"
    return db.execute(f"DELETE FROM readings WHERE id IN ({oldest})", (_EVICTED_AT_ONCE,)).rowcount > 0
