"""A run's folder: resolved recipe, stage markers, seeds, metrics, resume, one writer at a time.

    run/
      recipe.toml            every value that was used
      run.log                plain lines of what happened
      metrics.jsonl          one JSON object per step
      stages/<stage>.json    a stage that is done: fingerprint of its inputs, checksums of its files, seconds
      <stage>/...            what the stage made

A stage is skipped when its marker holds the fingerprint of the inputs it would get now, and its files are
unchanged. Files appear whole or not at all (`radflow.folders`), so a run killed at any moment finds
only finished work.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from radflow.config import Recipe, dump_recipe
from radflow.errors import DataError, InUseError, NotWritableError
from radflow.files import append_line, read_json, try_lock, write_atomic, write_json, writing
from radflow.folders import damaged, digest, digests, is_piece, sweep, write_piece

SCRATCH = ("checkpoint", "base", "predictions", "scored")
"""Folders of a stage that are not needed once it is done."""
_NAMED = 3
_log = logging.getLogger(__name__)


def derive_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for one purpose, independent of the order in which seeds are asked for.

    >>> derive_seed(0, "sft") == derive_seed(0, "sft") != derive_seed(0, "rft")
    True
    """
    digest = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def fingerprint(value: Any) -> str:
    """A short hash of anything JSON can hold; the order of keys does not matter.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_fingerprint(path: Path) -> str:
    """A short hash of a file's bytes."""
    return digest(path)[:16]


class Hold:
    """A place that only this process writes to, until it is released or dropped or the process ends.

    The lock is the kernel's, so a process that is killed holds nothing. In one process a place can be held
    more than once: whoever makes a second `Workspace` of a run in a notebook is the same writer. Where files
    cannot be locked (NFS without its lock service), that is logged and the work goes on.

    Args:
        place: a folder, made where it is missing and locked by its ``.radflow.lock``; or a file, locked by
            ``.<name>.lock`` beside it.
        folder: which of the two it is.

    Raises:
        InUseError: another process writes there; the error says which.
        NotWritableError: the folder cannot be made or written.
    """

    _ours: ClassVar[WeakValueDictionary[Path, Hold]] = WeakValueDictionary()

    def __init__(self, place: Path, *, folder: bool = True) -> None:
        self._handle: int | None = None
        place = place.absolute()
        self._lock = place / ".radflow.lock" if folder else place.with_name(f".{place.name}.lock")
        self._shares = self._ours.get(self._lock)
        if self._shares is not None and self._shares._handle is not None:
            return
        with writing(self._lock.parent):
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            self._handle = self._locked(place)
        self._pid = os.getpid()
        self._ours[self._lock] = self

    def _locked(self, place: Path) -> int:
        """Open and lock the file, and write into it who this is."""
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            locked = try_lock(handle)
            if locked is False:
                said = os.read(handle, 4096).decode(errors="replace").strip() or "nobody says which"
                raise InUseError(
                    f"{place}: another process is writing here ({said}); wait until it has ended, or "
                    "choose another --out"
                )
            if locked and os.fstat(handle).st_nlink:
                os.truncate(handle, 0)
                os.write(handle, f"{_who()}\n".encode())
                return handle
        except BaseException:
            os.close(handle)
            raise
        if locked:  # of a process that has just ended and removed the file
            os.close(handle)
            return self._locked(place)
        _log.warning(
            "%s: this file system has no locks; see to it that no other process writes here", place.parent
        )
        return handle

    def release(self) -> None:
        """Let others write there."""
        if self._handle is not None:
            if self._pid == os.getpid():  # and not in a child that was forked
                self._lock.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = None

    __del__ = release

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _who() -> str:
    """This process, in words for whoever finds a place in use."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    command = shlex.join([name, *sys.argv[1:]])
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"host {platform.node()}, process {os.getpid()}, since {since}: {command}"


@contextmanager
def bar(what: str, total: int, errors: Console, *, shown: bool = True) -> Generator[Callable[[int], None]]:
    """A progress bar on a terminal, nothing elsewhere; call the function it yields with each advance."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not (shown and errors.is_terminal)
    with Progress(*columns, console=errors, transient=True, disable=hidden) as progress:
        task = progress.add_task(what, total=total)
        yield lambda advance: progress.update(task, advance=advance)


class Workspace:
    """The folder of one run.

    Args:
        root: the folder; made when missing.
        recipe: written to ``recipe.toml`` with every default.
        echo: called with each line that also goes to ``run.log``.
        writes: false in all but the first of several processes; the others leave logs and markers alone.
        on_log: called with the stage, the step and the figures of each line of ``metrics.jsonl``.

    Raises:
        InUseError: another process writes to the folder; nothing is touched.
        NotWritableError: the folder cannot be made or written.
    """

    def __init__(
        self,
        root: Path,
        recipe: Recipe,
        *,
        echo: Callable[[str], None] | None = None,
        writes: bool = True,
        on_log: Callable[[str, int, Mapping[str, Any]], None] | None = None,
    ) -> None:
        self.root = root.absolute()
        self.recipe = recipe
        self._echo = echo
        self._writes = writes
        self._on_log = on_log
        if not writes:
            return
        try:
            self._hold = Hold(self.root)
            sweep(self.root, deep=True)
            write_atomic(self.root / "recipe.toml", dump_recipe(recipe))
        except InUseError:
            raise
        except OSError as error:
            raise NotWritableError(
                f"{self.root}: cannot write the run's folder ({error.strerror or error}); "
                "choose another with --out"
            ) from None

    def path(self, *parts: str) -> Path:
        """A path inside the run's folder."""
        return self.root.joinpath(*parts)

    def seed(self, *names: str | int) -> int:
        """The seed for one purpose of this run."""
        return derive_seed(self.recipe.seed, *names)

    def say(self, line: str) -> None:
        """Write a line to ``run.log`` with the time, and pass it on."""
        if not self._writes:
            return
        append_line(self.path("run.log"), f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}")
        if self._echo is not None:
            self._echo(line)

    @contextmanager
    def track(self, what: str, total: int) -> Generator[Callable[[int], None]]:
        """Show a progress bar on a terminal while the block runs; the function it yields advances it."""
        with bar(what, total, Console(stderr=True), shown=self._echo is not None) as advance:
            yield advance

    def write_pieces(
        self,
        doing: str,
        folder: Path,
        items: int,
        rows_of: Callable[[slice], Iterable[Mapping[str, Any]]],
        *,
        size: int,
        turn: tuple[int, int] = (0, 1),
    ) -> None:
        """Write what follows from many items, a file for every few; what an earlier try finished stays.

        `radflow.folders.read_pieces` reads them, when all processes are done.

        Args:
            doing: for the progress bar.
            folder: of the files.
            items: how many.
            rows_of: the places of some of them to their rows, each from its own item alone.
            size: items per piece.
            turn: this process and how many there are; they take the pieces in turn.
        """
        (rank, ranks), starts = turn, range(0, items, size)
        with self.track(doing, items) as advance:
            for number, start in list(enumerate(starts))[rank::ranks]:
                path, places = folder / f"{number:05d}.jsonl", slice(start, min(start + size, items))
                if not is_piece(path):
                    write_piece(path, rows_of(places))
                advance((places.stop - start) * ranks)

    # ---- stages ----------------------------------------------------------------------------------------

    def done(self, stage: str, inputs: str) -> bool:
        """Whether the stage finished on exactly these inputs, and its files are unchanged."""
        marker = self._marker(stage)
        return marker.get("inputs") == inputs and "files" in marker and not self.damage(stage)

    def damage(self, stage: str) -> dict[str, str]:
        """Which files of a finished stage are ``missing`` or ``damaged``, by their path in the run."""
        return damaged(self.root, self._marker(stage).get("files", {}))

    def outcome(self, stage: str) -> Any:
        """A hash of the bytes that a finished stage left; ``None`` if it is not done."""
        return self._marker(stage).get("files")

    def begin(self, stage: str, inputs: str) -> None:
        """Start a stage, and remove what an earlier run of it with other inputs left.

        Work that the same inputs left half-finished stays, so that the stage can pick it up; so does what a
        finished stage left, but for the files that are damaged.
        """
        if not self._writes:
            return
        if self._marker(stage).get("inputs") == inputs:
            self._remove_damaged(stage)
        # First of all: a kill in the middle of this must not leave a mark on what is half removed.
        self.path("stages", f"{stage}.json").unlink(missing_ok=True)
        if self._marker(f"{stage}.started").get("inputs") != inputs:
            shutil.rmtree(self.path(stage), ignore_errors=True)
            self.forget_metrics(stage)
            write_json(self.path("stages", f"{stage}.started.json"), {"inputs": inputs})

    def _remove_damaged(self, stage: str) -> None:
        """Remove the damaged files of a finished stage, and say that it is done again."""
        found = self.damage(stage)
        for name in found:
            self.path(name).unlink(missing_ok=True)
        if found:
            named = [f"{name} is {why}" for name, why in list(found.items())[:_NAMED]]
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            self.say(f"{stage}: {', '.join(named)}{more}; the stage is done again where it must be")

    def finish(self, stage: str, inputs: str, seconds: float, *, also: Sequence[str] = ()) -> None:
        """Mark a stage as done, with the seconds that its last attempt took.

        Args:
            stage: which.
            inputs: fingerprint of what it depends on.
            seconds: rounded to hundredths.
            also: files outside of its folder that it wrote, by their path in the run.
        """
        if not self._writes:
            return
        files = {f"{stage}/{name}": value for name, value in digests(self.path(stage), but=SCRATCH).items()}
        files |= {name: digest(self.path(name)) for name in also if self.path(name).is_file()}
        marker = {"inputs": inputs, "seconds": round(seconds, 2), "files": files}
        write_json(self.path("stages", f"{stage}.json"), marker)

    def seconds(self) -> dict[str, float]:
        """Seconds of every finished stage."""
        folder = self.path("stages")
        markers = sorted(folder.rglob("*.json"), key=lambda p: p.stat().st_mtime)
        stages = [p.relative_to(folder).with_suffix("").as_posix() for p in markers]
        found = {stage: self._marker(stage) for stage in stages if not stage.endswith(".started")}
        return {stage: marker["seconds"] for stage, marker in found.items() if "seconds" in marker}

    def _marker(self, name: str) -> dict[str, Any]:
        """What a marker holds; nothing where there is none, or a damaged one: its stage is done again."""
        try:
            marker = read_json(self.path("stages", f"{name}.json"))
        except (FileNotFoundError, DataError):
            return {}
        return marker if isinstance(marker, dict) else {}

    # ---- metrics ---------------------------------------------------------------------------------------

    def log(self, stage: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one line to ``metrics.jsonl``; a figure that does not exist (NaN) is written as null."""
        if not self._writes:
            return
        row: dict[str, Any] = {"stage": stage, "step": step}
        for key, value in values.items():
            row[key] = None if isinstance(value, float) and not math.isfinite(value) else value
        append_line(self.path("metrics.jsonl"), json.dumps(row))
        if self._on_log is not None:
            self._on_log(stage, step, values)

    def forget_metrics(self, stage: str, after: int = -1) -> None:
        """Drop a stage's lines past a step, as a resumed run will write them again.

        A last line that a kill cut short, or a damaged one, is dropped too.
        """
        path = self.path("metrics.jsonl")
        if not self._writes or not path.exists():
            return
        kept = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
                if row["stage"] != stage or row["step"] <= after:
                    kept.append(line)
            except (ValueError, TypeError, KeyError):
                continue
        write_atomic(path, "".join(line + "\n" for line in kept))
