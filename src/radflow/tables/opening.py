"""Opening tables and texts that others wrote, within a stated bound on memory.

Every reader of such files opens them here, so that one bound holds for all of them: a line or record has at
most :data:`LONGEST` bytes, and a gzip file does not unpack to more than it plausibly can. What goes beyond is
one clear line. Reading any file, whatever is in it, takes less than 1 GiB above what Python itself takes:
the worst is a JSON line of :data:`LONGEST` bytes in which every third byte is an object.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import tempfile
import zlib
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from radflow.errors import DataError, RadflowError
from radflow.files import open_regular

LONGEST = 2**24
"""Bytes of one line, field or record: 16 MiB, some thousand times the longest report."""

_PIECE = 2**18  # bytes recoded at once
_UNPACKED = 2**28  # bytes that any gzip file may unpack to
_RATIO = 200  # above that, at most this many bytes per packed one; tables of text take 3 to 30


@contextmanager
def opened(path: Path) -> Generator[io.BufferedIOBase]:
    """Open a file for reading bytes, unpacked where its name ends in ``.gz``; it can be sought.

    An error while reading becomes one clear line.

    Raises:
        DataError: it cannot be read, is no regular file, is a broken gzip file, or one that unpacks to more
            than 256 MiB and more than 200 times its size.
    """
    try:
        if path.suffix.lower() != ".gz":
            with open_regular(path) as plain:
                yield plain
        else:
            with open_regular(path) as plain, gzip.open(plain) as packed:
                most = max(_UNPACKED, _RATIO * os.fstat(plain.fileno()).st_size)
                yield io.BufferedReader(_Unpacked(packed, path, most))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: expected a whole gzip file, got {error}; fetch it again") from None
    except OSError as error:
        if isinstance(error, RadflowError):
            raise
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def ending(path: Path) -> str:
    """The ending that says the format, in lower case, ``.gz`` taken off.

    >>> ending(Path("Reports.CSV.gz"))
    '.csv'
    """
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


@contextmanager
def opened_text(path: Path) -> Generator[tuple[io.BufferedIOBase, bool]]:
    """Open a file of text as `opened` does, and pass over a byte order mark.

    Yields:
        the file; and whether it is UTF-16, as Excel's "Unicode text" is. It is then recoded as UTF-8 in a
        file without a name, because bytes of UTF-16 cannot be told apart into lines.
    """
    with opened(path) as file:
        mark = file.read(len(codecs.BOM_UTF8))
        file.seek(len(mark) if mark == codecs.BOM_UTF8 else 0)
        if mark[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            yield file, False
            return
        with tempfile.TemporaryFile() as made:
            decoder = codecs.getincrementaldecoder("utf-16")()
            try:
                while piece := file.read(_PIECE):
                    made.write(decoder.decode(piece).encode())
                decoder.decode(b"", final=True)
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}: expected UTF-16, as it begins, got {error.reason}; save it as UTF-8"
                ) from None
            made.seek(0)
            yield made, True


def decoded(line: bytes, encoding: str) -> tuple[str, str | None, bool]:
    """A line as text.

    Where UTF-8 is expected, a line that is none is read as cp1252, in which western Windows programs save
    tables; but not a line with proper UTF-8 elsewhere in it, which is damaged.

    Returns:
        the text, what is wrong with it, and whether it was read as cp1252.

    >>> decoded("Größe".encode("cp1252"), "utf-8")
    ('Größe', None, True)
    >>> decoded("Größe".encode() + bytes([255]), "utf-8")[1]
    'not utf-8 (invalid start byte); save it as UTF-8, or say its encoding (data.encoding, --encoding)'
    """
    if b"\0" in line:
        return line.replace(b"\0", b" ").decode(encoding, "replace"), "a NUL byte in it", False
    try:
        return line.decode(encoding), None, False
    except UnicodeDecodeError as error:
        if codecs.lookup(encoding).name == "utf-8" and line.decode("utf-8", "ignore").isascii():
            try:
                return line.decode("cp1252"), None, True
            except UnicodeDecodeError:
                pass
        hint = "save it as UTF-8, or say its encoding (data.encoding, --encoding)"
        return line.decode(encoding, "replace"), f"not {encoding} ({error.reason}); {hint}", False


def lines(file: io.BufferedIOBase) -> Iterator[bytes]:
    """The lines from where a file stands, with their ends.

    Of a line longer than :data:`LONGEST` its first bytes come, for which :func:`too_long` is true, and the
    rest is skipped, so that it spoils only itself.
    """
    while line := file.readline(LONGEST):
        yield line
        while too_long(line):
            line = file.readline(LONGEST)


def too_long(line: bytes) -> bool:
    """Whether a line of :func:`lines` is only the beginning of one."""
    return len(line) >= LONGEST and not line.endswith(b"\n")


def twice(names: Sequence[str]) -> list[str]:
    """Those that stand more than once, sorted.

    >>> twice(["id", "report", "id"])
    ['id']
    """
    return sorted(name for name, count in Counter(names).items() if count > 1)


class _Unpacked(io.RawIOBase):
    """A gzip file, as far as it may unpack."""

    def __init__(self, packed: gzip.GzipFile, path: Path, most: int) -> None:
        self._packed, self._path, self._most = packed, path, most

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        count = self._packed.readinto(buffer)
        if self._packed.tell() > self._most:
            raise DataError(
                f"{self._path}: expected a table or text, got a gzip file that unpacks to more than "
                f"{self._most:,} bytes; unpack it yourself, if it is what you think it is"
            )
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._packed.seek(offset, whence)
