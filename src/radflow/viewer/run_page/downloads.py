"""What the page offers to download: its table as CSV, its cases as CSV, and all of it as JSON.

Each is a data URI inside the page, so that a page which was moved or sent on still has its numbers.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from radflow.tables.writing import csv_writer
from radflow.viewer.records import Case, Interval, Results
from radflow.viewer.run_page.run_files import RunFiles


@dataclass(frozen=True)
class _Whole:
    results: Results | None
    cases: tuple[Case, ...]


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file inside the page."""

    name: str
    text: str
    uri: str


def downloads(files: RunFiles, title: str) -> list[Download]:
    """Return the files that this run's page can offer; their names begin with its title."""
    opening = re.sub(r"[^\w.-]+", "-", title).strip("-").lower()
    found = []

    def add(name: str, text: str, kind: str, content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        uri = f"data:{kind};charset=utf-8;base64,{base64.b64encode(data).decode('ascii')}"
        found.append(Download(name=f"{opening}-{name}", text=text, uri=uri))

    if files.results:
        add("results.csv", "table (CSV)", "text/csv", _csv(_result_rows(files.results)))
    if files.cases:
        add("cases.csv", "cases (CSV)", "text/csv", _csv(_case_rows(files.cases)))
    if found:
        whole = TypeAdapter(_Whole).dump_json(
            _Whole(files.results, files.cases or ()), exclude={"cases": {"__all__": {"images"}}}
        )  # NaN as null
        add("run.json", "both (JSON)", "application/json", whole)
    return found


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
