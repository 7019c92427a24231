"""Findings without a label in the rule judge: free air, parts called normal, and diagnoses.

CheXpert's labels know 13 observations. What else an Impression brings in, leaves out or denies is seen here
by its words alone (``chest_words.toml``): where they stand behind no denial, they are stated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from radflow.judges.rules.chest_knowledge import ALL_NORMAL, PARENCHYMA
from radflow.judges.rules.chest_statements import OBSERVATIONS, Section, Statement
from radflow.judges.rules.reasons import Reason
from radflow.judges.rules.words import any_of, chest_words


class Part(NamedTuple):
    """A part of the body: words that call it normal, and words of what does not allow it."""

    normal: re.Pattern[str]
    abnormal: re.Pattern[str]


class Diagnosis(NamedTuple):
    """Words for a diagnosis, the observations that carry it, and other words that do."""

    words: re.Pattern[str]
    labels: frozenset[str]
    basis: re.Pattern[str]


_LUNGS = frozenset({*PARENCHYMA, "Lung Lesion", "Edema"})
ANY_AIR = any_of(chain.from_iterable(chest_words()["free_air"].values()))
FREE_AIR = {name: any_of(phrases) for name, phrases in chest_words()["free_air"].items()}
PARTS = {name: Part(*map(any_of, part.values())) for name, part in chest_words()["parts"].items()}
DIAGNOSES = {
    name: Diagnosis(
        words=any_of(told["words"]),
        labels=frozenset(told["labels"]) | (_LUNGS if "lungs" in told["labels"] else frozenset()),
        basis=any_of(told["basis"]),
    )
    for name, told in chest_words()["diagnoses"].items()
}
_ANY_DIAGNOSIS = any_of(phrase for told in chest_words()["diagnoses"].values() for phrase in told["words"])
_ANY_PART = any_of(phrase for part in chest_words()["parts"].values() for phrase in part["normal"])
KNOWN_WORDS = (*FREE_AIR.values(), *(diagnosis.words for diagnosis in DIAGNOSES.values()))
"""Words that say something without a label."""
_GRAVE = frozenset({"pneumoperitoneum", "pneumomediastinum"})  # what an Impression may not leave out

_RESERVES = "otherwise|grossly|essentially|relatively|overall|mostly|remaining|rest"
LUNGS_CLEAR = re.compile(
    rf"\b(?:lungs?|lung fields?)\b(?:(?!\b(?:{_RESERVES})\b)[^,;.]){{0,25}}?\bclear\b(?! of| without)"
    r"|(?<!otherwise )(?<!grossly )(?<!essentially )\bclear lungs?\b"
)
"""Words that call a lung clear without a reserve."""
_LUNGS_CLEAR_AT_ALL = re.compile(r"\blungs?\b[^,;.]{0,30}\bclear\b|\bclear lungs?\b")
_IN_THE_LUNG = any_of(("scar", "bulla", "bleb", "cavit", r"mass\b"))
_BESIDE_THE_LUNG = re.compile(r"mediastin|hilar|pleura|chest wall")
_BENIGN = re.compile(r"calcif|granulom")
_LOOKED_FOR = re.compile(r"\b(?:evaluation|assessment|detection|exclusion) (?:of|for)\b|\bto exclude\b")
_FINE = re.compile(r"\b(?:normal|unremarkable)\b")
# Beside a diagnosis that is asked about, or of another time.
_NOT_CONCLUDED = any_of(
    (
        *(
            "evaluat",
            r"exclu(?:de|sion)",
            r"rule[ds]? out",
            r"r/o\b",
            "history",
            r"prior\b",
            r"known\b",
            "previous",
        ),
        *(
            "status",
            r"post\b",
            "screening",
            "work-?up",
            "assess",
            "clinical",
            r"if\b",
            "treated",
            "resolved",
            "surg",
        ),
        *("therap", "recommend", "would be", "biops"),
    )
)


def unlabelled_faults(premise: Section, conclusion: Section) -> Iterator[Reason]:
    """Yield a reason for each thing without a label that does not follow."""
    yield from _air_faults(premise, conclusion)
    for claim in conclusion.statements:
        yield from _part_faults(claim, premise)
        yield from _clear_faults(claim, premise)
        yield from _diagnosis_faults(claim, premise)


def concludes(section: Section, diagnosis: Diagnosis) -> bool:
    """Whether a section states or hedges a diagnosis."""
    return section.has(_ANY_DIAGNOSIS) and section.stating(diagnosis.words) is not None


def _air_faults(premise: Section, conclusion: Section) -> Iterator[Reason]:
    if not premise.has(ANY_AIR) and not conclusion.has(ANY_AIR):
        return
    for name, words in FREE_AIR.items():
        claim = conclusion.stating(words)
        ground = next(
            (s for s in premise.statements if s.states(words) and not _LOOKED_FOR.search(s.small)), None
        )
        if claim and not ground:
            how = "denied in" if words.search(premise.small) else "absent from"
            what = f"asserted in the Impression, {how} the Findings"
            yield Reason(about=name, what=what, sentence=claim.text)
        if not ground or claim:
            continue
        normal = (s for s in conclusion.statements if ALL_NORMAL.search(s.text) or s.has(words))
        denial = next(normal, None)
        if denial is not None:
            what = "asserted in the Findings, denied in the Impression"
            yield Reason(about=name, what=what, sentence=denial.text)
        elif name in _GRAVE:
            what = "asserted in the Findings, left out of the Impression"
            yield Reason(about=name, what=what, sentence=None)


def _part_faults(claim: Statement, premise: Section) -> Iterator[Reason]:
    if not claim.has(_ANY_PART) or "acute" in claim.small:
        return
    for name, part in PARTS.items():
        if not claim.has(part.normal):
            continue
        ground = premise.stating(part.abnormal)
        if ground and not _on_the_other_side(claim, ground):
            what = "normal in the Impression, abnormal in the Findings"
            yield Reason(about=name, what=what, sentence=claim.text)


def _clear_faults(claim: Statement, premise: Section) -> Iterator[Reason]:
    if not claim.has(LUNGS_CLEAR) or _LUNGS_CLEAR_AT_ALL.search(premise.small):
        return
    if any(_in_the_lung(ground) and not _on_the_other_side(claim, ground) for ground in premise.statements):
        what = "clear in the Impression, not in the Findings"
        yield Reason(about="lungs", what=what, sentence=claim.text)


def _in_the_lung(ground: Statement) -> bool:
    """Whether a sentence has something in the lung; a granuloma leaves it clear."""
    if ground.has(_BESIDE_THE_LUNG):
        return False
    if any(ground.labels[name] == 1 for name in PARENCHYMA):
        return True
    lesion = ground.labels["Lung Lesion"] == 1 or ground.states(_IN_THE_LUNG)
    return lesion and not ground.has(_BENIGN)


def _on_the_other_side(claim: Statement, ground: Statement) -> bool:
    return bool(claim.sides and ground.sides and not claim.sides & ground.sides)


def _diagnosis_faults(claim: Statement, premise: Section) -> Iterator[Reason]:
    if not claim.has(_ANY_DIAGNOSIS) or claim.has(_NOT_CONCLUDED):
        return
    for name, diagnosis in DIAGNOSES.items():
        if claim.states(diagnosis.words) and not _carried(diagnosis, premise):
            yield Reason(about=name, what="without a basis in the Findings", sentence=claim.text)


def _is_fine(ground: Statement) -> bool:
    """Whether a sentence calls what it names normal."""
    return ground.has(_FINE) and not any(ground.labels[name] == 1 for name in OBSERVATIONS)


def _carried(diagnosis: Diagnosis, premise: Section) -> bool:
    return (
        any(premise.asserts(label) for label in diagnosis.labels - {"lungs"})
        or any(ground.states(diagnosis.basis) and not _is_fine(ground) for ground in premise.statements)
        or concludes(premise, diagnosis)
    )
