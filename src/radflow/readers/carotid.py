"""Carotid ultrasound reports to normalised key terms and to a fixed set of labels, by rules.

A report has a side for every statement: from a block ("Right: ...", holding until the next one) or from a
side word in the sentence. Terms are strings, ``what@where``:

    plaque@right-bulb  plaque:hard@right-bulb  surface:irregular@right-bulb  wall:anterior@right-bulb
    plaque:occluding@right-ICA  lumen:string@right  stenosis:50-69%@right  imt:thickened@right
    flow:accelerated@right  normal@left

``no:`` in front is a denial, ``possible:`` a hedge, so "no stenosis" never matches "stenosis". Left out on
purpose: measured numbers (mm, cm/s). Two reports that differ by 10 cm/s share their key terms; numbers
without a word are still read where they decide one ("IMT 1.2 mm" is thickened, "60% stenosis" is 50-69%).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from radflow.readers.labels import State, stronger
from radflow.readers.lexicon import lexicon
from radflow.readers.scope import Assertion, Mention, Reading, Scope

SIDES = ("right", "left")
GRADES = ("<50%", "50-69%", ">=70%", "near occlusion", "occlusion")
THICKENED_MM = 1.0
"""Intima-media thickness from which a bare number counts as thickened."""

_OBSERVED = {  # observation of a side -> the term that asserts it
    "plaque": "plaque",
    "hard plaque": "plaque:hard",
    "soft plaque": "plaque:soft",
    "mixed plaque": "plaque:mixed",
    "stenosis <50%": "stenosis:<50%",
    "stenosis 50-69%": "stenosis:50-69%",
    "stenosis >=70%": "stenosis:>=70%",
    "near occlusion": "stenosis:near occlusion",
    "occlusion": "stenosis:occlusion",
    "thickened intima-media": "imt:thickened",
}
_SEGMENTS = ("CCA", "bulb", "ICA")

CAROTID_OBSERVATIONS: tuple[str, ...] = (
    *(f"{side} {what}" for side in SIDES for what in _OBSERVED),
    *(f"{side} {segment} plaque" for side in SIDES for segment in _SEGMENTS),
    "normal",
)
"""Columns of :func:`carotid_labels`, in order."""

_PREFIX: dict[Assertion, str] = {"present": "", "uncertain": "possible:", "absent": "no:", "aside": "past:"}
_BELOW = frozenset({"<", "below", "under", "than", "≤"})


@cache
def _scope() -> Scope:
    return Scope(lexicon("carotid"))


def carotid_terms(texts: Sequence[str]) -> list[frozenset[str]]:
    """Read the key terms of each report (the paper's KeyWordMatch compares such sets).

    Args:
        texts: carotid ultrasound reports, or a section of one.

    Returns:
        one set a text; empty where nothing is recognised.

    >>> sorted(carotid_terms(["Right: hard plaque in the bulb. Left: no plaque."])[0])
    ['no:plaque@left', 'plaque:hard@right-bulb', 'plaque@right-bulb']
    """
    return [frozenset(_terms(text)) for text in texts]


def carotid_labels(texts: Sequence[str]) -> list[dict[str, State]]:
    """Label each report, or its Impression alone, with :data:`CAROTID_OBSERVATIONS` (Eq. 6 on ultrasound).

    Returns:
        states 1 stated, 0 denied (by name, or because the side is called normal), -1 hedged, ``None`` not
        mentioned. ``normal`` is 1 when something was read and nothing is stated or hedged, 0 when something
        is, ``None`` when nothing was read.

    >>> labels = carotid_labels(["Right: normal. Left: ICA plaque with 50-69% stenosis."])[0]
    >>> [name for name, state in labels.items() if state == 1]
    ['left plaque', 'left stenosis 50-69%', 'left ICA plaque']
    >>> labels["right plaque"], labels["normal"]
    (0, 0)
    """
    return [_labels(terms) for terms in carotid_terms(texts)]


def _labels(terms: frozenset[str]) -> dict[str, State]:
    labels: dict[str, State] = dict.fromkeys(CAROTID_OBSERVATIONS)
    for term in terms:
        head, _, place = term.partition("@")
        side, _, segment = place.partition("-")
        state: State = 1
        for prefix, meant in (("no:", 0), ("possible:", -1), ("past:", None)):
            if head.startswith(prefix):
                head, state = head.removeprefix(prefix), meant
        for name in _observations(head, state, side, segment):
            labels[name] = stronger(labels[name], state if head != "normal" else 0)
    if terms:
        labels["normal"] = int(all(state in (0, None) for state in labels.values()))
    return labels


def _observations(head: str, state: State, side: str, segment: str) -> list[str]:
    """The observations that a term speaks about."""
    if head == "normal" and state == 1:
        return [name for name in CAROTID_OBSERVATIONS if name.startswith(side)]
    names = [f"{side} {what}" for what, term in _OBSERVED.items() if term == head]
    if head == "plaque" and segment in _SEGMENTS:
        names.append(f"{side} {segment} plaque")
    if head == "plaque" and state == 0:
        names += [name for name in CAROTID_OBSERVATIONS if name.startswith(side) and name.endswith("plaque")]
    if head == "stenosis" and state == 0:
        names += [f"{side} {what}" for what, term in _OBSERVED.items() if term.startswith("stenosis:")]
    return names


def _terms(text: str) -> Iterator[str]:
    block: tuple[str, ...] = ()
    for reading in _scope().read(text):
        block, sides = _sides(reading, block)
        for side in sides:
            for term, segment in _said(reading, side if len(sides) == 1 else None):
                yield f"{term}@{side}-{segment}" if segment else f"{term}@{side}"


def _sides(reading: Reading, block: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The block in force after this sentence, and the sides it speaks about."""
    named = [mention for mention in reading.mentions if mention.match.entry.kind == "side"]
    words = reading.sentence.words
    if named and named[0].match.start == 0 and words[named[0].match.end : named[0].match.end + 1] == [":"]:
        name = named[0].match.entry.name
        block = SIDES if name == "both" else (name,)
        return block, block
    names = {mention.match.entry.name for mention in named}
    if "both" in names or names == set(SIDES):
        return block, SIDES
    return block, tuple(names) or block


def _said(reading: Reading, side: str | None) -> Iterator[tuple[str, str | None]]:
    """The (term, segment) pairs of one sentence."""
    by_kind: dict[str, list[Mention]] = {}
    for mention in reading.mentions:
        by_kind.setdefault(mention.match.entry.kind, []).append(mention)
    yield from _plaques(reading.mentions, by_kind)
    yield from _stenosis(reading.sentence.words, by_kind)
    yield from _measured(reading.sentence.words, by_kind)
    for mention in by_kind.get("lumen", ()):
        if mention.match.entry.name == "string":
            yield f"{_PREFIX[mention.assertion]}lumen:string", None


def _plaques(
    mentions: Sequence[Mention], by_kind: dict[str, list[Mention]]
) -> Iterator[tuple[str, str | None]]:
    """Give each plaque the adjectives and segments nearest to it."""
    plaques = by_kind.get("plaque", [])
    about: list[dict[str, list[str]]] = [{} for _ in plaques]
    passed = -1  # plaques already behind us
    for mention in mentions if plaques else ():
        kind, name = mention.match.entry.kind, mention.match.entry.name
        if kind == "plaque":
            passed += 1
        elif kind in ("kind", "surface", "wall", "segment", "lumen"):
            # A kind stands before its plaque; the rest may follow it.
            owner = min(passed + 1, len(plaques) - 1) if kind == "kind" else max(passed, 0)
            about[owner].setdefault(kind, []).append(name)
    for plaque, said in zip(plaques, about, strict=True):
        prefix = _PREFIX[plaque.assertion]
        for segment in said.get("segment") or [None]:
            yield f"{prefix}plaque", segment
            for kind in said.get("kind", ()):
                yield f"{prefix}plaque:{kind}", segment
            for what in ("surface", "wall"):
                for name in said.get(what, ()):
                    yield f"{prefix}{what}:{name}", segment
            if "filled" in said.get("lumen", ()):
                yield f"{prefix}plaque:occluding", segment


def _stenosis(words: Sequence[str], by_kind: dict[str, list[Mention]]) -> Iterator[tuple[str, str | None]]:
    graded = by_kind.get("grade", [])
    for mention in graded:
        yield f"{_PREFIX[mention.assertion]}stenosis:{mention.match.entry.name}", None
    named = by_kind.get("stenosis", [])
    grade = _percent_grade(words) if named and not graded else None
    for mention in named if not graded else ():
        prefix = _PREFIX[mention.assertion]
        yield (f"{prefix}stenosis:{grade}" if grade else f"{prefix}stenosis"), None


def _percent_grade(words: Sequence[str]) -> str | None:
    """The grade of a sentence's first percentage: ``60 %`` is 50-69%; of a range the lower end counts."""
    for place, word in enumerate(words):
        if word == "%" and place and _number(words[place - 1]) is not None:
            start = place - 1
            if start and _number(words[start - 1]) is not None:
                start -= 1
            value = _number(words[start]) or 0.0
            if start and words[start - 1] in _BELOW:
                value -= 1
            return (
                "<50%" if value < 50 else "50-69%" if value < 70 else ">=70%" if value < 100 else "occlusion"
            )
    return None


def _measured(words: Sequence[str], by_kind: dict[str, list[Mention]]) -> Iterator[tuple[str, str | None]]:
    """Flow, intima-media thickness, or a whole side that is normal."""
    qualities = by_kind.get("quality", [])
    flows, imts = by_kind.get("flow", []), by_kind.get("imt", [])
    for quality in qualities:
        name, prefix = quality.match.entry.name, _PREFIX[quality.assertion]
        if name == "thickened":
            if imts:
                yield f"{prefix}imt:thickened", None
        elif flows:
            yield f"{prefix}flow:{name}", None
        elif name == "normal":
            yield ("no:imt:thickened" if imts else f"{prefix}normal"), None
    if flows and not qualities:
        yield ("flow:absent" if flows[0].assertion == "absent" else "flow"), None
    if imts and not qualities:
        numbers = [number for word in words if (number := _number(word)) is not None]
        if numbers:
            yield ("imt:thickened" if max(numbers) >= THICKENED_MM else "no:imt:thickened"), None
    for health in by_kind.get("health", ()):
        yield ("normal" if health.assertion == "absent" else "abnormal"), None


def _number(word: str) -> float | None:
    return (
        float(word)
        if word[:1].isdecimal() and word.replace(".", "", 1).isdecimal() and word.isascii()
        else None
    )
