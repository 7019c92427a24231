"""SQLite files of radflow's own: opened or made, known by their application id, trouble said in one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

from radflow.errors import DataError, NotWritableError

BUSY_SECONDS = 30.0
_KEYS_AT_ONCE = 500  # SQLite bounds the variables of a statement
_making = Lock()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a file is.

    Attributes:
        what: it is, for messages: "a store of verdicts".
        if_damaged: what to do then, for messages.
        application: SQLite's application id.
        version: of the tables.
        tables: statements that make them.
        mode: of a new file, under the umask.
        wal: keep a write-ahead log where the file system allows one: commits need not wait for the disk, and
            readers not for the writer. But it may not be shared by machines. Otherwise a rollback journal.
    """

    what: str
    if_damaged: str
    application: int
    version: int
    tables: tuple[str, ...]
    mode: int = 0o666
    wal: bool = False


def connect(path: Path, kind: Kind) -> sqlite3.Connection:
    """Open a file, made if it is not there, with its folder. Threads may take turns with the connection.

    Raises:
        NotWritableError: the file cannot be made or written, or is locked for 30 s.
        DataError: the file is damaged, or another database, which is left as it is.
    """
    with named_errors(path, kind):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _making:  # closing a file drops the process's locks on it, which another thread may have taken
            if not path.exists():
                path.touch(kind.mode)  # SQLite gives its companions the same mode
        db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            db.text_factory = lambda content: content.decode("utf-8", "replace")  # damaged: the hash finds it
            _prepare(db, path, kind)
        except BaseException:
            db.close()
            raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None]:
    """Be the only writer; all of the block is written or none of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def rows_of(db: sqlite3.Connection, select: str, keys: Iterable[bytes]) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement that ends in ``IN``, for any number of keys."""
    remaining = iter(keys)
    while some := list(islice(remaining, _KEYS_AT_ONCE)):
        yield from db.execute(f"{select} ({','.join('?' * len(some))})", some)


@contextmanager
def named_errors(path: Path, kind: Kind) -> Generator[None]:
    """Raise SQLite's errors and the system's as radflow's, with the path and what to do."""
    try:
        yield
    except NotWritableError:  # an OSError too
        raise
    except (OSError, sqlite3.OperationalError) as error:
        raise NotWritableError(
            f"{path}: expected to keep {kind.what} here, cannot ({error}); make room, or choose another place"
        ) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter quotes a damaged schema
        raise DataError(
            f"{path}: expected {kind.what}, got a damaged file ({error}); {kind.if_damaged}"
        ) from error


def _prepare(db: sqlite3.Connection, path: Path, kind: Kind) -> None:
    if _is_empty(db, path, kind):
        with transaction(db):
            if _is_empty(db, path, kind):  # still: another process may have been quicker
                for statement in kind.tables:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {kind.application}")
                db.execute(f"PRAGMA user_version = {kind.version}")
    if kind.wal:
        with suppress(sqlite3.OperationalError):  # refused, or another process writes: it stays as it is
            if db.execute("PRAGMA journal_mode = wal").fetchone() == ("wal",):
                db.execute("PRAGMA synchronous = normal")  # enough, with the log, to survive a power cut


def _is_empty(db: sqlite3.Connection, path: Path, kind: Kind) -> bool:
    # In one statement: between two, another process may have made the file.
    application, version, tables = db.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if (application, version) != (kind.application, kind.version) and (application or version or tables):
        raise DataError(
            f"{path}: expected {kind.what}, version {kind.version}, got another database; "
            "choose another place"
        )
    return not tables
