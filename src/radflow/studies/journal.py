"""The journal of a preparation: what became of each study so far, and from it the manifest and the account.

The file ``<manifest>.part`` has a head line with the fingerprint of what is prepared, and then one JSON
object a study, in the order of the source. A last line without its end, which a kill leaves, does not count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from radflow.errors import DataError, NotWritableError
from radflow.files import atomic_file
from radflow.studies.manifest import Rejected
from radflow.studies.prepare import PrepareAccount
from radflow.studies.study import Study
from radflow.studies.tally import Entry, Tally, printable


class Journal:
    """An open journal; a context manager, inside which it takes new entries."""

    def __init__(self, out: Path, inputs: str) -> None:
        """Open the journal of the manifest ``out``, or begin it where there is none for the same inputs."""
        self.out = out
        self.path = out.with_name(f"{out.name}.part")
        self.done = 0
        self._head = json.dumps({"inputs": inputs}).encode() + b"\n"
        self._file: BinaryIO | None = None
        try:
            self._mend()
        except OSError as error:
            raise self._not_writable(error) from None

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
        try:
            self._file = self.path.open("ab")
        except OSError as error:
            raise self._not_writable(error) from None
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
        """Add entries; they are with the operating system when this returns, so a kill does not lose them."""
        assert self._file is not None
        try:
            for entry in entries:
                self._file.write(json.dumps(_sparse(entry), ensure_ascii=False).encode() + b"\n")
                self.done += 1
            self._file.flush()
        except OSError as error:
            raise self._not_writable(error) from None

    def finish(self, source: str, notes: tuple[str, ...]) -> PrepareAccount:
        """Write the manifest and the list of what was left out, remove the journal, and give the account.

        Raises:
            DataError: nothing was kept.
        """
        tally = Tally()
        with (
            atomic_file(self.out.with_suffix(".rejected.jsonl")) as rejected,
            atomic_file(self.out) as manifest,
        ):
            for entry in self._entries():
                tally.add(entry)
                if entry.row is not None:
                    manifest.write(json.dumps(entry.row, ensure_ascii=False, allow_nan=False) + "\n")
                else:
                    line = {"study": entry.study, "reason": entry.reason}
                    rejected.write(json.dumps(line, ensure_ascii=False) + "\n")
            if not tally.kept:
                self.path.unlink()  # whoever mends the data set begins anew
                raise DataError(tally.nothing_kept(source))
        self.path.unlink()
        return tally.account(source, self.out, notes)

    def _mend(self) -> None:
        """Begin anew unless the file is of the same inputs; cut off a line without an end."""
        if self.path.exists():
            with self.path.open("rb+") as file:
                if file.readline() == self._head:
                    file.truncate(_after_the_last_line(file))
                    return
        self.path.write_bytes(self._head)

    def _entries(self) -> Iterator[Entry]:
        with self.path.open("rb") as file:
            next(file)
            for number, line in enumerate(file, start=2):
                try:
                    fields = json.loads(line)
                except ValueError as error:
                    raise DataError(
                        f"{self.path}:{number}: expected a JSON object, got {error}; delete the file"
                    ) from None
                for name in ("pictures", "labels"):
                    fields[name] = tuple(fields.get(name, ()))
                yield Entry(**fields)

    def _not_writable(self, error: OSError) -> NotWritableError:
        return NotWritableError(
            f"{self.path}: cannot be written ({error.strerror or error}); choose another place"
        )


def _id(item: Study | Rejected) -> str:
    return item.study_id if isinstance(item, Study) else str(item.study)


def _sparse(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in asdict(entry).items() if value}


def _after_the_last_line(file: BinaryIO, step: int = 2**16) -> int:
    """Where the last line that has an end ends."""
    end = file.seek(0, 2)
    while end:
        start = max(0, end - step)
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0
