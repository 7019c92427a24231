"""Details in the rule judge: change and newness, sizes, and which side has more of a finding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from radflow.judges.rules.chest_clauses import DEVICE_NOUNS, KNOWN, LESS, MORE, NEW, OLD, SAME, Mention
from radflow.judges.rules.chest_knowledge import CARRIED_BY
from radflow.judges.rules.chest_statements import LARGE, OBSERVATIONS, Section
from radflow.judges.rules.reasons import Reason

_CONTRARY: dict[str, frozenset[str]] = {
    MORE: frozenset({LESS, SAME}),
    LESS: frozenset({MORE, SAME, NEW}),
    SAME: frozenset({MORE, LESS, NEW}),
    NEW: frozenset({SAME, LESS, OLD, KNOWN}),
    OLD: frozenset({NEW}),
    KNOWN: frozenset({NEW}),
}
_MEASURED = frozenset({"Lung Lesion", "Lung Opacity", "Pneumothorax", "aneurysm", "adenopathy"})
"""Whose size an Impression may not bring in."""
_TOLERANCE = 0.2  # of a size: 2.8 cm may be called 3 cm
_MILLIMETRES = re.compile(r"\d\s*-?\s*(?:mm|cm|millimet|centimet)", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left"}


def detail_faults(premise: Section, conclusion: Section) -> Iterator[Reason]:
    """Yield a reason for each change, size or comparison of sides that the Findings contradict."""
    measured = _MILLIMETRES.search(premise.text) is not None
    for claim in conclusion.mentions:
        if not (claim.changes or claim.degrees or claim.sizes or claim.larger):
            continue
        grounds = _grounds(claim, premise.mentions)
        here = [ground for ground in grounds if _same_place(claim, ground)]
        for what in (
            *_change_faults(claim, here),
            *_degree_faults(claim, here),
            *_size_faults(claim, premise.mentions, measured=measured),
            *_side_faults(claim, grounds),
        ):
            yield Reason(about=claim.noun, what=what, sentence=claim.text)


def _grounds(claim: Mention, premise: Sequence[Mention]) -> list[Mention]:
    """What the Findings say of the same finding, or else of one that carries it."""
    own = [ground for ground in premise if ground.noun == claim.noun]
    carrying = CARRIED_BY.get(claim.noun, frozenset())
    return own or [ground for ground in premise if ground.noun in carrying]


def _same_place(claim: Mention, ground: Mention) -> bool:
    sides = not claim.sides or not ground.sides or bool(claim.sides & ground.sides)
    return sides and not (
        claim.sites and ground.sites and min(abs(a - b) for a in claim.sites for b in ground.sites) >= 2
    )


def _change_faults(claim: Mention, here: Sequence[Mention]) -> Iterator[str]:
    said = {change for ground in here for change in ground.changes}
    for change in sorted(claim.changes):
        contrary = _CONTRARY[change] & said
        if contrary and change not in said:
            yield f"{change} in the Impression, {min(contrary)} in the Findings"


def _degree_faults(claim: Mention, here: Sequence[Mention]) -> Iterator[str]:
    """Of what has no label, and of what carries an observation; the rest is :mod:`.chest`'s."""
    ranks = {rank for ground in here for rank in ground.degrees}
    carried = claim.noun not in OBSERVATIONS or all(ground.noun != claim.noun for ground in here)
    if carried and claim.degrees and ranks and min(abs(a - b) for a in claim.degrees for b in ranks) >= LARGE:
        yield "its degree in the Impression contradicts the Findings"


def _size_faults(claim: Mention, premise: Sequence[Mention], *, measured: bool) -> Iterator[str]:
    if not claim.sizes:
        return
    alike = [ground for ground in premise if (ground.noun in DEVICE_NOUNS) == (claim.noun in DEVICE_NOUNS)]
    here = [size for ground in alike if _same_place(claim, ground) for size in ground.sizes]
    anywhere = [size for ground in alike for size in ground.sizes]
    if here and not _near(claim.sizes, here):
        yield "its size in the Impression is not that of the Findings"
    elif not here and anywhere:
        yield "its size in the Impression is that of another place in the Findings"
    elif not measured and claim.noun in _MEASURED:
        yield "measured in the Impression alone"


def _near(ours: Sequence[tuple[float, float]], theirs: Sequence[tuple[float, float]]) -> bool:
    """Whether any two sizes are the same up to rounding."""
    return any(
        low * (1 - _TOLERANCE) <= top and bottom * (1 - _TOLERANCE) <= high
        for low, high in ours
        for bottom, top in theirs
    )


def _side_faults(claim: Mention, grounds: Sequence[Mention]) -> Iterator[str]:
    """Degrees that the Findings have the other way round, and the wrong side called the larger."""
    own = [ground for ground in grounds if ground.noun == claim.noun]
    ranks = {
        side: {rank for ground in own if ground.sides == {side} for rank in ground.degrees}
        for side in ("left", "right")
    }
    if len(claim.sides) == 1 and claim.degrees:
        side = min(claim.sides)
        other = _OTHER[side]
        if ranks[side] and not claim.degrees & ranks[side] and claim.degrees <= ranks[other]:
            yield f"of a degree that the Findings give the {other} side"
    for side in claim.larger:
        other = _OTHER[side]
        said = {larger for ground in own for larger in ground.larger}
        if (said and side not in said) or (
            ranks[side] and ranks[other] and max(ranks[side]) < max(ranks[other])
        ):
            yield f"larger on the {side} in the Impression, on the {other} in the Findings"
