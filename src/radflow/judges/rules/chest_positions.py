"""Positions of tubes and lines in the rule judge: where a tip lies, and whether that is where it belongs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from radflow.judges.rules.chest_clauses import DEVICE_NOUNS, DEVICES, Mention
from radflow.judges.rules.chest_statements import Section
from radflow.judges.rules.reasons import Reason
from radflow.judges.rules.words import any_of, chest_words, small

_PLACES = {place: any_of(phrases) for place, phrases in chest_words()["places"].items()}
_WELL, _ILL = (any_of(chest_words()["positions"][verdict]) for verdict in ("well", "ill"))
_RIGHT_PLACES = {
    "airway tube": frozenset({"trachea"}),
    "enteric tube": frozenset({"gut"}),
    "venous catheter": frozenset({"superior vena cava", "right atrium"}),
    "chest drain": frozenset({"lung"}),
}
_COILED = any_of(("coil", "kink", r"loop(?:ed|s)\b", r"doubl\w+ back"))
_LOWEST_TUBE = 20.0  # mm above the carina; a tube below that is low


def position_faults(premise: Section, conclusion: Section) -> Iterator[Reason]:
    """Yield a reason for each device whose place, or the verdict on it, is not that of the Findings."""
    for noun in sorted({claim.noun for claim in conclusion.mentions} & DEVICE_NOUNS):
        claims = [claim for claim in conclusion.mentions if claim.noun == noun]
        grounds = [ground for ground in premise.mentions if ground.noun in _covered(noun)]
        ill = any(_is_ill([g for g in grounds if g.noun == name]) for name in _covered(noun))
        well = not ill and any(_places([g]) & _RIGHT_PLACES.get(g.noun, frozenset()) for g in grounds)
        text = _said(claims)
        if _ILL.search(text):
            if well:
                yield _reason(claims, "misplaced in the Impression, where it belongs in the Findings")
        elif _WELL.search(text) and ill:
            yield _reason(claims, "well placed in the Impression, misplaced in the Findings")
        else:
            ours, theirs = _places(claims), _places(grounds)
            if ours and theirs and not ours & theirs and noun != DEVICES:
                what = f"in the {min(ours)} in the Impression, in the {min(theirs)} in the Findings"
                yield _reason(claims, what)


def _covered(noun: str) -> frozenset[str]:
    """What a noun may stand for: "lines and tubes" are all of them."""
    return DEVICE_NOUNS if noun == DEVICES else frozenset({noun})


def _reason(claims: Sequence[Mention], what: str) -> Reason:
    return Reason(about=claims[0].noun, what=what, sentence=claims[0].text)


def _said(mentions: Sequence[Mention]) -> str:
    return " ; ".join(small(mention.text) for mention in mentions)


def _places(mentions: Sequence[Mention]) -> set[str]:
    text = _said(mentions)
    return {place for place, words in _PLACES.items() if words.search(text)}


def _is_ill(grounds: Sequence[Mention]) -> bool:
    """Whether the Findings have a device where it does not belong, or say so."""
    if not grounds:
        return False
    noun, text = grounds[0].noun, _said(grounds)
    places, right = _places(grounds), _RIGHT_PLACES.get(noun)
    low = noun == "airway tube" and "trachea" in places and _lowest(grounds) < _LOWEST_TUBE
    coiled = _COILED.search(text) is not None and "gut" not in places
    return _ILL.search(text) is not None or coiled or low or bool(right and places and not places & right)


def _lowest(grounds: Sequence[Mention]) -> float:
    return min((low for ground in grounds for low, _ in ground.sizes), default=_LOWEST_TUBE)
