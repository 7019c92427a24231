"""The reports of Open-i: the facts about the archive that the package carries."""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from radflow.errors import MissingDependencyError
from radflow.reports import parse_report, render_report
from radflow.studies.sources.openi import OpenIReport, open_i_reports, r2gen_split


@pytest.fixture(scope="module")
def reports() -> list[OpenIReport]:
    return list(open_i_reports())


def test_all_reports_are_read(reports: list[OpenIReport]) -> None:
    assert len(reports) == len({report.number for report in reports}) == 3955
    assert Counter(report.sections for report in reports) == {
        "findings and impression": 3419,
        "impression only": 502,
        "findings only": 6,
        "neither section": 28,
    }
    assert sum(report.mesh == ("normal",) for report in reports) == 1391


def test_sections_read_back_from_one_line(reports: list[OpenIReport]) -> None:
    both = [report for report in reports if report.findings and report.impression]
    lost = []
    for report in both:
        parsed = parse_report(render_report(report.findings, report.impression))
        if (parsed.findings, parsed.impression) != (report.findings, report.impression):
            lost.append(report.study_id)
    # One Impression repeats a whole report with its headers: ambiguous indeed.
    assert len(lost) == 1


def test_the_r2gen_split(reports: list[OpenIReport]) -> None:
    splits = r2gen_split()
    assert Counter(splits.values()) == {"train": 2069, "validate": 296, "test": 590}
    both = {report.number for report in reports if report.findings and report.impression}
    assert len(splits.keys() & both) == 2949
    assert {splits[number] for number in splits.keys() - both} == {"train"}


def test_the_r2gen_split_and_the_sections_are_those_of_rexrank(
    iu_xray: Path, reports: list[OpenIReport]
) -> None:
    splits = r2gen_split()
    by_number = {report.number: report for report in reports}
    for name, split in (("test", "test"), ("valid", "validate")):
        rexrank = json.loads((iu_xray / f"ReXRank_IUXray_{name}.json").read_text())
        assert len(rexrank) == list(splits.values()).count(split)
        for key, row in rexrank.items():
            number = re.match(r"CXR(\d+)_", key)
            assert number is not None
            report = by_number[int(number[1])]
            assert splits[report.number] == split
            assert report.findings == " ".join(row["section_findings"].split())
            assert report.impression == " ".join(row["section_impression"].split())


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="pip install torchxrayvision"):
        list(open_i_reports())
