"""The rule judge on carotid ultrasound: every conclusion about a side must follow from that side's Findings.

Built on the ``carotid-terms`` reader, whose terms carry side and segment, and on the SRU consensus (Grant et
al. 2003) for the grade: a stated peak systolic velocity, absent flow or a string-like lumen decides which
stenosis the Impression may name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass

from radflow.readers.carotid_said import BESIDE_THE_AXIS
from radflow.studies.phantoms.carotid_flow import sru_grade

SIDES = ("right", "left")
_OTHER = {"right": "left", "left": "right"}
_SCAN = re.compile(
    r"(?P<side>\b(?:right|left|both|bilateral)\b)(?P<block>\s*(?:sides?|carotid)?(?:\s+carotid)?(?:\s+artery)?\s*:)?"
    r"|(?P<other>\bEDV\D{0,12}[\d.]+)"
    r"|(?P<psv>\d+(?:\.\d+)?)\s*cm/s(?:\s+(?P<of>right|left)\b)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class SideFacts:
    """What one section says of one side.

    Attributes:
        plaque: ``True`` stated, ``False`` denied, ``None`` not mentioned.
        segments: where plaque is stated.
        kinds: of stated plaque (hard, soft, mixed).
        thickened: of the intima-media, as ``plaque``.
        grades: stenosis grades stated.
        graded: whether any stenosis is stated, with a grade or without.
        flow: words for the flow.
        string_lumen: whether only a string of lumen is left.
        normal: whether the side is called normal.
    """

    plaque: bool | None
    segments: frozenset[str]
    kinds: frozenset[str]
    thickened: bool | None
    grades: frozenset[str]
    graded: bool
    flow: frozenset[str]
    string_lumen: bool
    normal: bool


def carotid_faults(
    findings: str, impression: str, findings_terms: Set[str], impression_terms: Set[str]
) -> Iterator[str]:
    """Yield one sentence for each way in which the Impression does not follow.

    Args:
        findings: text, for the velocities that the terms leave out.
        impression: text.
        findings_terms: of the ``carotid-terms`` reader.
        impression_terms: likewise.
    """
    if not impression_terms:
        yield "the Impression states no conclusion that can be read"
        return
    speeds = velocities(findings)
    premise = {side: side_facts(findings_terms, side) for side in SIDES}
    for side in SIDES:
        conclusion = side_facts(impression_terms, side)
        if conclusion.normal and not any(f"@{side}" in term for term in findings_terms):
            yield f"{side}: the Impression calls it normal, the Findings say nothing of it"
        for fault in _plaque_faults(premise, conclusion, side):
            yield f"{side}: {fault}"
        for fault in _thickening_faults(premise[side], conclusion):
            yield f"{side}: {fault}"
        for fault in _grade_faults(premise[side], conclusion, speeds.get(side)):
            yield f"{side}: {fault}"


def side_facts(terms: Set[str], side: str) -> SideFacts:
    """Gather the terms of one side.

    >>> facts = side_facts({"plaque@right-ICA", "plaque:hard@right-ICA", "stenosis:<50%@right"}, "right")
    >>> facts.plaque, sorted(facts.segments), sorted(facts.grades)
    (True, ['ICA'], ['<50%'])
    """
    here = [(head, place) for head, _, place in (term.partition("@") for term in terms)]
    here = [(head, place.partition("-")[2]) for head, place in here if place.partition("-")[0] == side]
    here = [(head, segment) for head, segment in here if not _of_another_vessel(head, segment)]
    heads = {head for head, _ in here}
    stated = {(head.removeprefix("possible:"), segment) for head, segment in here}
    segments = frozenset(segment for head, segment in stated if head == "plaque" and segment)
    return SideFacts(
        plaque=_state(heads, "plaque"),
        segments=segments,
        kinds=frozenset(head.partition(":")[2] for head, _ in stated if _is_kind(head)),
        thickened=_state(heads, "imt:thickened"),
        grades=frozenset(
            head.removeprefix("stenosis:") for head, _ in stated if head.startswith("stenosis:")
        ),
        graded=any(head.startswith("stenosis") for head, _ in stated),
        flow=frozenset(head.removeprefix("flow:") for head in heads if head.startswith("flow:")),
        string_lumen="lumen:string" in heads,
        normal="normal" in heads,
    )


def _of_another_vessel(head: str, segment: str) -> bool:
    """Stenosis and flow of the ECA, vertebral and subclavian artery do not grade the carotid axis.

    >>> _of_another_vessel("no:stenosis", "ECA"), _of_another_vessel("stenosis:<50%", "")
    (True, False)
    """
    return segment in BESIDE_THE_AXIS and ("stenosis" in head or "flow:" in head)


def velocities(findings: str) -> dict[str, float]:
    """The highest velocity in cm/s stated for each side, end-diastolic ones aside.

    >>> velocities("Right: PSV 240 cm/s, EDV 105 cm/s. Left carotid: Flow is normal, PSV 90 cm/s.")
    {'right': 240.0, 'left': 90.0}
    >>> velocities("Bilateral: PSV 90 cm/s right and 80 cm/s left, normal flow.")
    {'right': 90.0, 'left': 80.0}
    """
    found: dict[str, float] = {}
    block: tuple[str, ...] = ()
    for match in _SCAN.finditer(findings):
        if match["side"]:
            name = match["side"].lower()
            if match["block"] or not block:
                block = (name,) if name in SIDES else SIDES
        elif match["psv"]:
            for side in (match["of"].lower(),) if match["of"] else block:
                found[side] = max(found.get(side, 0.0), float(match["psv"]))
    return found


def _is_kind(head: str) -> bool:
    return head.startswith("plaque:") and head != "plaque:occluding"


def _state(heads: Set[str], name: str) -> bool | None:
    if name in heads or f"possible:{name}" in heads:
        return True
    return False if f"no:{name}" in heads or "normal" in heads else None


def _plaque_faults(premise: dict[str, SideFacts], conclusion: SideFacts, side: str) -> Iterator[str]:
    here, there = premise[side], premise[_OTHER[side]]
    if conclusion.plaque and not here.plaque:
        if there.plaque:
            yield "the Impression names plaque that the Findings describe on the other side"
        else:
            yield "the Impression names plaque that the Findings do not describe"
        return
    if here.plaque and not conclusion.plaque and not conclusion.graded:
        yield "the Findings describe plaque, the Impression leaves it out"
        return
    for segment in sorted(conclusion.segments - here.segments) if here.segments else ():
        yield f"the Impression names plaque of the {segment}, the Findings describe none there"
    for segment in sorted(here.segments - conclusion.segments) if conclusion.segments else ():
        yield f"the Findings describe plaque of the {segment}, the Impression leaves it out"
    for kind in sorted(conclusion.kinds - here.kinds) if here.kinds else ():
        yield f"the Impression names {kind} plaque, the Findings describe {' and '.join(sorted(here.kinds))}"


def _thickening_faults(premise: SideFacts, conclusion: SideFacts) -> Iterator[str]:
    if conclusion.thickened and not premise.thickened:
        yield "the Impression names intima-media thickening that the Findings do not describe"
    if premise.thickened and not conclusion.thickened:
        yield "the Findings describe intima-media thickening, the Impression leaves it out"


def _grade_faults(premise: SideFacts, conclusion: SideFacts, psv: float | None) -> Iterator[str]:
    implied = _implied_grade(premise, psv)
    if implied is None:
        if conclusion.grades and not premise.grades and not premise.graded:
            yield "the Impression grades a stenosis without velocity or flow in the Findings"
        return
    stated = conclusion.grades or (frozenset({"normal"}) if not conclusion.graded else frozenset())
    if stated and implied not in stated and not (implied == "<50%" and stated == {"normal"}):
        yield f"the Findings imply the grade {implied}, the Impression says {' and '.join(sorted(stated))}"


def _implied_grade(premise: SideFacts, psv: float | None) -> str | None:
    """The SRU grade that the Findings imply; a grade stated in the Findings themselves comes first."""
    if len(premise.grades) == 1:
        return next(iter(premise.grades))
    if "absent" in premise.flow:
        return sru_grade(0, plaque=bool(premise.plaque))
    if premise.string_lumen:
        return "near occlusion"
    return None if psv is None else sru_grade(psv, plaque=bool(premise.plaque))
