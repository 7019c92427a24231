"""The rule judge on chest radiographs: what the Impression asserts must follow from the Findings.

Built on the ``chexpert-rules`` reader, sentence by sentence. Interpretation is allowed: an opacity in the
Findings carries pneumonia in the Impression. What is not allowed: to assert what the Findings deny or never
hint at, to deny or leave out what they assert where it matters, to move it to the other side, to change its
degree.

The lists below are tuned on the references of Open-i, where nearly every report is consistent; what is common
there cannot be a fault. "No acute abnormality" over an old rib fracture or a mild cardiomegaly is usual.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from radflow.readers.labels import CHEXPERT_OBSERVATIONS, State, stronger

Labels = Mapping[str, State]

OBSERVATIONS = tuple(name for name in CHEXPERT_OBSERVATIONS if name != "No Finding")

_PARENCHYMA = {"Lung Opacity", "Consolidation", "Atelectasis", "Pneumonia"}
CARRIED_BY: dict[str, frozenset[str]] = {
    "Enlarged Cardiomediastinum": frozenset({"Cardiomegaly", "Lung Lesion"}),
    "Cardiomegaly": frozenset({"Enlarged Cardiomediastinum"}),
    "Lung Lesion": frozenset({"Lung Opacity", "Consolidation"}),
    "Lung Opacity": frozenset({*_PARENCHYMA, "Edema", "Lung Lesion", "Pleural Effusion", "Pleural Other"}),
    "Edema": frozenset({"Lung Opacity", "Cardiomegaly", "Enlarged Cardiomediastinum"}),
    "Consolidation": frozenset(_PARENCHYMA),
    "Pneumonia": frozenset({*_PARENCHYMA, "Edema", "Lung Lesion"}),
    "Atelectasis": frozenset({*_PARENCHYMA, "Pleural Effusion"}),
    "Pleural Effusion": frozenset({"Pleural Other"}),
    "Pleural Other": frozenset({"Pleural Effusion", "Lung Opacity"}),
}
"""What an Impression asserts -> which Findings carry it besides itself."""

ALWAYS_CARRIED = frozenset({"Support Devices"})
"""Named in an Impression without Findings often enough that its absence says nothing."""

HINTED_BY: dict[str, re.Pattern[str]] = {
    "Cardiomegaly": re.compile(
        r"top normal|upper limits|borderline|heart\b.{0,30}\b(?:large|enlarged|prominent)"
    ),
    "Lung Lesion": re.compile(r"nodul|mass|\bround|densit|calcif|lucen"),
    "Lung Opacity": re.compile(r"densit|markings|interstitial|scar|obscur"),
    "Atelectasis": re.compile(r"densit|scar|volume|elevat|markings|hypo(?:inflat|ventilat)|crowding"),
    "Edema": re.compile(r"vascular|congest|interstitial|markings"),
    "Pneumonia": re.compile(r"densit|interstitial|markings|indistinct|silhouett"),
    "Pleural Effusion": re.compile(r"blunt|obscur|costophrenic|pleural (?:fluid|reaction|thicken)"),
    "Pleural Other": re.compile(r"blunt|scar|costophrenic|apical|pleural"),
    "Fracture": re.compile(r"deformit|wedg|compress|lucen|irregular|\bloss\b"),
}
"""What carries an observation in words that are not its name; looked for in the Findings in lower case, and
only where they do not deny it."""

CRITICAL = frozenset({"Pneumothorax", "Edema", "Consolidation", "Pneumonia", "Pleural Effusion"})
"""What an Impression may not leave out."""

WEIGHTY = CRITICAL | {"Lung Lesion", "Cardiomegaly", "Atelectasis", "Fracture", "Lung Opacity"}
"""What contradicts an Impression that calls the whole study normal."""

NOTABLE = frozenset({"Lung Opacity", "Lung Lesion", "Atelectasis", "Fracture", "Cardiomegaly"})
"""What an Impression without any positive may not pass over, unless the Findings themselves play it down."""

_PLAYED_DOWN = re.compile(
    r"minimal|mild|stable|unchanged|chronic|scar|calcifi|granulom|\bold\b|healed|remote|overl[ya]|artifact|"
    r"subsegmental|atelecta|again|previous|resol|crowding|low lung|hypo|low volume",
    re.IGNORECASE,
)
_ALL_NORMAL = re.compile(
    r"\b(?:normal|unremarkable|negative)\s+(?:\w+\s+){0,2}(?:chest|exam\w*|study|radiographs?|x-?rays?|films?)\b"
    r"|\bno\s+(?:significant\s+|radiographic\s+)?abnormalit(?:y|ies)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.;!?])\s+(?=[A-Z0-9X])|\n+")
_SIDES = re.compile(r"\b(left|right|bilateral\w*|both|bibasilar|biapical)\b", re.IGNORECASE)
_DEGREES = (
    re.compile(r"\b(?:trace|tiny|minimal\w*|small|mild\w*|slight\w*|subtle)\b", re.IGNORECASE),
    re.compile(r"\bmoderate\w*\b", re.IGNORECASE),
    re.compile(r"\b(?:large|severe\w*|massive|marked\w*|extensive|tension)\b", re.IGNORECASE),
)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One sentence: its labels, the sides and the degrees (0 small, 1 moderate, 2 large) it names.

    ``played_down``: whether it says itself that what it describes is old, slight or not a disease.
    """

    labels: Labels
    sides: frozenset[str]
    degrees: frozenset[int]
    played_down: bool


def read_statements(section: str, label: Callable[[str], Labels]) -> list[Statement]:
    """Split a section into sentences and read each; ``label`` reads one sentence."""
    return [
        Statement(
            labels=label(sentence),
            sides=frozenset(side for word in _SIDES.findall(sentence) for side in _sides(word.lower())),
            degrees=frozenset(rank for rank, words in enumerate(_DEGREES) if words.search(sentence)),
            played_down=_PLAYED_DOWN.search(sentence) is not None,
        )
        for sentence in _SENTENCE_END.split(section)
        if sentence.strip()
    ]


def chest_faults(
    findings: str,
    impression: str,
    label: Callable[[str], Labels],
    says_something: Callable[[str], bool],
) -> Iterator[str]:
    """Yield one sentence for each way in which the Impression does not follow.

    Args:
        findings: text.
        impression: text.
        label: CheXpert labels of one sentence.
        says_something: whether a text without any label has any anatomy or observation in it.
    """
    grounds, claims = read_statements(findings, label), read_statements(impression, label)
    premise, conclusion = _merge(grounds), _merge(claims)
    for name, labels, section in (("Findings", premise, findings), ("Impression", conclusion, impression)):
        if not any(state is not None for state in labels.values()) and not says_something(section):
            yield f"nothing can be read in the {name}"
            return
    yield from _unsupported(premise, conclusion, findings.lower())
    yield from _denied_or_missing(grounds, premise, conclusion)
    if not any(conclusion[name] in (1, -1) for name in OBSERVATIONS):
        yield from _falsely_normal(grounds, premise, impression)
    yield from _misplaced(grounds, claims)


def _merge(statements: Sequence[Statement]) -> dict[str, State]:
    """The strongest state of each observation over a section."""
    merged: dict[str, State] = dict.fromkeys(OBSERVATIONS)
    for statement in statements:
        for name in OBSERVATIONS:
            merged[name] = stronger(merged[name], statement.labels[name])
    return merged


def _carried(name: str, labels: Labels) -> bool:
    """Whether something that carries ``name`` is positive or uncertain in ``labels``."""
    return any(labels[other] in (1, -1) for other in CARRIED_BY.get(name, ()))


def _plainly(name: str, statements: Sequence[Statement]) -> bool:
    """Whether some sentence asserts it without playing it down."""
    return any(statement.labels[name] == 1 and not statement.played_down for statement in statements)


def _hinted(name: str, text: str) -> bool:
    return name in HINTED_BY and HINTED_BY[name].search(text) is not None


def _unsupported(premise: Labels, conclusion: Labels, text: str) -> Iterator[str]:
    for name in OBSERVATIONS:
        if conclusion[name] not in (1, -1) or premise[name] in (1, -1) or name in ALWAYS_CARRIED:
            continue
        if premise[name] == 0 and not (name == "Lung Opacity" and _carried(name, premise)):
            yield f"{name}: asserted in the Impression, denied in the Findings"
        elif premise[name] is None and not _carried(name, premise) and not _hinted(name, text):
            yield f"{name}: asserted in the Impression, absent from the Findings"


def _denied_or_missing(grounds: Sequence[Statement], premise: Labels, conclusion: Labels) -> Iterator[str]:
    for name in OBSERVATIONS:
        if premise[name] != 1 or conclusion[name] in (1, -1) or _carried(name, conclusion):
            continue
        # "Clear lungs" denies every opacity, and is said over an old scar too.
        if conclusion[name] == 0 and (name != "Lung Opacity" or _plainly(name, grounds)):
            yield f"{name}: asserted in the Findings, denied in the Impression"
        elif conclusion[name] is None and name in CRITICAL:
            yield f"{name}: asserted in the Findings, left out of the Impression"


def _falsely_normal(grounds: Sequence[Statement], premise: Labels, impression: str) -> Iterator[str]:
    """An Impression without any positive, over Findings that do not allow it."""
    if _ALL_NORMAL.search(impression):
        for name in OBSERVATIONS:
            if name in WEIGHTY and premise[name] == 1:
                yield f"{name}: asserted in the Findings, the Impression calls the study normal"
    for name in OBSERVATIONS:
        if name in NOTABLE and _plainly(name, grounds):
            yield f"{name}: asserted in the Findings, the Impression passes over it"


def _misplaced(grounds: Sequence[Statement], claims: Sequence[Statement]) -> Iterator[str]:
    """A side or a degree that no Findings sentence about the same thing agrees with."""
    for name in OBSERVATIONS:
        claimed = [claim for claim in claims if claim.labels[name] == 1 and (claim.sides or claim.degrees)]
        if not claimed or name in ALWAYS_CARRIED:
            continue
        same = {name, *CARRIED_BY.get(name, ())}
        about = [s for s in grounds if any(s.labels[other] in (1, -1) for other in same)]
        sides = {side for s in about for side in s.sides}
        degrees = {degree for s in about if s.labels[name] == 1 for degree in s.degrees}
        for claim in claimed:
            if len(claim.sides) == 1 and sides and not claim.sides & sides:
                yield f"{name}: {min(claim.sides)} in the Impression, {min(sides)} in the Findings"
            if claim.degrees and degrees and _apart(claim.degrees, degrees):
                yield f"{name}: its degree in the Impression contradicts the Findings"


def _sides(word: str) -> tuple[str, ...]:
    return (word,) if word in ("left", "right") else ("left", "right")


def _apart(ours: Set[int], theirs: Set[int]) -> bool:
    """Whether the nearest of two sets of degrees are small and large."""
    return min(abs(a - b) for a in ours for b in theirs) >= 2
