"""The scores that tables are made of: read from the runs of cells, kept as a file, pooled from such files.

OUT/scores.jsonl.xz     a line per cell and system: of each test study its id, its patient, a fingerprint of
                        the reference, its metrics and what its reports assert; no word of a report
"""

from __future__ import annotations

import lzma
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from radflow.ablation.plan import Plan, Task, identity, needed
from radflow.ablation.statistics import SeedScores
from radflow.errors import DataError
from radflow.evaluation.files.labels import Asserted
from radflow.evaluation.files.scores import MetricFacts, SystemScores, read_scores
from radflow.evaluation.results import read_results
from radflow.files import open_regular, read_jsonl, write_atomic
from radflow.metrics.naming import CORPUS
from radflow.workspace import fingerprint

KEPT = "scores.jsonl.xz"
"""In an ablation's folder."""
Scores = Mapping[tuple[str, str], SeedScores]
"""`radflow.ablation.plan.identity` of a cell and the name of a system, to its scores in that cell."""
_DIGITS = 6
"""Decimals of a score, so that those of a file and of a run give the same tables."""
_MOST = 2**29
"""Bytes that a file may unpack to: scores of a hundred thousand studies by hundred systems."""
_SAID = ("findings", "impression", "report")


def read_cells(plan: Plan, failures: Mapping[str, str], pooled: Scores) -> dict[tuple[str, str], SeedScores]:
    """Read every system of the cells that have finished, and add what is pooled.

    Args:
        plan: of the ablation.
        failures: why a task has no result, by its key.
        pooled: scores of cells that ran elsewhere; those that also ran here are read here.

    Raises:
        DataError: a file of a finished cell is not as radflow writes it.
    """
    found = dict(pooled)
    for task in {task.key: task for task in plan.cells.values()}.values():
        if task.key not in failures:
            found |= _read_cell(task)
    return found


def left(plan: Plan, pooled: Scores) -> Plan:
    """The plan without the cells of which every row has its scores."""
    systems = {row.title: row.system for row in plan.definition.rows}
    lacking = {
        task.key
        for (_, row, _), task in plan.cells.items()
        if (identity(task.recipe), systems[row]) not in pooled
    }
    cells = {cell: task for cell, task in plan.cells.items() if task.key in lacking}
    return replace(plan, cells=cells, tasks=tuple(needed(cells.values())))


def _read_cell(task: Task) -> dict[tuple[str, str], SeedScores]:
    results = read_results(task.folder / "results.json")
    made = f"{results.images} images; decoding: {results.decoding}"
    critical, known = {}, {}
    for row in read_jsonl(task.folder / "prepare" / "studies.jsonl"):
        if row["split"] == "test":
            study = str(row["study_id"])
            critical[study] = bool(row.get("critical"))
            known[study] = study, str(row["patient_id"]), fingerprint([row.get(name, "") for name in _SAID])
    found = {}
    for path in sorted((task.folder / "evaluation" / "scores").glob("*.jsonl")):
        scores = read_scores(path)
        rounded = {
            study: {name: round(value, _DIGITS) for name, value in values.items()}
            for study, values in scores.values.items()
        }
        found[identity(task.recipe), path.stem] = SeedScores(
            scores=replace(scores, values=rounded),
            studies=tuple(known[study] for study in rounded),
            critical=tuple(critical[study] for study in rounded),
            made=made,
        )
    return found


# ---- in a file ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Line:
    """Of N studies; ``None`` where a metric skipped one. Reports assert places of ``observations``."""

    cell: str
    system: str
    made: str
    about: dict[str, str]
    metrics: dict[str, MetricFacts]
    studies: list[tuple[str, str, str, bool]]
    values: dict[str, list[float | None]]
    observations: list[str]
    asserted: list[tuple[list[int], list[int]]]

    def __post_init__(self) -> None:
        counts = {len(column) for column in self.values.values()} | {len(self.studies)}
        if len(counts) > 1 or len(self.asserted) not in (0, len(self.studies)):
            raise ValueError("expected as many values as studies")
        places = {place for both in self.asserted for side in both for place in side}
        if not places <= set(range(len(self.observations))):
            raise ValueError("expected places of observations that are named")


_LINES = TypeAdapter(_Line)


def write_kept(path: Path, scores: Scores) -> None:
    """Write the file; the same scores give the same bytes.

    Raises:
        NotWritableError: the folder cannot be written.
    """
    lines = (_LINES.dump_json(_as_line(*key, one)) + b"\n" for key, one in sorted(scores.items()))
    write_atomic(path, lzma.compress(b"".join(lines)))


def read_kept(paths: Iterable[Path]) -> dict[tuple[str, str], SeedScores]:
    """Read files of `write_kept`.

    Raises:
        DataError: there is no such file, or it is another; names file and line.
    """
    found: dict[tuple[str, str], SeedScores] = {}
    for path in paths:
        for number, text in enumerate(_unpacked(path).splitlines(), start=1):
            line = _read_line(text, f"{path}, line {number}")
            found[line.cell, line.system] = _from_line(line)
    return found


def _unpacked(path: Path) -> bytes:
    try:
        with open_regular(path) as packed, lzma.open(packed) as file:
            content = file.read(_MOST + 1)
    except (OSError, EOFError, lzma.LZMAError) as error:
        said = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: expected the {KEPT} of an ablation, got {said}") from None
    if len(content) > _MOST:
        raise DataError(
            f"{path}: expected the {KEPT} of an ablation, got more than {_MOST:,} bytes of scores"
        )
    return content


def _read_line(text: bytes, where: str) -> _Line:
    try:
        return _LINES.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        said = ": ".join(part for part in (".".join(map(str, first["loc"])), first["msg"]) if part)
        raise DataError(f"{where}: expected a cell's scores, got {said}") from None


def _as_line(cell: str, system: str, one: SeedScores) -> _Line:
    scores = one.scores
    said = [scores.asserted[study] for study in scores.values] if scores.asserted else []
    observations = sorted({name for both in said for side in both for name in side})

    def places(side: frozenset[str]) -> list[int]:
        return [at for at, name in enumerate(observations) if name in side]

    return _Line(
        cell=cell,
        system=system,
        made=one.made,
        about=dict(scores.about),
        metrics=dict(scores.metrics),
        studies=[(*study, critical) for study, critical in zip(one.studies, one.critical, strict=True)],
        values={
            name: [_known(row.get(name, math.nan)) for row in scores.values.values()]
            for name in scores.metrics
            if name not in CORPUS
        },
        observations=observations,
        asserted=[(places(both.generated), places(both.reference)) for both in said],
    )


def _from_line(line: _Line) -> SeedScores:
    names = [study for study, *_ in line.studies]
    values: dict[str, dict[str, float]] = {study: {} for study in names}
    for metric, column in line.values.items():
        for study, value in zip(names, column, strict=True):
            values[study][metric] = math.nan if value is None else value
    asserted = {
        study: Asserted(*(frozenset(line.observations[at] for at in side) for side in both))
        for study, both in zip(names, line.asserted, strict=bool(line.asserted))
    }
    scores = SystemScores(
        system=line.system,
        path=Path(line.cell, line.system),
        values=values,
        patients={study: patient for study, patient, *_ in line.studies},
        metrics=line.metrics,
        about=line.about,
        asserted=asserted,
    )
    return SeedScores(
        scores=scores,
        studies=tuple((study, patient, said) for study, patient, said, _ in line.studies),
        critical=tuple(critical for *_, critical in line.studies),
        made=line.made,
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
