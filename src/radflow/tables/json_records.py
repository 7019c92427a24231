"""The records of a large JSON file one by one, without holding the file in memory.

For files such as ReXGradient's metadata (140,000 objects in one) and R2Gen's ``annotation.json`` (three lists
of them): memory holds one record and the piece of the file around it. A record can be read again by its
place. A record has at most `radflow.tables.opening.LONGEST` bytes; the file may be gzipped.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from radflow.errors import DataError, MissingFileError
from radflow.tables.opening import LONGEST, opened, twice

_PIECE = 2**18  # bytes read at once
_TAIL = 3  # characters that may follow the whole part of a number that is cut off: ".", "e", "e+"
_BLANK = re.compile(r"[ \t\r\n]*")


class Record(NamedTuple):
    """One record.

    Attributes:
        keys: the way to it: names of objects, and places in lists from 0 on.
        value: what stands there.
        place: its first byte and the one behind its last, for `record_at`.
        twice: the first name that stands twice in one of its objects, if one does; ``value`` has the last.
    """

    keys: tuple[str | int, ...]
    value: Any
    place: tuple[int, int]
    twice: str | None


def read_records(path: Path, *, depth: int = 1) -> Iterator[Record]:
    """Yield what stands ``depth`` brackets deep, in order.

    Args:
        path: the file; UTF-8, with or without a byte order mark.
        depth: 1 for ``{"a": record}`` and ``[record]``, 2 for ``{"train": [record]}``.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is not JSON, has a record that is too long, or ends in the middle; says at which byte,
            and after how many records.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file")
    with opened(path) as file:
        text = _Text(path, file)
        for record in _walk(text, (), depth):
            text.records += 1
            yield record
        text.peek(last=True)


def record_at(file: io.BufferedIOBase, place: tuple[int, int]) -> Any:
    """Read one record again.

    Args:
        file: the same file, open for reading bytes.
        place: as `Record.place`.
    """
    file.seek(place[0])
    return json.loads(file.read(place[1] - place[0]))


class _Text:
    """The file as text, of which a piece is in memory."""

    def __init__(self, path: Path, file: io.BufferedIOBase) -> None:
        self.path, self.file = path, file
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.json = json.JSONDecoder(object_pairs_hook=self.object)
        self.twice: str | None = None
        self.buffer, self.at, self.bytes = "", 0, 0
        self.records = 0
        self.ended = False
        start = file.read(len(codecs.BOM_UTF8))
        if start == codecs.BOM_UTF8:
            self.bytes = len(start)
        else:
            file.seek(0)

    def peek(self, *, last: bool = False) -> str:
        """The next character that is not blank; with ``last``, there must be none."""
        while True:
            blank = _BLANK.match(self.buffer, self.at)
            assert blank is not None
            self.at = blank.end()
            self.bytes += len(blank[0])
            if self.at < len(self.buffer):
                if last:
                    raise self.broken(f"more after the end: {self.buffer[self.at : self.at + 20]!r}")
                return self.buffer[self.at]
            if self.ended and last:
                return ""
            if self.ended:
                raise self.broken("the file ends in the middle; fetch it again")
            self.more()

    def take(self, marks: str) -> str:
        """Take the next character, one of ``marks``."""
        mark = self.peek()
        if mark not in marks:
            raise self.broken(f"expected {' or '.join(marks)}, got {mark!r}")
        self.at += 1
        self.bytes += 1
        return mark

    def value(self) -> tuple[Any, tuple[int, int]]:
        """Take a whole value, and where it stood."""
        self.peek()
        piece = _PIECE
        while True:
            self.twice = None
            try:
                value, end = self.json.raw_decode(self.buffer, self.at)
            except json.JSONDecodeError as error:
                # Cut off by the end of the piece, or broken: only more text can tell, and each time it is
                # twice as much, so that a long record costs no more than a few readings.
                if self.ended:
                    raise self.broken(str(error)) from None
                if piece >= LONGEST:
                    raise self.broken(f"{error}, or a record of more than {LONGEST:,} bytes") from None
                self.more(piece)
                piece *= 2
                continue
            except (RecursionError, ValueError) as error:  # brackets too deep, a number of too many digits
                raise self.broken(str(error)) from None
            # A number near the end of the piece may go on behind it: "1" of "1.5", "1" of "1e5".
            cut = not isinstance(value, (dict, list, str)) and len(self.buffer) - end < _TAIL
            if cut and not self.ended:
                self.more()
                continue
            start = self.bytes
            self.bytes += len(self.buffer[self.at : end].encode())
            self.at = end
            return value, (start, self.bytes)

    def more(self, size: int = 0) -> None:
        """Read on, a piece or at least ``size``; nothing more comes when the file has ended."""
        piece = self.file.read(max(size, _PIECE))
        try:
            text = self.decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            raise self.broken(f"expected UTF-8 ({error.reason})") from None
        self.buffer, self.at = self.buffer[self.at :] + text, 0
        self.ended = not piece

    def object(self, fields: list[tuple[str, Any]]) -> dict[str, Any]:
        """A dictionary, as `json` makes it; remembers a name that was lost."""
        made = dict(fields)
        if len(made) < len(fields) and self.twice is None:
            self.twice = twice([name for name, _ in fields])[0]
        return made

    def broken(self, why: str) -> DataError:
        return DataError(
            f"{self.path}: expected JSON, at byte {self.bytes:,}, after {self.records:,} records: {why}"
        )


def _walk(text: _Text, keys: tuple[str | int, ...], depth: int) -> Iterator[Record]:
    if depth == 0:
        value, place = text.value()
        yield Record(keys, value, place, text.twice)
        return
    named = text.take("{[") == "{"
    closing = "}" if named else "]"
    number = 0
    while text.peek() != closing:
        if number:
            text.take(",")
        key: str | int = number
        if named:
            if text.peek() != '"':
                raise text.broken(f"expected a name in quotation marks, got {text.peek()!r}")
            key = str(text.value()[0])
            text.take(":")
        yield from _walk(text, (*keys, key), depth - 1)
        number += 1
    text.take(closing)
