"""Opening files that data name; writing files whole or not at all, under the umask.

*Modes.* The kernel decides them: a new file is asked for with 0666 and a new folder with 0777, and the umask
(or the folder's default ACL) takes from that. What is replaced keeps its own. Nothing here reads or sets the
umask, which all threads share.

*Whole or not at all.* What is written goes into ``.<name>.<8 hex digits>.radflow`` beside its place, to the
disk (fsync), and then by a rename into its place. The writer holds a lock on it that the kernel drops when it
is killed, so `radflow.folders.sweep` can tell what a kill left from what is being written.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, TextIO

from radflow.errors import DataError, NotWritableError, RadflowError

try:
    import fcntl
except ImportError:  # not POSIX: no locks
    fcntl = None

LEFT = re.compile(r"\..+\.[0-9a-f]{8}\.radflow")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NAMED = 80  # characters of an impossible name that a message shows
SHOWN = 50  # characters of a name in that of its temporary: file systems hold 255 bytes


def open_regular(path: Path, what: str = "a file") -> BufferedReader:
    """Open a file that the user's data name and read its bytes, unless reading might never end.

    Opening a FIFO waits for a writer, and a device may have no end.

    Args:
        path: as the data have it.
        what: what it should be, for the message.

    Raises:
        DataError: it is a folder, a FIFO, a device or a socket, or no file can have such a name.
        OSError: as `open`; `FileNotFoundError` where there is no such file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError:  # a NUL, or half a surrogate pair
        shown = repr(str(path)[:_NAMED])
        raise DataError(f"{shown}: expected {what}, got a name no file can have") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            shown = f"{str(path)[:_NAMED]}..."
            raise DataError(f"{shown}: expected {what}, got a name that is too long") from None
        if error.errno == errno.ENXIO:  # a socket
            raise DataError(f"{path}: cannot be read: expected {what}, got a socket") from None
        raise
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    kind = "a folder" if stat.S_ISDIR(mode) else "a FIFO" if stat.S_ISFIFO(mode) else "a device"
    raise DataError(f"{path}: cannot be read: expected {what}, got {kind}")


def is_file(path: Path) -> bool:
    """Whether there is such a file; also false for a name too long for one, where pathlib raises."""
    try:
        return path.is_file()
    except OSError:
        return False


@contextmanager
def writing(path: Path, what: str = "cannot be written") -> Generator[None]:
    """Say in one line why ``path`` cannot be written, whichever library found out.

    Raises:
        NotWritableError: for an `OSError` in the block, and for the errors of libraries that only quote one
            (safetensors and tokenizers, which are Rust).
    """
    try:
        yield
    except RadflowError:
        raise  # the block's own errors, some of which are OSErrors too
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        number, words = reason
        do = "make room, then start it again" if number in _FULL else "choose another place"
        refused = NotWritableError(f"{path}: {what} ({words}); {do}")
        refused.errno, refused.strerror = number, words  # for callers with a message of their own
        raise refused from error


def _reason(error: Exception) -> tuple[int | None, str] | None:
    """The operating system's error number and message; ``None`` if the error is not the system's."""
    if isinstance(error, OSError):
        return error.errno, error.strerror or str(error)
    if quoted := re.search(r"\(os error (\d+)\)", str(error)):
        return int(quoted[1]), os.strerror(int(quoted[1]))
    return None


def make_folder(path: Path) -> Path:
    """Make a folder that can be written, or say in one line why not.

    Raises:
        NotWritableError: it cannot be made or written.
    """
    with writing(path, "cannot make this folder"):
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return path


@contextmanager
def atomic_file(
    path: Path, *, mode: int | None = None, what: str = "cannot be written", sync: bool = True
) -> Generator[TextIO]:
    """Give a UTF-8 text file to fill; it replaces ``path`` only when the block ends without an error.

    Args:
        path: of the file.
        mode: who may read and write it, at most; ``None`` leaves it as it is, 0666 where it is new. The umask
            takes from what is new.
        what: what the error says about the path.
        sync: wait until the file would survive a power cut. Not for files that are checked when read, and
            made again if damaged.

    Raises:
        NotWritableError: the folder cannot be made or written, or the disk is full.
    """
    with writing(path, what):
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = path.stat().st_mode & 0o777 if mode is None and path.exists() else None
        temporary = temporary_of(path)
        wanted = next(m for m in (kept, mode, 0o666) if m is not None)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, wanted)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                try_lock(handle)
                if kept is not None:
                    temporary.chmod(kept)
                yield file
                file.flush()
                if sync:
                    os.fsync(handle)
                temporary.replace(path)
            if sync:
                to_disk(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_atomic(
    path: Path, content: str | bytes, *, what: str = "cannot be written", sync: bool = True
) -> None:
    """Write a file whole: a reader sees the old content or the new, never half of it.

    Raises:
        NotWritableError: the folder cannot be made or written, or the disk is full.
    """
    with atomic_file(path, what=what, sync=sync) as file:
        if isinstance(content, bytes):
            file.buffer.write(content)
        else:
            file.write(content)


def append_line(path: Path, line: str) -> None:
    """Add a line to a log.

    Raises:
        NotWritableError: it cannot be written, or the disk is full.
    """
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented, NaN refused."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a broken file is an error that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected JSON, got {error}; delete it and run the stage again") from None


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]], *, what: str = "cannot be written") -> None:
    """Write one JSON object per line, atomically."""
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    write_atomic(path, "".join(lines), what=what)


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSONL file; a broken line is an error that names file and line."""
    with path.open(encoding="utf-8") as file:
        try:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise DataError(f"{path}:{number}: expected a JSON object, got {error}") from None
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: expected UTF-8, got {error}") from None


# ---- what writing needs ------------------------------------------------------------------------------------


def temporary_of(path: Path) -> Path:
    """The temporary file that will become ``path``."""
    return path.with_name(f".{path.name[:SHOWN]}.{secrets.token_hex(4)}.radflow")


def try_lock(handle: int) -> bool | None:
    """Lock an open file until it is closed or the process dies.

    ``False`` if another has it, ``None`` if files cannot be locked here.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network file system without locks
        return None
    return True


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot sync a folder
            raise
    finally:
        os.close(handle)
