"""The journal of a preparation: what became of each study so far; the manifest and the account come from it.

The file ``<manifest>.part`` has a head line with the fingerprint of what is prepared, and then one line per
study, in the order of the source: the CRC-32 of a JSON object, and the object. A damaged line, or one without
its end, which a kill leaves, does not count, nor does what follows it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from radflow.errors import DataError
from radflow.files import atomic_file, write_jsonl, writing
from radflow.studies.preparing.account import Entry, PrepareAccount
from radflow.studies.study import Rejected, Study

_CHECK = 9  # bytes of a line before its object


class Journal:
    """An open journal; a context manager, inside which it takes new entries."""

    def __init__(self, out: Path, inputs: str, *, resume: bool = True) -> None:
        """Open the journal of the manifest ``out``, or begin it where there is none for the same inputs."""
        self.out = out
        self.path = out.with_name(f"{out.name}.part")
        self.done = 0
        self._head = json.dumps({"inputs": inputs}).encode() + b"\n"
        self._file: BinaryIO | None = None
        with writing(self.path):
            if not resume:
                self.path.unlink(missing_ok=True)
            self._mend()

    def skip_done(self, items: Iterator[Study | Rejected]) -> Iterator[Entry]:
        """Yield what the journal holds, taking the same studies off the front of ``items``.

        Raises:
            DataError: they are not the same: the data set has changed.
        """
        for entry in self._entries():
            item = next(items, None)
            here = None if item is None else printable(_id(item))
            if here != entry.study:
                raise DataError(
                    f"{self.path}: expected {entry.study!r} as study {self.done + 1:,} of the data set, as "
                    f"when this began, got {here!r}: the data set has changed; delete the file to begin again"
                )
            self.done += 1
            yield entry

    def __enter__(self) -> Journal:
        with writing(self.path):
            self._file = self.path.open("ab")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, entries: Iterable[Entry]) -> None:
        """Add entries; the operating system has them when this returns, so a kill does not lose them."""
        assert self._file is not None
        with writing(self.path):
            for entry in entries:
                self._file.write(_line(json.dumps(_sparse(entry), ensure_ascii=False).encode()))
                self.done += 1
            self._file.flush()

    def finish(self, source: str, notes: tuple[str, ...]) -> PrepareAccount:
        """Write the manifest and the list of what was left out, remove the journal, and give the account.

        Raises:
            DataError: nothing was kept.
        """
        account = PrepareAccount(source=source, manifest=self.out)
        with atomic_file(self.out) as manifest:
            for entry in self._entries():
                account.add(entry)
                if entry.row is not None:
                    manifest.write(json.dumps(entry.row, ensure_ascii=False, allow_nan=False) + "\n")
            if not account.kept:
                self.path.unlink()  # a mended data set begins anew
            account.close(notes)
            left_out = self.out.with_suffix(".rejected.jsonl")
            rejected = ({"study": e.study, "reason": e.reason} for e in self._entries() if e.row is None)
            if account.found > account.kept:
                write_jsonl(left_out, rejected)
            else:
                left_out.unlink(missing_ok=True)
        self.path.unlink()
        return account

    def _mend(self) -> None:
        """Begin anew unless the file is of the same inputs; cut off what begins with a damaged line."""
        if self.path.exists():
            with self.path.open("rb+") as file:
                if file.readline() == self._head:
                    file.truncate(_end_of_whole_lines(file))
                    return
        self.path.write_bytes(self._head)

    def _entries(self) -> Iterator[Entry]:
        with self.path.open("rb") as file:
            next(file)
            for line in file:
                fields = json.loads(line[_CHECK:])
                for name in ("pictures", "pixels", "labels", "unsupported"):
                    fields[name] = tuple(fields.get(name, ()))
                yield Entry(**fields)


def printable(text: str) -> str:
    """A text that can be written as UTF-8: half a surrogate pair, as file names and JSON bring it, spelt out.

    >>> printable("CXR1"), printable("CXR" + chr(0xDC80))
    ('CXR1', 'CXR\\\\udc80')
    """
    return text.encode("utf-8", "backslashreplace").decode()


def _id(item: Study | Rejected) -> str:
    return item.study_id if isinstance(item, Study) else str(item.study)


def _sparse(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in asdict(entry).items() if value}


def _line(content: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _end_of_whole_lines(file: BinaryIO) -> int:
    """Where the first line begins, from here on, that is torn or damaged."""
    end = file.tell()
    for line in file:
        if line != _line(line[_CHECK:-1]):
            break
        end += len(line)
    return end
