"""Real reports, written without a header FINDINGS as real archives write them, give their sections back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from radflow.reports import parse_report
from radflow.reports.mimic import parse_mimic
from radflow.studies.phantoms.carotid import draw_carotid_text
from radflow.studies.sources.openi import open_i_reports

Sections = tuple[str, str]
IU_XRAY = Path(__file__).parents[3] / "shared" / "realdata" / "iu_xray"

LAYOUTS: dict[str, str] = {
    "paragraphs": "{findings}\n\nIMPRESSION: {impression}",
    "one line": "{findings} IMPRESSION: {impression}",
    "title": "CHEST, TWO VIEWS - XXXX\n\n{findings}\n\nCONCLUSION:\n{impression}",
    "context": "INDICATION: Cough.\n\nCOMPARISON: XXXX.\n\n{findings}\n\nIMPRESSION: {impression}",
    "final report": "    FINAL REPORT\n HISTORY:  Fever.\n \n {findings}\n \n IMPRESSION:  {impression}\n",
}


def right(parse: Callable, layout: str, reports: list[Sections]) -> int:
    """How many reports give back the sections that they were written from."""
    found = (parse(LAYOUTS[layout].format(findings=f, impression=i)) for f, i in reports)
    return sum(
        (report.findings, report.impression) == pair for report, pair in zip(found, reports, strict=True)
    )


@pytest.fixture(scope="module")
def open_i() -> list[Sections]:
    return [
        (" ".join(r.findings.split()), " ".join(r.impression.split()))
        for r in open_i_reports()
        if r.findings and r.impression
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_open_i(layout: str, open_i: list[Sections]) -> None:
    assert len(open_i) == 3419
    # One holds two impressions, one has a title for findings.
    assert right(parse_report, layout, open_i) == 3417


@pytest.mark.parametrize("layout", ["paragraphs", "title", "context", "final report"])
def test_both_parsers_read_real_reports_alike(layout: str, open_i: list[Sections]) -> None:
    assert right(parse_mimic, layout, open_i[::7]) == right(parse_report, layout, open_i[::7])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rexrank(layout: str) -> None:
    if not IU_XRAY.is_dir():
        pytest.skip(f"{IU_XRAY} is absent")
    files = [IU_XRAY / f"ReXRank_IUXray_{split}.json" for split in ("test", "valid")]
    rows = [row for file in files for row in json.loads(file.read_text("utf-8")).values()]
    reports = [
        tuple(" ".join(row[f"section_{name}"].split()) for name in ("findings", "impression")) for row in rows
    ]
    assert right(parse_report, layout, reports) == len(reports) == 886


def test_carotid_phantoms() -> None:
    reports = [
        (text.findings, text.impression) for text in (draw_carotid_text(n, seed=3) for n in range(200))
    ]
    assert right(parse_report, "paragraphs", reports) == right(parse_report, "one line", reports) == 200
