"""Reports as people and programs write them: ``sections.jsonl``, most written before the parser read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from radflow.reports import parse_report

ROWS = [
    json.loads(line) for line in Path(__file__).with_name("sections.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['kind']}: {row['text'][:40]!r}")
def test_sections(row: dict[str, str | None]) -> None:
    report = parse_report(str(row["text"]))
    assert (report.findings, report.impression) == (row["findings"], row["impression"])
    assert report.text == row["text"]


@pytest.mark.parametrize(
    "text", ["Dr. XXXX<XXXX>technologist.", "A nodule <5 mm and >2 mm.", "Clear<BR>lungs."]
)
def test_marks_that_are_no_layout_stay(text: str) -> None:
    assert parse_report(f"FINDINGS: {text} IMPRESSION: Normal.").findings == text


@pytest.mark.parametrize(
    "unit",
    [
        "<b>",
        "<b>Findings",
        "<a ",
        '{"a":',
        '{"findings": "a",',
        'a:"',
        "'a': 'b',",
        "| a | b |\n",
        "&lt;",
        "[{",
    ],
)
@pytest.mark.parametrize("before", ["", "<p></p><p>", '{"findings": "a", '])
def test_long_layouts_end(unit: str, before: str) -> None:
    assert not parse_report(before + unit * (50_000 // len(unit))).sectioned
