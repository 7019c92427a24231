"""Sections that contradict themselves: the same finding at the same place, once stated and once denied.

Reports deny a part of what they state: "no large effusion", "lungs otherwise clear", "no acute fracture"
beside an old one. So a denial counts only where it has no reserve, and a statement only where it is not
hedged, explained away or said to have gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import product

from radflow.judges.rules.chest_clauses import LARGE_WORDS, LESS, LESS_WORDS, MORE, ONE_SIDE, SMALL_WORDS
from radflow.judges.rules.chest_knowledge import ALL_NORMAL, CRITICAL, SITED
from radflow.judges.rules.chest_statements import LARGE, NOUNS, OBSERVATIONS, Section, Statement
from radflow.judges.rules.chest_unlabelled import ANY_AIR, FREE_AIR, LUNGS_CLEAR, PARTS
from radflow.judges.rules.reasons import Reason

# Beside a denial that leaves something.
_RESERVE = re.compile(
    r"\b(?:otherwise|others?|grossly|remain(?:ing|der|s)?|rest|elsewhere|additional|further|acute|new|large|big"
    r"|focal|definite|overt|frank|suspicious|significant(?:ly)?|confluent|lobar|discrete|obvious|gross|convincing"
    r"|displaced|more|else|concerning|dense|si[sz]e?able|worrisome|superimposed|definitive|segmental|cavitary"
    r"|developing|visualized|visible|x{3,}|abnormally|calcified|pelvic|aerated|suggest|apart|except|alveolar"
    r"|massive|loculated|rounded|layering|bony)\b"
)
# Beside a finding that may be none, or is none any more.
_EXPLAINED = re.compile(
    r"\b(?:may|might|could|possib\w+|likely|probab\w+|overl\w+|artifact\w*|fat|hernia|soft tissues?|scar\w*"
    r"|nipple|screw|hardware|leads?|granulom\w+|related to|represent\w*|clear(?:ed|ing)|resol\w+"
    r"|x{3,}|surgical|calcif\w+|subpleural|previous\w*|prior)\b"
)
# An opacity that is none of the lung, or has a name that leaves a lung clear.
_ELSEWHERE = {"Lung Opacity": re.compile("mediastin|atelecta"), "Lung Lesion": re.compile("mediastin")}
_OF_THE_LUNG = frozenset({"Lung Opacity", "Consolidation", "Pneumonia", "Edema"})
"""What a clear lung does not have."""
_NO_DEVICES = re.compile(
    r"\bno (?:\w+ )?(?:lines?|tubes?|catheters?|support|devices?|hardware)\b", re.IGNORECASE
)


def contradictions(section: Section, name: str) -> Iterator[Reason]:
    """Yield a reason for each finding that a section states and denies.

    Args:
        section: Findings or Impression.
        name: what to call it.
    """
    for thing in _contradictory(section):
        yield Reason(about=thing, what=f"the {name} contradict themselves", sentence=None)


@lru_cache(maxsize=4096)
def _contradictory(section: Section) -> tuple[str, ...]:
    about = [
        *(name for name in OBSERVATIONS if name in section.asserted and _both(section, name)),
        *(
            thing
            for thing, words in FREE_AIR.items()
            if section.has(ANY_AIR) and _stated_and_not(section, words)
        ),
        *_parts(section),
        *_of_two_kinds(section),
    ]
    return tuple(dict.fromkeys(about))


def _both(section: Section, observation: str) -> bool:
    if section.labels[observation] != 1:
        return False
    states = [one for one in section.statements if _states(one, observation)]
    return any(
        _same_place(one, other, sited=observation in SITED)
        for one, other in product(states, section.statements)
        if _denies(other, observation)
    )


def _states(statement: Statement, observation: str) -> bool:
    if statement.labels[observation] != 1:
        return False
    outside = observation in _ELSEWHERE and _ELSEWHERE[observation].search(statement.small)
    return observation == "Support Devices" or not (outside or statement.has(_EXPLAINED))


def _denies(statement: Statement, observation: str) -> bool:
    """Whether a sentence denies all of an observation, by its name or that of the organ."""
    if observation == "Support Devices":
        return statement.labels[observation] != 1 and _NO_DEVICES.search(statement.small) is not None
    if statement.labels[observation] == 1 or statement.has(_RESERVE):
        return False
    if statement.labels[observation] == 0 and NOUNS[observation].search(statement.text):
        return True
    return observation in _OF_THE_LUNG and statement.has(LUNGS_CLEAR)


def _same_place(one: Statement, denial: Statement, *, sited: bool) -> bool:
    """Whether what is stated lies where the denial looks."""
    side = not denial.sides or bool(denial.sides & one.sides)
    return side and not (sited and denial.sites and not denial.sites & one.sites)


def _stated_and_not(section: Section, words: re.Pattern[str]) -> bool:
    said = {one.states(words) for one in section.statements if one.has(words)}
    return len(said) == 2


def _parts(section: Section) -> Iterator[str]:
    """Parts of the body that are called normal and are not, and a study called normal with what is not."""
    for name in ("aorta", "hila"):
        part = PARTS[name]
        if not section.has(part.normal):
            continue
        fine = [s for s in section.statements if s.has(part.normal) and not s.has(_RESERVE)]
        if fine and any(s.states(part.abnormal) for s in section.statements if s not in fine):
            yield name
    if section.asserted.isdisjoint(CRITICAL):
        return
    if any(ALL_NORMAL.fullmatch(one.text.strip(" .")) for one in section.statements):
        yield from (name for name in CRITICAL if any(_states(one, name) for one in section.statements))


def _of_two_kinds(section: Section) -> Iterator[str]:
    """One finding of one side that is both larger and smaller than before, or both small and large."""
    if not section.has(ONE_SIDE) or not (
        section.has(LESS_WORDS) or (section.has(LARGE_WORDS) and section.has(SMALL_WORDS))
    ):
        return
    seen: dict[tuple[str, str], list[tuple[set[str], set[int]]]] = {}
    for mention in section.mentions:
        if len(mention.sides) == 1:
            place = mention.noun, min(mention.sides)
            seen.setdefault(place, []).append((mention.changes, mention.degrees))
    for (noun, _), said in seen.items():
        for (change, degree), (change_2, degree_2) in product(said, said):
            if (MORE in change and LESS in change_2 and MORE not in change_2 and LESS not in change) or (
                degree == {0} and degree_2 == {LARGE}
            ):
                yield noun
