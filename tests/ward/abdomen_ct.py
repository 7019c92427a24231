"""Abdominal CT as somebody could add it to radflow: small readers, a rule, and one record."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from radflow.judges.rules.reasons import Reason
from radflow.reports import Report

WORDS = {"liver lesion": r"liver lesion|metastas\w+", "ascites": r"ascites", "free air": r"free air"}
RECORD = """\
        Modality(
            name="abdomen-ct",
            pictures="abdominal CT",
            labels=Compared(
                metric="abdomen_f1",
                label="Abdomen F1 (rules)",
                target="radflow.metrics.label_f1:texts_label_f1",
                reader="ward.abdomen_ct:labels",
            ),
            content=Compared(
                metric="abdomen_terms",
                label="Abdomen terms (rules)",
                target="radflow.metrics.keyword_match:keyword_match",
                reader="ward.abdomen_ct:terms",
            ),
            rules="ward.abdomen_ct:rules",
            criticality="ward.abdomen_ct:criticality",
            dicom=frozenset(("CT",)),
            region="abdomen",
        ),
"""


def _state(pattern: str, text: str) -> int | None:
    found = re.search(rf"(?P<no>\bno )?(?:{pattern})", text, re.IGNORECASE)
    return None if found is None else int(found["no"] is None)


def labels(texts: Sequence[str]) -> list[dict[str, int | None]]:
    return [{name: _state(pattern, text) for name, pattern in WORDS.items()} for text in texts]


def terms(texts: Sequence[str]) -> list[frozenset[str]]:
    return [frozenset(f"{name}:{s}" for name, s in row.items() if s is not None) for row in labels(texts)]


def criticality(reports: Sequence[Report]) -> list[bool]:
    return [row["free air"] == 1 for row in labels([report.text for report in reports])]


def rules() -> Callable[[str, str], Iterator[Reason]]:
    def faults(findings: str, impression: str) -> Iterator[Reason]:
        premise, conclusion = labels([findings, impression])
        for name, state in conclusion.items():
            if state == 1 and premise[name] != 1:
                yield Reason(about=name, what="asserted in the Impression alone", sentence=impression)

    return faults
