"""Verdicts on disk, shared by threads, processes and runs, so that no question is paid for twice.

A verdict is written when it arrives and is there for everybody from then on; a killed process loses none. (A
power cut may lose the last ones, never the file.) Two processes that ask the same at the same time both pay,
and the first verdict stands. A row carries a hash of itself: a damaged row is a question not asked yet, a
damaged file an error, neither is ever a verdict.

The file is the user's alone (mode 0600) and holds no report text unless it is asked to.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from radflow.judges.verdicts.rows import COLUMNS, Of, StoredVerdict, from_row, to_row
from radflow.sqlite import Kind, connect, named_errors, rows_of, transaction

STORE = "verdicts.sqlite3"
"""Its name in a folder where none was given."""

_of_parents: list[sqlite3.Connection | None] = []
_ALL = ", ".join((*COLUMNS, "hash"))
_INSERT = f"INSERT OR REPLACE INTO verdicts ({_ALL}) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
_COUNTS = ("misses", "hits", "prompt_tokens", "completion_tokens", "calls")
_COUNT = (
    f"INSERT INTO used (judge, model, prompt, kind, {', '.join(_COUNTS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (judge, model, prompt, kind) DO UPDATE SET "
    + ", ".join(f"{count} = {count} + excluded.{count}" for count in _COUNTS)
)
_KIND = Kind(
    what="a file of verdicts",
    if_damaged="move it away, then import an export or ask again",
    application=int.from_bytes(b"rdjv", "big"),
    version=1,  # a file of before the first release may hold a table `leases`, which nothing reads
    tables=(
        f"CREATE TABLE verdicts ({_ALL.replace('key', 'key BLOB PRIMARY KEY', 1)}) WITHOUT ROWID",
        f"CREATE TABLE used (judge, model, prompt, kind, {', '.join(_COUNTS)},"
        " PRIMARY KEY (judge, model, prompt, kind)) WITHOUT ROWID",
    ),
    mode=0o600,
    wal=True,
)


class VerdictStore:
    """The verdicts of any number of judges in one file.

    One object serves all threads of a process, and goes on in a forked child. The processes that share a file
    must run on one machine; another is served by an export.

    Args:
        path: made if it is not there, with its folder.
        keep_texts: keep what was asked about, and more of what the judge said, with the verdicts from now on.
            Then the file, and an export of it, is as confidential as the reports.

    Raises:
        NotWritableError: the file cannot be made or written, or is locked for 30 s. So do all methods.
        DataError: the file is damaged, or another database. So do all methods.

    >>> import tempfile
    >>> with VerdictStore(Path(tempfile.mkdtemp()) / "verdicts.sqlite3") as store:
    ...     store.get([b"a key of 32 bytes"])
    {}
    """

    def __init__(self, path: str | Path, *, keep_texts: bool = False) -> None:
        self.path = Path(path)
        self.keep_texts = keep_texts
        self._start()
        with self._connection():
            pass

    def __enter__(self) -> VerdictStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Whoever uses the store again opens it again."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    @property
    def size(self) -> int:
        """Bytes of the file with its write-ahead log."""
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def get(self, keys: Iterable[bytes]) -> dict[bytes, StoredVerdict]:
        """The verdicts that are there and whole."""
        with self._connection() as db:
            return _read(db, keys)

    def put(self, verdict: StoredVerdict) -> StoredVerdict:
        """Keep a new verdict, and count it as asked.

        Returns:
            The verdict that stands. Where there was one already it stays, so that all askers see the same.
        """
        with self._connection() as db, transaction(db):
            standing = _read(db, [verdict.key]).get(verdict.key)
            if standing is None:
                db.execute(_INSERT, to_row(verdict))
            db.execute(_COUNT, (*verdict.of, 1, 0, 0, 0, 0))
        return standing or verdict

    def add(self, verdicts: Sequence[StoredVerdict]) -> list[StoredVerdict]:
        """Keep verdicts from elsewhere, all or none, without counting them as asked.

        Returns:
            Those that were here already, as they are here. They stay.
        """
        with self._connection() as db, transaction(db):
            standing = _read(db, [verdict.key for verdict in verdicts])
            db.executemany(_INSERT, [to_row(verdict) for verdict in verdicts if verdict.key not in standing])
        return list(standing.values())

    def count_hits(self, served: Iterable[StoredVerdict]) -> None:
        """Count answers that were given without asking, and what they would have cost."""
        rows = [(*v.of, 0, 1, v.prompt_tokens, v.completion_tokens, v.calls) for v in served]
        with self._connection() as db, transaction(db):
            db.executemany(_COUNT, rows)

    def scan(self) -> list[StoredVerdict | None]:
        """All verdicts, by key; ``None`` for a row that is not as it was written."""
        with self._connection() as db:
            return [from_row(row) for row in db.execute(f"SELECT {_ALL} FROM verdicts ORDER BY key")]

    def used(self) -> dict[Of, tuple[int, ...]]:
        """Questions asked and answers given without asking, over all runs; then the prompt tokens, completion
        tokens and calls that the latter would have taken."""
        with self._connection() as db:
            rows = db.execute(f"SELECT judge, model, prompt, kind, {', '.join(_COUNTS)} FROM used")
            return {(j, m, p, k): tuple(counts) for j, m, p, k, *counts in rows}

    def _start(self) -> None:
        self._process, self._lock = os.getpid(), Lock()
        self._db: sqlite3.Connection | None = None

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        """Lend the connection to one thread."""
        if self._process != os.getpid():  # forked: SQLite lets a child neither use nor close the parent's
            _of_parents.append(self._db)
            self._start()
        with self._lock, named_errors(self.path, _KIND):
            if self._db is None:
                self._db = connect(self.path, _KIND)
            yield self._db


def _read(db: sqlite3.Connection, keys: Iterable[bytes]) -> dict[bytes, StoredVerdict]:
    rows = rows_of(db, f"SELECT {_ALL} FROM verdicts WHERE key IN", keys)
    return {verdict.key: verdict for verdict in map(from_row, rows) if verdict is not None}
