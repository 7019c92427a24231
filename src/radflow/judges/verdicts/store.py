"""Verdicts on disk, shared by threads, processes and runs, so that no question is paid for twice.

A verdict is written when it arrives and is there for everybody from then on; a killed process loses none. (A
power cut may lose the last ones, never the file.) Who wants to ask claims the question first; others who want
the same wait for its verdict instead, see :mod:`radflow.judges.verdicts.leases`. A row carries a hash of
itself: a damaged row is a question not asked yet, a damaged file an error, neither is ever a verdict.

The file is the user's alone (mode 0600) and holds no report text unless it is asked to.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from radflow.judges.verdicts.database import Database
from radflow.judges.verdicts.leases import LEASE_SECONDS, is_dead
from radflow.judges.verdicts.rows import COLUMNS, StoredVerdict, from_row, to_row

APPLICATION = int.from_bytes(b"rdjv", "big")
VERSION = 1
_KEYS_AT_ONCE = 500  # SQLite bounds the variables of a statement
_ALL = ", ".join((*COLUMNS, "hash"))
_INSERT = f"INSERT OR REPLACE INTO verdicts ({_ALL}) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
_TABLES = (
    f"CREATE TABLE verdicts ({_ALL.replace('key', 'key BLOB PRIMARY KEY', 1)}) WITHOUT ROWID",
    "CREATE TABLE leases (key BLOB PRIMARY KEY, owner TEXT NOT NULL, expires REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE used (judge, model, prompt, kind, misses INTEGER DEFAULT 0, hits INTEGER DEFAULT 0,"
    " prompt_tokens INTEGER DEFAULT 0, completion_tokens INTEGER DEFAULT 0, calls INTEGER DEFAULT 0,"
    " PRIMARY KEY (judge, model, prompt, kind)) WITHOUT ROWID",
)
_COUNT_MISS = (
    "INSERT INTO used (judge, model, prompt, kind, misses) VALUES (?, ?, ?, ?, 1)"
    " ON CONFLICT (judge, model, prompt, kind) DO UPDATE SET misses = misses + 1"
)
_COUNT_HIT = (
    "INSERT INTO used (judge, model, prompt, kind, hits, prompt_tokens, completion_tokens, calls)"
    " VALUES (?, ?, ?, ?, 1, ?, ?, ?) ON CONFLICT (judge, model, prompt, kind) DO UPDATE SET hits = hits + 1,"
    " prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
    " completion_tokens = completion_tokens + excluded.completion_tokens, calls = calls + excluded.calls"
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What came of asking for keys.

    Attributes:
        found: verdicts that are there already.
        mine: keys to ask about now; nobody else will.
        busy: keys that somebody else is asking about.
    """

    found: dict[bytes, StoredVerdict]
    mine: list[bytes]
    busy: list[bytes]


@dataclass(frozen=True, kw_only=True)
class Used:
    """How much a judge was asked, over all runs.

    Attributes:
        of: judge, model, prompt, kind.
        misses: questions asked.
        hits: answers given without asking.
        prompt_tokens: that the hits would have taken.
        completion_tokens: likewise.
        calls: likewise.
    """

    of: tuple[str, str, str, str]
    misses: int = 0
    hits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0


class VerdictStore:
    """The verdicts of any number of judges in one file.

    One object serves all threads of a process, and goes on in a forked child.

    Args:
        path: made if it is not there, with its folder.
        keep_texts: keep what was asked about, and more of what the judge said, with the verdicts from now on.
            Then the file, and an export of it, is as confidential as the reports.
        lease_seconds: how long a claim holds unless it is renewed.

    Raises:
        NotWritableError: the file cannot be made or written, or is locked for 30 s. So do all methods.
        DataError: the file is damaged, or another database. So do all methods.

    >>> import tempfile
    >>> with VerdictStore(Path(tempfile.mkdtemp()) / "verdicts.sqlite3") as store:
    ...     first, second = store.claim([b"key"], "here 1 2 first"), store.claim([b"key"], "here 3 4 second")
    >>> first.mine, second.mine, second.busy
    ([b'key'], [], [b'key'])
    """

    def __init__(
        self, path: str | Path, *, keep_texts: bool = False, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self.path = Path(path)
        self.keep_texts = keep_texts
        self.lease_seconds = lease_seconds
        self._file = Database(self.path, application=APPLICATION, version=VERSION, tables=_TABLES)

    def __enter__(self) -> VerdictStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Whoever uses the store again opens it again."""
        self._file.close()

    @property
    def journal(self) -> str:
        """``wal``, or ``delete`` where the file system does not allow a write-ahead log."""
        with self._file.connection() as db:
            return db.execute("PRAGMA journal_mode").fetchone()[0]

    @property
    def size(self) -> int:
        """Bytes of the file with its write-ahead log."""
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def get(self, keys: Iterable[bytes]) -> dict[bytes, StoredVerdict]:
        """The verdicts that are there and whole."""
        with self._file.connection() as db:
            return _read(db, list(keys))

    def claim(self, keys: Iterable[bytes], owner: str) -> Claim:
        """Find verdicts, and take on those questions that nobody asks yet.

        What was claimed is the owner's until :meth:`put`, :meth:`release`, or ``lease_seconds`` without
        :meth:`renew`; a dead owner's claim passes on at once where its death can be seen.

        Args:
            keys: of the questions.
            owner: from :func:`radflow.judges.verdicts.leases.new_owner`.
        """
        wanted = list(dict.fromkeys(keys))
        with self._file.transaction() as db:
            found = _read(db, wanted)
            missing = [key for key in wanted if key not in found]
            held = _held(db, missing, owner)
            mine = [key for key in missing if key not in held]
            expires = time.time() + self.lease_seconds
            leases = [(key, owner, expires) for key in mine]
            db.executemany("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", leases)
        return Claim(found=found, mine=mine, busy=[key for key in missing if key in held])

    def renew(self, owner: str) -> None:
        """Hold an owner's claims for another ``lease_seconds``."""
        with self._file.transaction() as db:
            expires = time.time() + self.lease_seconds
            db.execute("UPDATE leases SET expires = ? WHERE owner = ?", (expires, owner))

    def release(self, owner: str) -> None:
        """Give back what an owner claimed and did not answer."""
        with self._file.transaction() as db:
            db.execute("DELETE FROM leases WHERE owner = ?", (owner,))

    def put(self, verdict: StoredVerdict) -> StoredVerdict:
        """Keep a new verdict, count it as asked, end the claim on it.

        Returns:
            The verdict that stands. Where there was one already it stays, so that all askers see the same.
        """
        with self._file.transaction() as db:
            standing = _read(db, [verdict.key]).get(verdict.key)
            if standing is None:
                db.execute(_INSERT, to_row(verdict))
            db.execute("DELETE FROM leases WHERE key = ?", (verdict.key,))
            db.execute(_COUNT_MISS, (verdict.judge, verdict.model, verdict.prompt, verdict.kind))
        return standing or verdict

    def add(self, verdicts: Sequence[StoredVerdict]) -> list[StoredVerdict]:
        """Keep verdicts from elsewhere, all or none, without counting them as asked.

        Returns:
            Those that were here already, as they are here. They stay.
        """
        with self._file.transaction() as db:
            standing = _read(db, [verdict.key for verdict in verdicts])
            db.executemany(_INSERT, [to_row(verdict) for verdict in verdicts if verdict.key not in standing])
        return list(standing.values())

    def count_hits(self, served: Iterable[StoredVerdict]) -> None:
        """Count answers that were given without asking, and what they would have cost."""
        rows = [
            (v.judge, v.model, v.prompt, v.kind, v.prompt_tokens, v.completion_tokens, v.calls)
            for v in served
        ]
        with self._file.transaction() as db:
            db.executemany(_COUNT_HIT, rows)

    def scan(self) -> list[StoredVerdict | None]:
        """All verdicts, by key; ``None`` for a row that is not as it was written."""
        with self._file.connection() as db:
            return [from_row(row) for row in db.execute(f"SELECT {_ALL} FROM verdicts ORDER BY key")]

    def used(self) -> list[Used]:
        """What was asked and what was saved, one entry for each judge, model, prompt and kind."""
        with self._file.connection() as db:
            rows = db.execute("SELECT * FROM used").fetchall()
        return [
            Used(of=(j, m, p, k), misses=misses, hits=hits, prompt_tokens=i, completion_tokens=o, calls=calls)
            for j, m, p, k, misses, hits, i, o, calls in rows
        ]


def _read(db: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, StoredVerdict]:
    found = {}
    for some in _chunks(keys):
        marks = ",".join("?" * len(some))
        for row in db.execute(f"SELECT {_ALL} FROM verdicts WHERE key IN ({marks})", some):
            verdict = from_row(row)
            if verdict is not None:
                found[verdict.key] = verdict
    return found


def _held(db: sqlite3.Connection, keys: Sequence[bytes], owner: str) -> set[bytes]:
    """Those keys that another asker holds, as far as we know a living one."""
    held, now = set(), time.time()
    dead: dict[str, bool] = {}
    for some in _chunks(keys):
        marks = ",".join("?" * len(some))
        leases = f"SELECT key, owner FROM leases WHERE key IN ({marks}) AND owner != ? AND expires > ?"
        for key, holder in db.execute(leases, (*some, owner, now)):
            if holder not in dead:
                dead[holder] = is_dead(holder)
            if not dead[holder]:
                held.add(key)
    return held


def _chunks(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        yield keys[start : start + _KEYS_AT_ONCE]
