"""One SQLite file that threads, processes and runs share: opened privately, safely, and again after a fork.

It uses a write-ahead log, so that readers and the writer do not wait for each other. The log needs shared
memory: on a network file system, or where SQLite is refused it, a rollback journal takes its place, slower
and as safe as the locks of that file system.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import weakref
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from radflow.errors import DataError, NotWritableError
from radflow.judges.verdicts.file_systems import network_file_system

BUSY_SECONDS = 30.0
_making = Lock()
_log = logging.getLogger(__name__)


class Database:
    """A connection of this process to a file of radflow's, opened when it is first needed.

    Args:
        path: made if it is not there, with its folder, of mode 0600.
        application: SQLite's application id that the file carries.
        version: of its tables.
        tables: statements that make them.

    Raises:
        NotWritableError: the file cannot be made or written, or is locked for 30 s. So do all methods.
        DataError: the file is damaged, or another database. So do all methods.
    """

    def __init__(self, path: Path, *, application: int, version: int, tables: Sequence[str]) -> None:
        self.path = path
        self._made_by = (application, version)
        self._db: sqlite3.Connection | None = None
        self._lock = Lock()
        self._parents: list[sqlite3.Connection] = []
        _databases.add(self)
        with self.transaction() as db:
            if _made_by(db) is None:
                for statement in tables:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {application}")
                db.execute(f"PRAGMA user_version = {version}")

    @contextmanager
    def connection(self) -> Generator[sqlite3.Connection]:
        """Lend the connection to one thread."""
        with self._lock, _named_errors(self.path):
            if self._db is None:
                self._db = self._open()
            yield self._db

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Likewise, as the only writer; all of the block is written or none of it."""
        with self.connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection; whoever needs it again opens it again."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def after_fork(self) -> None:
        """Leave the parent's connection alone, not even close it: SQLite allows neither in a child."""
        self._lock = Lock()
        if self._db is not None:
            self._parents.append(self._db)
            self._db = None

    def _open(self) -> sqlite3.Connection:
        _make_private(self.path)
        # Threads take turns by the lock.
        db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            if _made_by(db) not in (None, self._made_by):
                raise DataError(
                    f"{self.path}: expected a file of verdicts, version {self._made_by[1]}, got another "
                    "database; choose another place"
                )
            db.text_factory = _text
            remote = network_file_system(self.path)
            mode = _set_journal(db, "delete" if remote else "wal")
            if mode != "wal":
                _log.info("%s: no write-ahead log (%s); slower", self.path, remote or "refused")
            # With the log a commit need not wait for the disk to keep the file whole through a power cut.
            db.execute(f"PRAGMA synchronous = {'normal' if mode == 'wal' else 'full'}")
        except BaseException:
            db.close()
            raise
        return db


_databases: weakref.WeakSet[Database] = weakref.WeakSet()


def _forget_connections() -> None:
    for database in list(_databases):
        database.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)


@contextmanager
def _named_errors(path: Path) -> Generator[None]:
    try:
        yield
    except NotWritableError:
        raise
    except (OSError, sqlite3.OperationalError) as error:
        raise NotWritableError(
            f"{path}: expected to keep verdicts here, cannot ({error}); make room, or choose another place"
        ) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter quotes a damaged schema
        raise DataError(
            f"{path}: expected a file of verdicts, got a damaged one ({error}); move it away, then import an "
            "export or ask again"
        ) from error


def _make_private(path: Path) -> None:
    """Make an empty file of mode 0600; SQLite gives its companions the same mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _making:  # closing a file drops the process's locks on it, which another thread may just have taken
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return


def _made_by(db: sqlite3.Connection) -> tuple[int, int] | None:
    """Application id and version of a file; ``None`` where it is empty."""
    application, version, tables = (
        db.execute(query).fetchone()[0]
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    return (application, version) if application or version or tables else None


def _set_journal(db: sqlite3.Connection, mode: str) -> str:
    """Ask for a journal mode; what is in force is returned. SQLite itself does not wait for others here."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return db.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _text(content: bytes) -> str:
    """Damaged text must not stop a read: the row's hash finds it."""
    return content.decode("utf-8", "replace")
