"""A run's folder: resolved recipe, stage markers, seeds, metrics, atomic writes, resume.

    run/
      recipe.toml            every value that was used
      run.log                plain lines of what happened
      metrics.jsonl          one JSON object a step
      stages/<stage>.json    a stage that is done: fingerprint of its inputs, seconds
      <stage>/...            what the stage made

A stage is skipped when its marker holds the fingerprint of the inputs it would now be given. Files appear
whole or not at all, so a run killed at any moment finds only finished work.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from radflow.config import Recipe, dump_recipe
from radflow.errors import DataError, NotWritableError, RadflowError


def derive_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for one purpose, independent of the order in which purposes ask.

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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


@contextmanager
def atomic_file(path: Path, *, mode: int | None = None) -> Generator[TextIO]:
    """Give a UTF-8 text file to fill; it takes the place of ``path`` only when the block ends well.

    Args:
        path: of the file.
        mode: who may read and write it; ``None`` leaves it as it is, 0644 where it is new.

    Raises:
        NotWritableError: the folder cannot be made or written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if mode is None:
                mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
            Path(temporary).chmod(mode)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except RadflowError:
        raise  # the block's own errors, some of which are OSErrors too
    except OSError as error:
        refused = NotWritableError(
            f"{path}: cannot be written ({error.strerror or error}); choose another place"
        )
        refused.strerror = error.strerror  # for callers that say it in their own words
        raise refused from error


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file whole: a reader sees the old content or the new, never half of it.

    Raises:
        NotWritableError: the folder cannot be made or written, or the disk is full.
    """
    with atomic_file(path) as file:
        if isinstance(content, bytes):
            file.buffer.write(content)
        else:
            file.write(content)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented, NaN refused."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a broken file is an error that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected JSON, got {error}; delete it and run the stage again") from None


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, atomically."""
    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSONL file; a broken line is an error that names file and line."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}:{number}: expected a JSON object, got {error}") from None


@contextmanager
def replaced_folder(path: Path) -> Generator[Path]:
    """Give an empty folder to fill; it takes the place of ``path`` only when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    old = path.with_name(f".{path.name}.old")
    try:
        yield fresh
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    fresh.chmod(0o755)
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    fresh.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def settle_folder(path: Path) -> Path:
    """Undo a kill that fell between the two renames of `replaced_folder`, then return ``path``."""
    old = path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():
        old.rename(path)
    return path


class Workspace:
    """The folder of one run.

    Args:
        root: the folder; made when missing.
        recipe: written to ``recipe.toml`` with every default.
        echo: called with each line that also goes to ``run.log``.
        writes: false in all but the first of several processes; the others leave logs and markers alone.

    Raises:
        NotWritableError: the folder cannot be made or written.
    """

    def __init__(
        self,
        root: Path,
        recipe: Recipe,
        *,
        echo: Callable[[str], None] | None = None,
        writes: bool = True,
    ) -> None:
        self.root = root.absolute()
        self.recipe = recipe
        self._echo = echo
        self._writes = writes
        if not writes:
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            write_atomic(self.root / "recipe.toml", dump_recipe(recipe))
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
        with self.path("run.log").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        if self._echo is not None:
            self._echo(line)

    @contextmanager
    def track(self, what: str, total: int) -> Generator[Callable[[int], None]]:
        """Show a progress bar on a terminal while the block runs; call what it gives with each advance."""
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            transient=True,
            disable=self._echo is None or not sys.stderr.isatty(),
            console=Console(stderr=True),
        ) as bars:
            task = bars.add_task(what, total=total)
            yield lambda advance: bars.update(task, advance=advance)

    # ---- stages ----------------------------------------------------------------------------------------

    def done(self, stage: str, inputs: str) -> bool:
        """Whether the stage finished on exactly these inputs."""
        marker = self.path("stages", f"{stage}.json")
        return marker.exists() and read_json(marker)["inputs"] == inputs

    def begin(self, stage: str, inputs: str) -> None:
        """Start a stage: what an earlier run with other inputs left of it is removed.

        Work that the same inputs left half-finished stays, so that the stage can pick it up.
        """
        if not self._writes:
            return
        # First of all: a kill in the middle of this must not leave a mark on what is half removed.
        self.path("stages", f"{stage}.json").unlink(missing_ok=True)
        started = self.path("stages", f"{stage}.started.json")
        if not (started.exists() and read_json(started)["inputs"] == inputs):
            shutil.rmtree(self.path(stage), ignore_errors=True)
            self.forget_metrics(stage)
            write_json(started, {"inputs": inputs})
        self._sweep(stage)

    def _sweep(self, stage: str) -> None:
        """Remove the hidden files and folders that a kill cut off in the middle of writing."""
        for left in self.path(stage).glob(".*"):
            if left.suffix == ".old":  # `settle_folder` may still need it
                continue
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()

    def finish(self, stage: str, inputs: str, seconds: float) -> None:
        """Mark a stage as done, with the seconds that the try which finished it took."""
        if not self._writes:
            return
        write_json(self.path("stages", f"{stage}.json"), {"inputs": inputs, "seconds": round(seconds, 2)})

    def seconds(self) -> dict[str, float]:
        """Seconds of every finished stage."""
        markers = sorted(self.path("stages").glob("*.json"), key=lambda p: p.stat().st_mtime)
        return {p.stem: read_json(p)["seconds"] for p in markers if not p.stem.endswith(".started")}

    # ---- metrics ---------------------------------------------------------------------------------------

    def log(self, stage: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one line to ``metrics.jsonl``; a figure that does not exist (NaN) is written as null."""
        if not self._writes:
            return
        row: dict[str, Any] = {"stage": stage, "step": step}
        for key, value in values.items():
            row[key] = None if isinstance(value, float) and not math.isfinite(value) else value
        with self.path("metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def forget_metrics(self, stage: str, after: int = -1) -> None:
        """Drop a stage's lines past a step, as a resumed run will write them again.

        A last line that a kill cut short is dropped too.
        """
        path = self.path("metrics.jsonl")
        if not self._writes or not path.exists():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            if row["stage"] != stage or row["step"] <= after:
                kept.append(line)
        write_atomic(path, "".join(line + "\n" for line in kept))
