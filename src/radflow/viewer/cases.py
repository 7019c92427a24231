"""Cases side by side: images, the reference, and what each system wrote, as in the paper's Figure 3."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from radflow.evaluation.notation import number, signed
from radflow.viewer.evidence import SUMMARIES
from radflow.viewer.highlight import Highlight, Segment, segments
from radflow.viewer.pictures import Picture, caption, embed_all
from radflow.viewer.records import Case, Mark, ReferenceReport, State, SystemReport
from radflow.viewer.tables import in_order
from radflow.viewer.wording import REWARD_TERMS, system_name

SAME = 0.005
"""Rewards closer than this print alike to two digits and count as neither better nor worse."""

TEMPLATE = "template"
"""Writes the same report for every case, so the page prints it once above them."""

JUDGED = "radflow"
"""The system whose misses and inventions the filter is about."""

_HEADERS = ("Findings: ", " Impression: ")
_ANCHOR = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A section of a report; ``title`` is ``""`` where the text has no sections."""

    title: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One system's report on a case; ``faults`` says in words what its marks say."""

    name: str
    blocks: tuple[Block, ...]
    reward: str
    parts: tuple[tuple[str, str], ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CaseView:
    """One case as printed.

    Attributes:
        anchor: the id of the case on the page, of which ``#anchor`` is the link.
        tags: what the filter looks for: critical, normal, improved, worsened.
        observations: JSON of three lists of observations, by name: in the reference, missed, invented.
    """

    study_id: str
    anchor: str
    critical: bool | None
    critical_because: tuple[str, ...]
    indication: str | None
    pictures: tuple[tuple[str, Picture], ...]
    reference: tuple[Block, ...]
    columns: tuple[Column, ...]
    change: str
    tags: tuple[str, ...]
    observations: str


def case_views(cases: Sequence[Case], folder: Path) -> list[CaseView]:
    """Return the cases as printed, their images embedded. Relative paths start from ``folder``."""
    pictures = embed_all([folder / image for case in cases for image in case.images])
    views, anchors = [], set()
    for place, case in enumerate(cases, start=1):
        anchor = f"case-{_ANCHOR.sub('-', case.study_id)}"
        anchor = f"{anchor}-{place}" if anchor in anchors else anchor
        anchors.add(anchor)
        views.append(_view(case, folder, pictures, anchor))
    return views


def template_report(cases: Sequence[Case]) -> tuple[Block, ...]:
    """Return the template's report, or ``()`` where the cases do not hold it."""
    texts = (case.systems[TEMPLATE].text for case in cases if TEMPLATE in case.systems)
    text = next(texts, None)
    return () if text is None else blocks(text)


def observed(cases: Iterable[Case]) -> list[tuple[str, int]]:
    """Observations that a reference or a judged report states or hedges, with the number of references."""
    counted: dict[str, int] = {}
    for case in cases:
        stated = _stated(case.reference.labels)
        for name in (*stated, *_stated(case.systems[JUDGED].labels if JUDGED in case.systems else {})):
            counted.setdefault(name, 0)
        for name in stated:
            counted[name] += 1
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def _stated(labels: Mapping[str, State]) -> list[str]:
    return [name for name, state in labels.items() if state in (1, -1) and name not in SUMMARIES]


def _observations(case: Case) -> str:
    truth = _stated(case.reference.labels)
    said = _stated(case.systems[JUDGED].labels) if JUDGED in case.systems else truth
    missed, invented = set(truth) - set(said), set(said) - set(truth)
    return json.dumps([truth, sorted(missed), sorted(invented)])


def blocks(text: str, marks: Sequence[Mark | Highlight] = ()) -> tuple[Block, ...]:
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
    tags = ("critical", "normal", "improved", "worsened")
    return [("all", len(views)), *((tag, sum(tag in view.tags for view in views)) for tag in tags)]


def _view(case: Case, folder: Path, pictures: Mapping[Path, Picture], anchor: str) -> CaseView:
    change = _change(case.systems)
    tags = [
        {True: "critical", False: "normal", None: ""}[case.critical],
        "improved" if change > SAME else "",
        "worsened" if change < -SAME else "",
    ]
    return CaseView(
        study_id=case.study_id,
        anchor=anchor,
        critical=case.critical,
        critical_because=case.critical_because,
        indication=case.indication,
        pictures=tuple(
            (caption(case.views, index, len(case.images)), pictures[folder / image])
            for index, image in enumerate(case.images)
        ),
        reference=_reference(case.reference, _missed(case.systems)),
        columns=tuple(
            _column(name, case.systems[name]) for name in in_order(case.systems) if name != TEMPLATE
        ),
        change=signed(change, 2) if math.isfinite(change) else "",
        tags=tuple(tag for tag in tags if tag),
        observations=_observations(case),
    )


def _missed(systems: Mapping[str, SystemReport]) -> list[Highlight]:
    return missed_words(
        {system_name(name): systems[name].missed for name in in_order(systems) if name != TEMPLATE}
    )


def missed_words(by_system: Mapping[str, Sequence[Mark]]) -> list[Highlight]:
    """What systems left out of the reference, cut where they differ, each stretch tagged with their names."""
    ends = sorted({end for marks in by_system.values() for mark in marks for end in (mark.start, mark.end)})
    found = []
    for start, end in pairwise(ends):
        notes = {
            name: mark.note
            for name, marks in by_system.items()
            for mark in marks
            if mark.start <= start and end <= mark.end
        }
        if notes:
            note = "; ".join(f"{name} {said}" for name, said in notes.items())
            names = "both" if len(notes) == 2 == len(by_system) else " · ".join(notes)
            tag = names if len(by_system) > 1 else ""
            found.append(Highlight(start=start, end=end, kind="missed", note=note, tag=tag))
    return found


def _reference(report: ReferenceReport, missed: Sequence[Highlight]) -> tuple[Block, ...]:
    """Return the reference by its sections; one whose sections are not known, as it was written."""
    if report.canonical is not None:
        return blocks(report.canonical, missed)
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


def _column(system: str, report: SystemReport) -> Column:
    terms = {key.removeprefix("reward/"): value for key, value in report.parts.items()}
    order = [*REWARD_TERMS.values(), *(term for term in terms if term not in REWARD_TERMS.values())]
    return Column(
        name=system_name(system),
        blocks=blocks(report.text, report.marks),
        reward=number(report.reward, 2),
        parts=tuple((term, number(terms[term], 2)) for term in order if term in terms),
        faults=_faults(report),
    )


def _faults(report: SystemReport) -> tuple[str, ...]:
    """The notes on the words at fault, then what was missed, each once."""
    notes = [word.note for mark in report.marks for word in mark.words if word.note]
    left_out = dict.fromkeys(
        note.removeprefix("missed: ") for mark in report.missed for note in mark.note.split("; ") if note
    )
    return (*dict.fromkeys(notes), *([f"missed: {', '.join(left_out)}"] if left_out else []))
