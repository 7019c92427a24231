"""``results.json``: what an evaluation measured, in the shape other people's scripts read.

    {"systems": {name: {metric: {"mean", "low", "high"}}},
     "gain": {metric: {"mean", "low", "high"}},        RadFlow minus SFT, paired
     "gain_over": {control: {metric: {...}}},          RadFlow minus each control, likewise
     "falls": {control: {metric: {...}}},              a system minus itself on other images, likewise
     "cases": N, "images": "drawn" | "real", "seconds": {stage: s},
     "shuffled": {metric: {"true", "shuffled", "fall": {"mean", "low", "high"}}},
     "drift": {system: {"positives", "words", "distinct", "most_frequent"}},
     ...}

The first five keys are always there. `Results` is the one declaration: the evaluation writes it, and reads it
strictly; the page reads whatever a run has left of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from radflow.errors import DataError, MissingFileError
from radflow.evaluation.intervals import Interval, Number
from radflow.files import read_json, write_json

_REQUIRED = ("systems", "gain", "cases", "images", "seconds")


@dataclass(frozen=True, kw_only=True)
class ShuffledImages:
    """One metric with the right images, with shuffled images, and the paired fall."""

    true: Interval
    shuffled: Interval
    fall: Interval


@dataclass(frozen=True, kw_only=True)
class Results:
    """What an evaluation measured; metrics by their names in :data:`radflow.metrics.METRICS`.

    Attributes:
        systems: system to metric to interval; besides metrics, ``reward`` and ``reward/<term>``.
        gain: metric to the paired difference RadFlow minus SFT.
        gain_over: the same against the template, and against each control trained with RFT's compute.
        falls: control on other images (``radflow-noise``) to metric to what they cost, paired.
        cases: how many studies were scored.
        images: whether the pictures were drawn by radflow or real.
        seconds: stage to wall time.
        shuffled: the shuffled-images control, by metric.
        drift: system to figures of :class:`radflow.evaluation.drift.Drift`.
        name: of the run.
        seed: of the run.
        modality: of all studies.
        split: that was scored.
        decoding: how the reports were decoded, in words.
        warnings: what a reader of the table must know.
        date: of the evaluation.
        versions: package to version.
        labels: metric to its name as printed, with the model behind the number.
        higher_is_better: metric to its direction.
    """

    systems: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    gain: Mapping[str, Interval] = field(default_factory=dict)
    gain_over: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    falls: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    cases: Annotated[int, Field(strict=True, ge=0)] | None = None
    images: Literal["drawn", "real"] | None = None
    seconds: Mapping[str, Number] = field(default_factory=dict)
    shuffled: Mapping[str, ShuffledImages] = field(default_factory=dict)
    drift: Mapping[str, Mapping[str, Number]] = field(default_factory=dict)
    name: str | None = None
    seed: int | None = None
    modality: str | None = None
    split: str = "test"
    decoding: str = "greedy"
    warnings: tuple[str, ...] = ()
    date: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)


def write_results(path: Path, results: Results) -> None:
    """Write ``results.json`` atomically.

    Raises:
        DataError: a figure is not finite, or not of the schema; nothing is written.
        NotWritableError: the folder cannot be written.
    """
    record = asdict(results)
    parse_results(record, where=str(path))
    write_json(path, record)


def read_results(path: Path) -> Results:
    """Read and check ``results.json``.

    Raises:
        MissingFileError: no such file.
        DataError: not JSON, or not of the schema; names the place.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: expected a results.json, found none. Run the evaluation first.")
    return parse_results(read_json(path), where=str(path))


def parse_results(record: Any, *, where: str = "results") -> Results:
    """Check a decoded ``results.json``.

    Raises:
        DataError: not of the schema; names the place.

    >>> record = {"systems": {}, "gain": {}, "cases": 3, "images": "drawn", "seconds": {"sft": 106}}
    >>> parse_results(record).seconds
    {'sft': 106.0}
    """
    try:
        results = TypeAdapter(Results).validate_python(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{where}: {place}: {first['msg'].lower()}, got {first['input']!r:.60}") from None
    for key in _REQUIRED:
        if record.get(key) is None:
            raise DataError(f"{where}: expected the keys {', '.join(_REQUIRED)}; {key} is missing.")
    for place, value in _figures(asdict(results)):
        if not math.isfinite(value):
            raise DataError(f"{where}: {place}: expected a finite number, got {value!r}")
    for place, interval in _intervals(results):
        if interval.low > interval.high:
            raise DataError(f"{where}: {place}: expected low <= high, got {interval.low} and {interval.high}")
    return results


def _figures(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _figures(inner, f"{place}.{key}" if place else key)


def _intervals(results: Results) -> Iterator[tuple[str, Interval]]:
    groups = {f"systems.{name}": found for name, found in results.systems.items()}
    groups |= {"gain": results.gain}
    groups |= {f"gain_over.{name}": found for name, found in results.gain_over.items()}
    groups |= {f"falls.{name}": found for name, found in results.falls.items()}
    groups |= {f"shuffled.{name}": vars(found) for name, found in results.shuffled.items()}
    for place, found in groups.items():
        for name, interval in found.items():
            yield f"{place}.{name}", interval
