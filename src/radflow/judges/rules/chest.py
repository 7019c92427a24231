"""The rule judge on chest radiographs: what the Impression asserts must follow from the Findings.

Built on the ``chexpert-rules`` reader, sentence by sentence. Interpretation is allowed: an opacity in the
Findings carries pneumonia in the Impression. What is not allowed: to assert what the Findings deny or never
hint at, to deny or leave out what they assert where it matters, to move it to the other side or to another
site, to change its degree, to bring in a device. "No acute abnormality" over an old rib fracture or a mild
cardiomegaly is usual, and no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any

from radflow import readers
from radflow.judges.rules.chest_details import detail_faults
from radflow.judges.rules.chest_devices import DEVICES, device_faults
from radflow.judges.rules.chest_knowledge import (
    ALL_NORMAL,
    ASKED_ABOUT,
    BARELY_NORMAL,
    CARRIED_BY,
    CHRONIC_LUNG,
    CRITICAL,
    CRITICAL_IN_DOUBT,
    DENYING,
    HINTED_BY,
    HINTS_OVER_DENIALS,
    MIDLINE,
    NAMED_EDEMA,
    NOTABLE,
    PARTIAL,
    RESERVED,
    SIDED,
    SITED,
    SLIGHT,
    STANDS_FOR,
    UNCHANGED,
    WEIGHTY,
)
from radflow.judges.rules.chest_positions import position_faults
from radflow.judges.rules.chest_statements import (
    LARGE,
    OBSERVATIONS,
    SITES,
    Labels,
    Section,
    Statement,
    read_section,
    read_statement,
)
from radflow.judges.rules.chest_unlabelled import DIAGNOSES, KNOWN_WORDS, concludes, unlabelled_faults
from radflow.judges.rules.chest_within import contradictions
from radflow.judges.rules.reasons import Reason

# Report sentences repeat: a few thousand distinct ones cover most of a data set. So do short Impressions.
_SENTENCES_KEPT, _SECTIONS_KEPT = 16384, 4096
_OPPOSITE = {"left": "right", "right": "left"}
_SIDED = SIDED | DEVICES


def chest_rules(
    labeler: Callable[[Sequence[str]], Sequence[Labels]] | None = None,
    graphs: Callable[[Sequence[str]], Sequence[Mapping[str, Any]]] | None = None,
) -> Callable[[str, str], Iterator[Reason]]:
    """Make the rules: Findings and Impression to a reason per fault. Sentences and sections are remembered.

    Args:
        labeler: texts to CheXpert labels; ``None`` loads ``chexpert-rules``.
        graphs: texts to RadGraph graphs, to tell an Impression that says nothing; ``None`` loads
            ``radgraph-rules``.
    """
    label = readers.load("chexpert-rules") if labeler is None else labeler
    graph = readers.load("radgraph-rules") if graphs is None else graphs
    sentence = lru_cache(maxsize=_SENTENCES_KEPT)(
        lambda text: read_statement(text, lambda text: label([text])[0])
    )
    read = lru_cache(maxsize=_SECTIONS_KEPT)(lambda text: read_section(text, sentence))
    return lambda findings, impression: chest_faults(
        findings, impression, read, lambda text: bool(graph([text])[0]["entities"])
    )


def chest_faults(
    findings: str,
    impression: str,
    read: Callable[[str], Section],
    says_something: Callable[[str], bool],
) -> Iterator[Reason]:
    """Yield a reason for each way in which the Impression does not follow.

    Args:
        findings: text.
        impression: text.
        read: text to a section.
        says_something: whether a text without any label has any anatomy or observation in it.
    """
    premise, conclusion = read(findings), read(impression)
    for name, section in (("Findings", premise), ("Impression", conclusion)):
        if not _readable(section, says_something):
            yield Reason(about="", what=f"nothing can be read in the {name}", sentence=None)
            return
    yield from contradictions(premise, "Findings")
    yield from contradictions(conclusion, "Impression")
    for claim in conclusion.statements:
        yield from _unsupported(claim, premise)
        yield from _denied(claim, premise, conclusion)
        yield from _misplaced(claim, premise)
        yield from _of_another_degree(claim, premise)
    yield from detail_faults(premise, conclusion)
    yield from device_faults(premise, conclusion)
    yield from position_faults(premise, conclusion)
    yield from unlabelled_faults(premise, conclusion)
    yield from _left_out(premise, conclusion)
    if not conclusion.asserted:
        yield from _falsely_normal(premise, conclusion)


def _readable(section: Section, says_something: Callable[[str], bool]) -> bool:
    labelled = any(state is not None for state in section.labels.values())
    known = labelled or any(words.search(section.text) for words in (ALL_NORMAL, UNCHANGED))
    known = known or any(words.search(section.small) for words in KNOWN_WORDS)
    return known or says_something(section.text)


def _unsupported(claim: Statement, premise: Section) -> Iterator[Reason]:
    for name in OBSERVATIONS if claim.asserted else ():
        if name not in claim.asserted or premise.asserts(name) or name == "Support Devices":
            continue
        if claim.labels[name] == -1 and ASKED_ABOUT.search(claim.text):
            continue
        carried = any(premise.asserts(other) for other in CARRIED_BY.get(name, ()))
        hinted = _hinted(name, claim, premise)
        if premise.labels[name] == 0:
            allowed = name in HINTS_OVER_DENIALS or _denied_in_part(name, premise)
            if not (name == "Lung Opacity" and carried) and not (allowed and hinted):
                yield Reason(
                    about=name, what="asserted in the Impression, denied in the Findings", sentence=claim.text
                )
        elif not carried and not hinted:
            yield Reason(
                about=name, what="asserted in the Impression, absent from the Findings", sentence=claim.text
            )


def _denied_in_part(name: str, premise: Section) -> bool:
    """Whether every denial of it has a reserve: "no large effusion"."""
    return all(RESERVED.search(ground.text) for ground in premise.statements if ground.labels[name] == 0)


def _hinted(name: str, claim: Statement, premise: Section) -> bool:
    """Whether a sentence of the Findings that denies nothing has words for it."""
    if name not in HINTED_BY:
        return False
    if name == "Cardiomegaly" and BARELY_NORMAL.search(premise.text):
        return claim.labels[name] == -1 or SLIGHT.search(claim.text) is not None
    return any(
        HINTED_BY[name].search(ground.text)
        and (name in HINTS_OVER_DENIALS or not DENYING.search(ground.text))
        for ground in premise.statements
    )


def _denied(claim: Statement, premise: Section, conclusion: Section) -> Iterator[Reason]:
    """What a sentence denies and the Findings state or hedge, unless the Impression has it in other words."""
    for name in OBSERVATIONS if premise.asserted else ():
        if claim.labels[name] != 0 or not premise.asserts(name) or _mentioned(name, premise, conclusion):
            continue
        if claim.sides and not any(_same_place(claim, ground) for ground in premise.about({name})):
            continue
        if PARTIAL.search(claim.text) or (name == "Edema" and not _by_name(claim, premise)):
            continue
        # "Clear lungs" denies every opacity, and is said over an old scar too.
        if name != "Lung Opacity" or _plainly(name, premise):
            yield Reason(
                about=name, what="asserted in the Findings, denied in the Impression", sentence=claim.text
            )


def _by_name(claim: Statement, premise: Section) -> bool:
    """Whether one of the two names edema; "no acute abnormality" is said over mild congestion too."""
    return NAMED_EDEMA.search(claim.text) is not None or any(
        ground.states(NAMED_EDEMA) for ground in premise.about({"Edema"})
    )


def _mentioned(name: str, premise: Section, conclusion: Section) -> bool:
    """Whether the Impression has it by its name, or by one that stands for it and not on the other side."""
    if conclusion.asserts(name) or (name == "Lung Opacity" and CHRONIC_LUNG.search(conclusion.text)):
        return True
    if name not in CRITICAL and any(
        name in diagnosis.labels and concludes(conclusion, diagnosis) for diagnosis in DIAGNOSES.values()
    ):
        return True
    sides = {side for ground in premise.about({name}) for side in ground.sides}
    if name == "Pleural Effusion":
        implying = ["fluid of the pleura"] + ["heart failure"] * (len(sides) != 1)
        if any(concludes(conclusion, DIAGNOSES[diagnosis]) for diagnosis in implying):
            return True
    other = {_OPPOSITE[side] for side in sides} if len(sides) == 1 else None
    return any(claim.sides != other for claim in conclusion.about(STANDS_FOR.get(name, frozenset())))


def _plainly(name: str, premise: Section) -> bool:
    """Whether some sentence asserts it without playing it down."""
    return any(ground.labels[name] == 1 and not ground.played_down for ground in premise.statements)


def _left_out(premise: Section, conclusion: Section) -> Iterator[Reason]:
    for name in OBSERVATIONS if premise.asserted & CRITICAL else ():
        heavy = CRITICAL if premise.labels[name] == 1 else CRITICAL_IN_DOUBT
        dropped = premise.asserts(name) and conclusion.labels[name] is None and name in heavy
        if dropped and not _mentioned(name, premise, conclusion):
            yield Reason(
                about=name, what="asserted in the Findings, left out of the Impression", sentence=None
            )


def _falsely_normal(premise: Section, conclusion: Section) -> Iterator[Reason]:
    """An Impression without any positive, over Findings that do not allow it."""
    calls_normal = next((s.text for s in conclusion.statements if ALL_NORMAL.search(s.text)), None)
    for name in OBSERVATIONS if premise.asserted else ():
        if calls_normal is not None and name in WEIGHTY and premise.labels[name] == 1:
            what = "asserted in the Findings, the Impression calls the study normal"
            yield Reason(about=name, what=what, sentence=calls_normal)
        if name in NOTABLE and _plainly(name, premise) and not _mentioned(name, premise, conclusion):
            what = "asserted in the Findings, the Impression passes over it"
            yield Reason(about=name, what=what, sentence=None)


def _misplaced(claim: Statement, premise: Section) -> Iterator[Reason]:
    """A side or a site that no sentence of the Findings about the same thing agrees with."""
    for name in OBSERVATIONS if claim.asserted else ():
        if name in claim.asserted and name != "Support Devices":
            grounds = premise.about({name, *CARRIED_BY.get(name, ())})
            yield from _elsewhere(name, claim, grounds, sited=name in SITED)
    for name in _sided(claim.text) if claim.sides else ():
        grounds = [ground for ground in premise.statements if _SIDED[name].search(ground.text)]
        yield from _elsewhere(name, claim, grounds, sited=False)


@lru_cache(maxsize=_SENTENCES_KEPT)
def _sided(sentence: str) -> tuple[str, ...]:
    """What a sentence that denies nothing names of what has a side and no label."""
    named = (name for name, words in _SIDED.items() if words.search(sentence))
    return () if DENYING.search(sentence) else tuple(named)


def _elsewhere(name: str, claim: Statement, grounds: Sequence[Statement], *, sited: bool) -> Iterator[Reason]:
    sides = {side for ground in grounds for side in ground.sides}
    sites = {site for ground in grounds for site in ground.sites}
    if name in MIDLINE:
        return
    if len(claim.sides) == 1 and sides and not claim.sides & sides:
        what = f"{min(claim.sides)} in the Impression, {min(sides)} in the Findings"
    elif sited and claim.sites and sites and _apart(claim.sites, sites):
        what = f"{SITES[min(claim.sites)]} zone in the Impression, {SITES[min(sites)]} zone in the Findings"
    elif sited and grounds and len(claim.sides) == 1 and not any(_same_place(claim, g) for g in grounds):
        what = "this side of this zone is not in the Findings"
    elif not sited and len(claim.sides) == 2 and len(sides) == 1 and all(ground.sides for ground in grounds):
        what = f"on both sides in the Impression, {min(sides)} in the Findings"
    else:
        return
    yield Reason(about=name, what=what, sentence=claim.text)


def _same_place(claim: Statement, ground: Statement) -> bool:
    """Whether side and zone agree, as far as both sentences name them."""
    side = not ground.sides or bool(claim.sides & ground.sides)
    return side and not (claim.sites and ground.sites and _apart(claim.sites, ground.sites))


def _of_another_degree(claim: Statement, premise: Section) -> Iterator[Reason]:
    for name, claimed in claim.degrees.items():
        degrees = {degree for ground in premise.statements for degree in ground.degrees.get(name, ())}
        if not degrees and not premise.asserts(name) and name in HINTED_BY:
            hints = [ground for ground in premise.statements if HINTED_BY[name].search(ground.text)]
            degrees = {0 for ground in hints if SLIGHT.search(ground.text)}
        if degrees and _apart(claimed, degrees):
            what = "its degree in the Impression contradicts the Findings"
        elif not degrees and min(claimed) == LARGE and premise.asserts(name):
            what = "called large or severe in the Impression alone"
        else:
            continue
        yield Reason(about=name, what=what, sentence=claim.text)


def _apart(ours: Set[int], theirs: Set[int]) -> bool:
    """Whether the nearest of two sets of ranks are at the two ends: upper and lower, small and large."""
    return min(abs(a - b) for a in ours for b in theirs) >= 2
