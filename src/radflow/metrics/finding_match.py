"""FindingMatch: does a report state what its reference states, on the same side and as large, and no more?

Label F1 does not see a side, and RadGraph F1 may rank "Lungs are not clear" above a paraphrase of "Lungs
are clear". Here both reports are read as facts (:mod:`radflow.readers.facts`), and each fact is worth what
the best fact of the other report confirms of it:

    credit = same finding (1; a kind of it 0.5) x same polarity (1; a hedge 0.7; the opposite 0)
             x a factor for each detail that differs or that only one of the two has

The score is the F1 of the two weighted means. Findings weigh most. A denial weighs little, so that a list
of what is not there earns little; one of something that the other report states weighs as much as a
finding. What is said twice counts once. Findings beyond CheXpert's have many names ("tortuous aorta",
"tortuosity of the aorta"): there the stems of words count that the two have in common. Weights and factors
were set by hand (docs/gaming.md has what they were checked on).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from radflow.metrics.pairs import Reader, check_pairs, read_pairs
from radflow.readers.facts import Fact
from radflow.readers.labels import CHEXPERT_OBSERVATIONS

DEFAULT_READER = "chest-facts"
_PARENTS: Mapping[str, str] = {
    "Atelectasis": "Lung Opacity",
    "Consolidation": "Lung Opacity",
    "Edema": "Lung Opacity",
    "Lung Lesion": "Lung Opacity",
    "Pneumonia": "Consolidation",
    "Cardiomegaly": "Enlarged Cardiomediastinum",
}
"""CheXpert's hierarchy of observations: each is a kind of the other."""
_KIND_OF = 0.5
_HEDGED = 0.7
_DIFFERENT: Mapping[str, float] = {
    "side": 0.1,
    "zone": 0.6,
    "anatomy": 0.6,
    "kind": 0.5,
    "degree": 0.6,
    "number": 0.7,
    "age": 0.7,
    "change": 0.8,
}
"""Factor where the two say different things on an axis."""
_UNSAID: Mapping[str, float] = {
    "side": 0.85,
    "zone": 0.9,
    "anatomy": 0.9,
    "kind": 0.9,
    "degree": 0.9,
    "size": 0.9,
}
"""Factor where only one of the two says anything on an axis."""
_OTHER_AXES = 0.95
_WEIGHT, _MINOR, _DENIAL, _UNCONFIRMED = 1.0, 0.5, 0.1, 0.05
"""Of an observation, of another finding, of a denial, and of a denial where the other report is silent."""
_LIMITS = ("side", "zone", "anatomy", "kind", "degree", "age")
"""What a denial can be limited to: "no large effusion" denies no small one."""
_LEAST_OF_SIZES = 0.3
_SUMMARIES = frozenset({"No Finding"})
_ENDING = re.compile(
    r"(?:ifications?|ified|ations?|at(?:ed|ous)|ions?|ened|ening|ments?|osity|ous|sis|tic|ive|ing|ed|ia|ic|s|a)$"
)
_SAME = {
    "hyperexpans": "hyperinfl",
    "hyperexpand": "hyperinfl",
    "adenopathy": "lymphadenopathy",
    "degenerat": "degener",
    "granuloma": "granulom",
    "aor": "aort",
    "scarr": "scar",
    "spinal": "spine",
}
_SAYS_NOTHING = frozenset({"change", "chang", "finding", "structure", "appearance"})
_LEAST_IN_COMMON = 0.3


def finding_match(
    generated: Sequence[str], reference: Sequence[str], reader: Reader | None = None
) -> Float[np.ndarray, " N"]:
    """Weighted F1 between the facts of each pair, in [0, 1]; both empty is 1.0. Higher is better.

    Args:
        generated: generated reports.
        reference: their references.
        reader: texts to lists of facts; the default is ``chest-facts``.

    Raises:
        DataError: the lists differ in length.

    >>> said = ["Small left effusion.", "Small right effusion.", "No effusion."]
    >>> finding_match(said, ["Small left effusion."] * 3).round(2).tolist()
    [1.0, 0.1, 0.0]
    """
    return finding_match_from_facts(*read_pairs(generated, reference, reader, DEFAULT_READER))


def finding_match_from_facts(
    generated: Sequence[Sequence[Fact]], reference: Sequence[Sequence[Fact]]
) -> Float[np.ndarray, " N"]:
    """FindingMatch of facts that were read before.

    >>> finding_match_from_facts([[], []], [[], [Fact(finding="Edema", state=1, span=(0, 5))]]).tolist()
    [1.0, 0.0]
    """
    check_pairs(generated, reference)
    scores = [_f1(_told(ours), _told(theirs)) for ours, theirs in zip(generated, reference, strict=True)]
    return np.asarray(scores, dtype=np.float64)


_Told = Mapping[tuple[frozenset[str], int, frozenset[str]], Sequence[Fact]]
"""What a report says, once each: names, polarity and side to the facts that say so."""


def _told(facts: Sequence[Fact]) -> _Told:
    told: dict[tuple[frozenset[str], int, frozenset[str]], list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.finding not in _SUMMARIES:
            told[_names(fact), fact.state, fact.values("side")].append(fact)
    return told


@lru_cache(maxsize=65536)
def _names(fact: Fact) -> frozenset[str]:
    """What a finding goes by: CheXpert's name, or the stems of its words with its qualities and its place."""
    if fact.finding in CHEXPERT_OBSERVATIONS:
        return frozenset({fact.finding})
    said = " ".join((fact.finding, *fact.values("quality"), *fact.values("anatomy")))
    stems = (_ENDING.sub("", word) for word in said.lower().split())
    return (frozenset(_SAME.get(stem, stem) for stem in stems) - _SAYS_NOTHING) or frozenset({fact.finding})


def same_finding(fact: Fact, other: Fact) -> float:
    """How much two findings are the same one, in [0, 1], whatever is said of them."""
    if fact.finding in CHEXPERT_OBSERVATIONS or other.finding in CHEXPERT_OBSERVATIONS:
        return float(fact.finding == other.finding)
    mine, theirs = _names(fact), _names(other)
    share = len(mine & theirs) / len(mine | theirs)
    return share if share >= _LEAST_IN_COMMON else 0.0


def _f1(ours: _Told, theirs: _Told) -> float:
    if not ours and not theirs:
        return 1.0
    precision, recall = _confirmed(ours, theirs), _confirmed(theirs, ours)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _confirmed(told: _Told, other: _Told) -> float:
    """The weighted share of what one report says that the other confirms."""
    facts = [fact for group in other.values() for fact in group]
    weights, credits = [], []
    for group in told.values():
        credit = float(np.mean([max((_credit(fact, one) for one in facts), default=0.0) for fact in group]))
        weights.append(_weight(group[0], facts, credit))
        credits.append(credit)
    return float(np.average(credits, weights=weights)) if weights else 0.0


def _weight(fact: Fact, others: Sequence[Fact], credit: float) -> float:
    if fact.state:
        return _WEIGHT if fact.finding in CHEXPERT_OBSERVATIONS else _MINOR
    if any(other.state and _denies(fact, other) for other in others):
        return _WEIGHT
    return _DENIAL if credit else _UNCONFIRMED


def _denies(denial: Fact, fact: Fact) -> bool:
    """Whether a denial is about what a fact states: the same finding, or all of its kind."""
    name: str | None = fact.finding
    while name is not None and name != denial.finding:
        name = _PARENTS.get(name)
    if name is None and not same_finding(denial, fact):
        return False
    limits = ((denial.values(axis), fact.values(axis)) for axis in _LIMITS)
    return all(not limit or limit & said for limit, said in limits)


def _credit(fact: Fact, other: Fact) -> float:
    """What another fact confirms of a fact, in [0, 1]; the same both ways."""
    if bool(fact.state) != bool(other.state):
        return 0.0
    credit = 1.0 if fact.state == other.state else _HEDGED
    if other.finding == _PARENTS.get(fact.finding) or fact.finding == _PARENTS.get(other.finding):
        credit *= _KIND_OF
    else:
        credit *= same_finding(fact, other)
    named = () if fact.finding in CHEXPERT_OBSERVATIONS else ("quality", "anatomy")  # in the names already
    for axis in sorted({detail.axis for detail in (*fact.details, *other.details)}.difference(named)):
        mine, theirs = fact.values(axis), other.values(axis)
        if mine & theirs:
            continue
        if axis == "size" and mine and theirs:
            credit *= _size_ratio(fact, other)
        elif mine and theirs:
            credit *= _DIFFERENT.get(axis, _OTHER_AXES)
        elif fact.state:
            credit *= _UNSAID.get(axis, _OTHER_AXES)
    return credit


def _size_ratio(fact: Fact, other: Fact) -> float:
    """The lesser measurement over the greater, of the two that are closest; at least the factor of a miss."""
    mine, theirs = ([d.high or 0.0 for d in one.details if d.axis == "size"] for one in (fact, other))
    return max([_LEAST_OF_SIZES, *(min(a, b) / max(a, b) for a in mine for b in theirs if a and b)])
