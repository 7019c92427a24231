"""Cases side by side: images, the reference, and what each system wrote, as in the paper's Figure 3."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from radflow.viewer.highlight import Segment, segments
from radflow.viewer.pictures import Picture, embed_all
from radflow.viewer.records import Case, Mark, ReferenceReport, SystemReport
from radflow.viewer.tables import in_order
from radflow.viewer.wording import REWARD_TERMS, number, signed, system_name

SAME = 0.005
"""Rewards closer than this print alike to two digits and count as neither better nor worse."""

TEMPLATE = "template"
"""Writes the same report for every case, so the page prints it once above them."""

_HEADERS = ("Findings: ", " Impression: ")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A section of a report; ``title`` is ``""`` where the text has no sections."""

    title: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One system's report on a case."""

    name: str
    blocks: tuple[Block, ...]
    reward: str
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class CaseView:
    """One case as printed. ``tags`` is what the filter looks for."""

    study_id: str
    critical: bool | None
    critical_because: tuple[str, ...]
    indication: str | None
    pictures: tuple[tuple[str, Picture], ...]
    reference: tuple[Block, ...]
    columns: tuple[Column, ...]
    change: str
    tags: tuple[str, ...]


def case_views(cases: Sequence[Case], folder: Path) -> list[CaseView]:
    """Return the cases as printed, their images embedded. Relative paths start from ``folder``."""
    pictures = embed_all([folder / image for case in cases for image in case.images])
    return [_view(case, folder, pictures) for case in cases]


def template_report(cases: Sequence[Case]) -> tuple[Block, ...]:
    """Return the template's report, or ``()`` where the cases do not hold it."""
    texts = (case.systems[TEMPLATE].text for case in cases if TEMPLATE in case.systems)
    text = next(texts, None)
    return () if text is None else blocks(text)


def blocks(text: str, marks: Sequence[Mark] = ()) -> tuple[Block, ...]:
    """Split ``"Findings: ... Impression: ..."`` into its sections, keeping the marks where they are.

    >>> [block.title for block in blocks("Findings: Clear. Impression: Normal.")]
    ['Findings', 'Impression']
    >>> [block.title for block in blocks("Clear lungs.")]
    ['']
    """
    findings, impression = _HEADERS
    if not text.startswith(findings) or text.count(impression) != 1:
        return (Block(title="", segments=segments(text, marks)),)
    cut = text.index(impression)
    return (
        Block(title="Findings", segments=segments(text, marks, len(findings), cut)),
        Block(title="Impression", segments=segments(text, marks, cut + len(impression))),
    )


def counts(views: Sequence[CaseView]) -> list[tuple[str, int]]:
    """Return what the filter offers, with the number of cases behind each choice."""
    tags = ("critical", "improved", "worsened")
    return [("all", len(views)), *((tag, sum(tag in view.tags for view in views)) for tag in tags)]


def _view(case: Case, folder: Path, pictures: Mapping[Path, Picture]) -> CaseView:
    change = _change(case.systems)
    tags = [
        "critical" if case.critical else "",
        "improved" if change > SAME else "",
        "worsened" if change < -SAME else "",
    ]
    return CaseView(
        study_id=case.study_id,
        critical=case.critical,
        critical_because=case.critical_because,
        indication=case.indication,
        pictures=tuple(
            (_caption(case, index), pictures[folder / image]) for index, image in enumerate(case.images)
        ),
        reference=_reference(case.reference),
        columns=tuple(
            _column(name, case.systems[name]) for name in in_order(case.systems) if name != TEMPLATE
        ),
        change=signed(change, 2) if math.isfinite(change) else "",
        tags=tuple(tag for tag in tags if tag),
    )


def _reference(report: ReferenceReport) -> tuple[Block, ...]:
    """Return the reference by its sections; one whose sections are not known, as it was written."""
    if report.findings is None or report.impression is None:
        return blocks(report.text)
    return (
        Block(title="Findings", segments=segments(report.findings, ())),
        Block(title="Impression", segments=segments(report.impression, ())),
    )


def _change(systems: Mapping[str, SystemReport]) -> float:
    """Return RadFlow's reward minus SFT's, NaN where one of them is not there."""
    if "radflow" not in systems or "sft" not in systems:
        return math.nan
    return systems["radflow"].reward - systems["sft"].reward


def _caption(case: Case, index: int) -> str:
    if index < len(case.views):
        return case.views[index]
    return f"image {index + 1} of {len(case.images)}" if len(case.images) > 1 else "image"


def _column(system: str, report: SystemReport) -> Column:
    terms = {key.removeprefix("reward/"): value for key, value in report.parts.items()}
    order = [*REWARD_TERMS.values(), *(term for term in terms if term not in REWARD_TERMS.values())]
    return Column(
        name=system_name(system),
        blocks=blocks(report.text, report.marks),
        reward=number(report.reward, 2),
        parts=tuple((term, number(terms[term], 2)) for term in order if term in terms),
    )
