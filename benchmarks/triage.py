"""Measure criticality-rules against Open-i's tag `normal` and print one JSON object.

    python benchmarks/triage.py [--show NUMBER ...]

Critical means: not tagged ``normal``. Untagged and empty reports are left out. Sensitivity is of the critical
reports, specificity of the normal ones; intervals are Wilson's, 95 %. The mistakes on ``development`` were
read and are listed by kind in open_i_triage_mistakes.toml; those on ``held_out`` (the R2Gen test split) were
not read: they are counted by the group of the lexicon that triggered, or by the tag that was missed.

``--show`` prints why development reports are called critical.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radflow.readers.criticality import criticality_rules, why
from radflow.reports import Report
from radflow.studies.sources.openi import OpenIReport, open_i_reports, r2gen_split

READ = Path(__file__).with_name("open_i_triage_mistakes.toml")
Z_95 = 1.959964


def wilson(right: int, count: int) -> list[float]:
    """Proportion and its 95 % interval (Wilson 1927).

    >>> wilson(95, 100)
    [0.95, 0.8882, 0.9785]
    """
    share = right / count
    centre, scale = share + Z_95**2 / (2 * count), 1 + Z_95**2 / count
    half = Z_95 * np.sqrt(share * (1 - share) / count + Z_95**2 / (4 * count**2))
    return [round(float(x), 4) for x in (share, (centre - half) / scale, (centre + half) / scale)]


def tagged(reports: Sequence[OpenIReport]) -> list[OpenIReport]:
    """The reports that an indexer read and that have a text."""
    return [
        report
        for report in reports
        if report.mesh and "No Indexing" not in report.mesh and (report.findings or report.impression)
    ]


def as_report(report: OpenIReport) -> Report:
    """What the reader sees of an Open-i report."""
    return Report(text="", findings=report.findings, impression=report.impression)


def accuracy(said: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    """Accuracy, sensitivity and specificity, each with its interval, and the counts."""
    return {
        "reports": len(said),
        "accuracy": wilson(int((said == true).sum()), len(said)),
        "sensitivity": wilson(int((said & true).sum()), int(true.sum())),
        "specificity": wilson(int((~said & ~true).sum()), int((~true).sum())),
        "called critical, tagged normal": int((said & ~true).sum()),
        "called normal, tagged otherwise": int((~said & true).sum()),
    }


def automatic_kind(report: OpenIReport, *, called_critical: bool) -> str:
    """The group that triggered first, or the tag that was missed."""
    if called_critical:
        return f"called critical by: {why(as_report(report))[0].entry}"
    return f"tag missed: {report.mesh[0].split('/')[0]}"


def read_kinds(mistakes: Sequence[OpenIReport]) -> dict[str, Any]:
    """Mistakes by the kind that a person gave them; what is new, and what is listed and right now."""
    listed = tomllib.loads(READ.read_text(encoding="utf-8"))
    numbers = {str(report.number) for report in mistakes}
    known = [listed[number] for number in numbers & listed.keys()]
    return {
        "by kind": dict(Counter(row["kind"] for row in known).most_common()),
        "by fault": dict(Counter(row["fault"] for row in known).most_common()),
        "not read yet": sorted(numbers - listed.keys(), key=int),
        "listed and right now": sorted(listed.keys() - numbers, key=int),
    }


def measure(reports: Sequence[OpenIReport], *, read: bool) -> dict[str, Any]:
    """Figures of one part of the data; ``read`` where its mistakes may be looked at."""
    reports = tagged(reports)
    said = np.array(criticality_rules([as_report(report) for report in reports]))
    true = np.array(["normal" not in report.mesh for report in reports])
    wrong = [(reports[place], bool(said[place])) for place in np.flatnonzero(said != true)]
    kinds = Counter(automatic_kind(report, called_critical=called) for report, called in wrong)
    figures = accuracy(said, true) | {"mistakes by trigger": dict(kinds.most_common())}
    return figures | ({"mistakes as read": read_kinds([report for report, _ in wrong])} if read else {})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--show", type=int, nargs="+", default=[], metavar="NUMBER")
    arguments = parser.parse_args()
    test = {number for number, split in r2gen_split().items() if split == "test"}
    held_out = [report for report in open_i_reports() if report.number in test]
    development = [report for report in open_i_reports() if report.number not in test]
    if arguments.show:
        for report in development:
            if report.number in arguments.show:
                print(report.number, report.mesh, why(as_report(report)))
        return
    parts = {"held_out": measure(held_out, read=False), "development": measure(development, read=True)}
    print(json.dumps(parts, indent=1))


if __name__ == "__main__":
    main()
