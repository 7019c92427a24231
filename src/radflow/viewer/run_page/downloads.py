"""What the page offers to download: its table as CSV, its cases as CSV, and all of it as JSON.

Each is a data URI inside the page, so that a page which was moved or sent on still has its numbers.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from radflow.tables.writing import csv_writer
from radflow.viewer.records import Case, Interval, Results
from radflow.viewer.run_page.run_files import RunFiles

_NO_FILES = ("images",)
"""Keys left out: a file's place on this machine says nothing elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file inside the page."""

    name: str
    text: str
    uri: str


def downloads(files: RunFiles) -> list[Download]:
    """Return the files that this run's page can offer."""
    found = []
    if files.results:
        found.append(_download("results.csv", "table (CSV)", "text/csv", _csv(_result_rows(files.results))))
    if files.cases:
        found.append(_download("cases.csv", "cases (CSV)", "text/csv", _csv(_case_rows(files.cases))))
    if found:
        whole = {"results": files.results and asdict(files.results), "cases": files.cases or ()}
        text = json.dumps(_plain(whole), ensure_ascii=False, allow_nan=False)
        found.append(_download("run.json", "both (JSON)", "application/json", text))
    return found


def _download(name: str, text: str, kind: str, content: str) -> Download:
    encoded = base64.b64encode(content.encode()).decode("ascii")
    return Download(name=name, text=text, uri=f"data:{kind};charset=utf-8;base64,{encoded}")


def _result_rows(results: Results) -> Iterable[list[Any]]:
    yield ["metric", "system", "mean", "low", "high"]
    gains = {"radflow − sft": results.gain} if results.gain else {}
    for system, metrics in {**results.systems, **gains}.items():
        for metric, found in metrics.items():
            yield [metric, system, *_ends(found)]


def _ends(found: Interval) -> list[float | str]:
    return [value if math.isfinite(value) else "" for value in (found.mean, found.low, found.high)]


def _case_rows(cases: Iterable[Case]) -> Iterable[list[Any]]:
    yield ["study_id", "critical", "system", "reward", "text"]
    for case in cases:
        critical = "" if case.critical is None else str(case.critical).lower()
        yield [case.study_id, critical, "reference", "", case.reference.text]
        for system, report in case.systems.items():
            reward = report.reward if math.isfinite(report.reward) else ""
            yield [case.study_id, critical, system, reward, report.text]


def _csv(rows: Iterable[list[Any]]) -> str:
    text = io.StringIO()
    write = csv_writer(text)
    for row in rows:
        write(row)
    return text.getvalue()


def _plain(value: Any) -> Any:
    """JSON without NaN and without the places of files."""
    if isinstance(value, Case):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if key not in _NO_FILES}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
