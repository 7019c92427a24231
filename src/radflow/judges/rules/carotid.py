"""The rule judge on carotid ultrasound: every conclusion about a side must follow from that side's Findings.

Built on the ``carotid-terms`` reader, whose terms carry side and segment, and on the SRU consensus (Grant et
al. 2003) for the grade: a stated peak systolic velocity, absent flow or a string-like lumen decides which
stenosis the Impression may name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from radflow import readers
from radflow.judges.rules.reasons import Reason
from radflow.readers.carotid import TermEvidence, explain
from radflow.readers.carotid.said import BESIDE_THE_AXIS
from radflow.sru import sru_grade

SIDES = ("right", "left")
_OTHER = {"right": "left", "left": "right"}
_SCAN = re.compile(
    r"(?P<side>\b(?:right|left|both|bilateral)\b)(?P<block>\s*(?:sides?|carotid)?(?:\s+carotid)?(?:\s+artery)?\s*:)?"
    r"|(?P<other>\bEDV\D{0,12}[\d.]+)"
    r"|(?P<psv>\d+(?:\.\d+)?)\s*cm/s(?:\s+(?P<of>right|left)\b)?",
    re.IGNORECASE,
)


_SENTENCE_END = re.compile(r"(?<=[.;])\s+|\n+")


@dataclass(frozen=True, kw_only=True)
class SideFacts:
    """What one section says about one side.

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


class Fault(NamedTuple):
    """A fault of one side, and the heads of the Impression's terms that it is about, if it is about any."""

    what: str
    heads: tuple[str, ...] = ()


def carotid_rules(
    terms: Callable[[Sequence[str]], Sequence[Set[str]]] | None = None,
) -> Callable[[str, str], Iterator[Reason]]:
    """Make the rules: Findings and Impression to a reason per fault.

    Args:
        terms: texts to key terms; ``None`` loads ``carotid-terms``.
    """
    read = readers.load("carotid-terms") if terms is None else terms
    return lambda findings, impression: carotid_faults(findings, impression, *read([findings, impression]))


def carotid_faults(
    findings: str, impression: str, findings_terms: Set[str], impression_terms: Set[str]
) -> Iterator[Reason]:
    """Yield a reason for each way in which the Impression does not follow.

    Args:
        findings: text, for the velocities that the terms leave out.
        impression: text.
        findings_terms: of the ``carotid-terms`` reader.
        impression_terms: likewise.
    """
    if not impression_terms:
        yield Reason(about="", what="the Impression states no conclusion that can be read", sentence=None)
        return
    speeds = velocities(findings)
    premise = {side: side_facts(findings_terms, side) for side in SIDES}
    evidence: Sequence[TermEvidence] | None = None
    for side in SIDES:
        conclusion = side_facts(impression_terms, side)
        silent = not any(f"@{side}" in term for term in findings_terms)
        for fault in _side_faults(premise, conclusion, side, speeds.get(side), silent=silent):
            # Where each term stands is looked up for faults alone: most pairs have none.
            evidence = explain(impression) if evidence is None else evidence
            yield Reason(
                about=side, what=fault.what, sentence=_sentence(impression, evidence, side, fault.heads)
            )


def _side_faults(
    premise: dict[str, SideFacts], conclusion: SideFacts, side: str, psv: float | None, *, silent: bool
) -> Iterator[Fault]:
    if conclusion.normal and silent:
        yield Fault("the Impression calls it normal, the Findings say nothing of it", ("normal",))
    yield from _plaque_faults(premise, conclusion, side)
    yield from _thickening_faults(premise[side], conclusion)
    yield from _grade_faults(premise[side], conclusion, psv)


def _sentence(
    impression: str, evidence: Sequence[TermEvidence], side: str, heads: Sequence[str]
) -> str | None:
    """The sentence of the Impression with the first term of that side that has one of the heads."""
    for one in evidence:
        head, _, place = one.term.partition("@")
        if place.partition("-")[0] == side and head.removeprefix("possible:").startswith(tuple(heads)):
            start = max(
                (end.end() for end in _SENTENCE_END.finditer(impression, 0, one.phrase.start)), default=0
            )
            end = _SENTENCE_END.search(impression, one.phrase.end)
            return impression[start : end.start() if end else len(impression)].strip()
    return None


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


def _plaque_faults(premise: dict[str, SideFacts], conclusion: SideFacts, side: str) -> Iterator[Fault]:
    here, there = premise[side], premise[_OTHER[side]]
    if conclusion.plaque and not here.plaque:
        where = "describe on the other side" if there.plaque else "do not describe"
        yield Fault(f"the Impression names plaque that the Findings {where}", ("plaque",))
        return
    if here.plaque and not conclusion.plaque and not conclusion.graded:
        yield Fault("the Findings describe plaque, the Impression leaves it out", ("normal", "no:plaque"))
        return
    for segment in sorted(conclusion.segments - here.segments) if here.segments else ():
        what = f"the Impression names plaque of the {segment}, the Findings describe none there"
        yield Fault(what, ("plaque",))
    for segment in sorted(here.segments - conclusion.segments) if conclusion.segments else ():
        yield Fault(f"the Findings describe plaque of the {segment}, the Impression leaves it out")
    for kind in sorted(conclusion.kinds - here.kinds) if here.kinds else ():
        described = " and ".join(sorted(here.kinds))
        what = f"the Impression names {kind} plaque, the Findings describe {described}"
        yield Fault(what, (f"plaque:{kind}",))


def _thickening_faults(premise: SideFacts, conclusion: SideFacts) -> Iterator[Fault]:
    if conclusion.thickened and not premise.thickened:
        what = "the Impression names intima-media thickening that the Findings do not describe"
        yield Fault(what, ("imt:thickened",))
    if premise.thickened and not conclusion.thickened:
        what = "the Findings describe intima-media thickening, the Impression leaves it out"
        yield Fault(what, ("normal", "no:imt:thickened"))


def _grade_faults(premise: SideFacts, conclusion: SideFacts, psv: float | None) -> Iterator[Fault]:
    implied = _implied_grade(premise, psv)
    if implied is None:
        if conclusion.grades and not premise.grades and not premise.graded:
            what = "the Impression grades a stenosis without velocity or flow in the Findings"
            yield Fault(what, ("stenosis",))
        return
    stated = conclusion.grades or (frozenset({"normal"}) if not conclusion.graded else frozenset())
    if stated and implied not in stated and not (implied == "<50%" and stated == {"normal"}):
        what = f"the Findings imply the grade {implied}, the Impression says {' and '.join(sorted(stated))}"
        yield Fault(what, ("stenosis", "normal"))


def _implied_grade(premise: SideFacts, psv: float | None) -> str | None:
    """The SRU grade that the Findings imply; a grade stated in the Findings themselves comes first."""
    if len(premise.grades) == 1:
        return next(iter(premise.grades))
    if "absent" in premise.flow:
        return sru_grade(0, plaque=bool(premise.plaque))
    if premise.string_lumen:
        return "near occlusion"
    return None if psv is None else sru_grade(psv, plaque=bool(premise.plaque))
