"""``results.json``: what an evaluation measured, in the shape other people's scripts read.

    {"systems": {name: {metric: {"mean", "low", "high"}}},
     "gain": {metric: {"mean", "low", "high"}},        RadFlow minus SFT, paired
     "cases": N, "images": "drawn" | "real", "seconds": {stage: s},
     "shuffled": {metric: {"true", "shuffled", "fall": {"mean", "low", "high"}}},
     "drift": {system: {"positives", "words", "distinct", "most_frequent"}},
     ...}

The first five keys are always there. Others (versions, date, warnings) are kept as they are in ``extra``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from radflow.errors import DataError, MissingFileError
from radflow.evaluation.intervals import Interval
from radflow.files import read_json, write_json

Images = Literal["drawn", "real"]
Value = TypeVar("Value")

_REQUIRED = ("systems", "gain", "cases", "images", "seconds")
_OPTIONAL = ("shuffled", "drift")


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
        cases: how many studies were scored.
        images: whether the pictures were drawn by radflow or real.
        seconds: stage to wall time.
        shuffled: the shuffled-images control, by metric.
        drift: system to the figures of :class:`radflow.evaluation.drift.Drift`.
        extra: anything else, as JSON; written beside the rest.
    """

    systems: Mapping[str, Mapping[str, Interval]]
    gain: Mapping[str, Interval]
    cases: int
    images: Images
    seconds: Mapping[str, float]
    shuffled: Mapping[str, ShuffledImages] = field(default_factory=dict)
    drift: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


def write_results(path: Path, results: Results) -> None:
    """Write ``results.json`` atomically.

    Raises:
        DataError: a figure is not finite, or ``extra`` has a key of the schema; nothing is written.
        NotWritableError: the folder cannot be written.
    """
    written = asdict(results)
    extra = written.pop("extra")
    if clash := sorted(set(extra) & set(written)):
        raise DataError(f"{path}: expected extra keys beside the schema's, got {clash[0]!r} in extra.")
    record = {**written, **extra}
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
    record = _object(record, where)
    for key in _REQUIRED:
        if key not in record:
            raise DataError(f"{where}: expected the keys {', '.join(_REQUIRED)}; {key} is missing.")
    cases, images = record["cases"], record["images"]
    if not isinstance(cases, int) or isinstance(cases, bool) or cases < 0:
        raise DataError(f"{where}: expected cases to be a count, got {cases!r}.")
    if images not in get_args(Images):
        raise DataError(f"{where}: expected images to be 'drawn' or 'real', got {images!r}.")
    return Results(
        systems=_mapping(record["systems"], f"{where}: systems", _intervals),
        gain=_intervals(record["gain"], f"{where}: gain"),
        cases=cases,
        images=images,
        seconds=_mapping(record["seconds"], f"{where}: seconds", _number),
        shuffled=_mapping(record.get("shuffled", {}), f"{where}: shuffled", _shuffled),
        drift=_mapping(record.get("drift", {}), f"{where}: drift", _numbers),
        extra={key: value for key, value in record.items() if key not in (*_REQUIRED, *_OPTIONAL)},
    )


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object, got {value!r}.")
    return value


def _mapping(value: Any, where: str, read: Callable[[Any, str], Value]) -> dict[str, Value]:
    return {key: read(item, f"{where}.{key}") for key, item in _object(value, where).items()}


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{where}: expected a finite number, got {value!r}.")
    return float(value)


def _numbers(value: Any, where: str) -> dict[str, float]:
    return _mapping(value, where, _number)


def _interval(value: Any, where: str) -> Interval:
    numbers = _numbers(value, where)
    if set(numbers) != {"mean", "low", "high"}:
        raise DataError(
            f"{where}: expected mean, low and high; got {', '.join(sorted(numbers)) or 'nothing'}."
        )
    if numbers["low"] > numbers["high"]:
        raise DataError(f"{where}: expected low <= high, got {numbers['low']} and {numbers['high']}.")
    return Interval(**numbers)


def _intervals(value: Any, where: str) -> dict[str, Interval]:
    return _mapping(value, where, _interval)


def _shuffled(value: Any, where: str) -> ShuffledImages:
    parts = _intervals(value, where)
    if set(parts) != {"true", "shuffled", "fall"}:
        raise DataError(f"{where}: expected true, shuffled and fall; got {', '.join(sorted(parts))}.")
    return ShuffledImages(**parts)
