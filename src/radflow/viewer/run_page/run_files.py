"""A run's files, read into the types of `radflow.viewer.records`.

The stages write these files; the page reads nothing else. A file that is not there is ``None`` (the run had
no such stage), and a value of the wrong kind is an error that names the file and the place in it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from radflow.config import without_folders
from radflow.errors import DataError, MissingFileError
from radflow.viewer.records import Case, Exploration, MetricLog, ReadReport, Results, RftSummary


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """Everything the page is made from. ``None`` stands for a file that this run does not have."""

    folder: Path
    results: Results | None
    log: MetricLog | None
    exploration: Exploration | None
    rft: RftSummary | None
    cases: tuple[Case, ...] | None
    evidence: tuple[ReadReport, ...] | None
    recipe: str | None
    trained_on: int | None = None


def read_run(folder: Path) -> RunFiles:
    """Read the files of one run.

    Raises:
        MissingFileError: when ``folder`` is no folder, or holds nothing that a page could show.
        DataError: when a file cannot be read as what it should be.
    """
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: expected the folder of a run, found none. Check the path.")
    files = RunFiles(
        folder=folder,
        results=_read_json(folder / "results.json", Results),
        log=read_log(folder / "metrics.jsonl"),
        exploration=_read_json(folder / "exploration" / "summary.json", Exploration),
        rft=_read_json(folder / "rft" / "summary.json", RftSummary),
        cases=_read_json(folder / "evaluation" / "cases.json", tuple[Case, ...]),
        evidence=_read_json(folder / "evaluation" / "evidence.json", tuple[ReadReport, ...]),
        recipe=_read_recipe(folder / "recipe.toml"),
        trained_on=_count_training(folder / "prepare" / "studies.jsonl"),
    )
    if not any((files.results, files.log, files.exploration, files.cases)):
        raise MissingFileError(
            f"{folder}: expected results.json or metrics.jsonl of a run, found neither. "
            "Run `radflow run RECIPE.toml` first."
        )
    return files


def read_log(path: Path) -> MetricLog | None:
    """Read ``metrics.jsonl``, or return ``None`` where there is none.

    A last line that was cut off (the run was killed, or is still writing) is left out.

    Raises:
        DataError: when another line is no JSON object with a ``stage`` and a whole ``step``.
    """
    if not path.is_file():
        return None
    text = _read_text(path)
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            lines.append(_log_line(json.loads(line)))
        except ValueError as error:
            if number == text.count("\n") + 1:
                break
            raise DataError(f"{path}, line {number}: {error}. Mend or delete the line.") from None
    return MetricLog(lines=tuple(lines))


def _log_line(line: object) -> Mapping[str, Any]:
    if not isinstance(line, dict):
        raise ValueError(f"expected a JSON object, got {type(line).__name__}")
    if not isinstance(line.get("stage"), str) or not isinstance(line.get("step"), int):
        raise ValueError('expected "stage" (a string) and "step" (a whole number)')
    return line


def _read_json(path: Path, kind: Any) -> Any:
    """Read ``path`` as ``kind``, or return ``None`` where there is no such file."""
    if not path.is_file():
        return None
    try:
        return TypeAdapter(kind).validate_python(json.loads(_read_text(path)))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}: expected JSON, got {error.msg.lower()}. Run the stage again."
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        raise DataError(
            f"{path}, at {place}: {first['msg'].lower()}, got {first['input']!r:.60}. Run the stage again."
        ) from None


def _read_recipe(path: Path) -> str | None:
    """Return the recipe as written, without the way to folders, after checking that it is TOML."""
    if not path.is_file():
        return None
    text = _read_text(path)
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path}: expected TOML, got: {error}. Mend the recipe.") from None
    return without_folders(text)


def _count_training(path: Path) -> int | None:
    """Return the number of training studies; a manifest can be large, so its lines are not parsed."""
    if not path.is_file():
        return None
    with path.open("rb") as lines:
        return sum(b'"split": "train"' in line for line in lines)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text, got byte {error.start} that is none.") from None
