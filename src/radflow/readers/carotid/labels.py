"""Carotid ultrasound reports to normalised key terms and to a fixed set of labels, by rules.

Terms are strings, ``what@where``; where is a side (``right``, ``left``, ``unsided``), with a segment where
the statement has its own::

    plaque@right-bulb  plaque:hard@right-bulb  echo:hypoechoic@left-ICA  surface:irregular@right-bulb
    wall:anterior@right-bulb  count:multiple@left-CCA  plaque:occluding@right-ICA  lumen:string@right
    stenosis:50-69%@right  significant stenosis@left  stenosis:occlusion@right-ECA  imt:thickened@right
    flow:accelerated@right  flow:reversed@left-vertebral  normal@left  history:stent@left-ICA

``no:`` in front is a denial, ``possible:`` a hedge, ``past:`` another time, so "no stenosis" never matches
"stenosis". Stenosis and flow are those of the carotid axis (CCA, bulb, ICA) and have no segment there.

Left out on purpose: measured numbers (mm, cm/s). Two reports that differ by 10 cm/s share their key terms.
Numbers without a word are read where they decide one: "60% stenosis" is 50-69%, "IMT 1.2 mm" is thickened,
and an ICA velocity of 125 cm/s or more, about whose flow the sentence says nothing, is accelerated
(Grant et al., Radiology 2003; 229:340-346). A velocity alone never grades a stenosis: the consensus wants
plaque to be seen as well, and that is for the reader of the picture, or the judge, to conclude.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from radflow.readers.carotid.said import Said, said
from radflow.readers.carotid.sides import SIDES, statements
from radflow.readers.labels import State, stronger
from radflow.readers.lexicon import Match, lexicon
from radflow.readers.scope import Assertion, Scope
from radflow.readers.tokens import Sentence, Span, token_spans

_DOES: dict[Assertion, str] = {"uncertain": "hedges", "absent": "denies", "aside": "puts to another time"}
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
_SIGNIFICANT = tuple(name for name in list(_OBSERVED)[5:9])  # from 50% on
_SEGMENTS = ("CCA", "bulb", "ICA")
_OTHER_VESSELS = ("vertebral", "subclavian")

CAROTID_OBSERVATIONS: tuple[str, ...] = (
    *(f"{side} {what}" for side in SIDES for what in _OBSERVED),
    *(f"{side} {segment} plaque" for side in SIDES for segment in _SEGMENTS),
    "normal",
)
"""Columns of :func:`carotid_labels`, in order."""


class TermEvidence(NamedTuple):
    """One term and what it rests on.

    Attributes:
        term: as in :func:`carotid_terms`.
        phrase: characters of the word that decided.
        rule: in words.
        cue: characters of the word that denies, hedges or puts to another time; ``None`` where nothing does.
    """

    term: str
    phrase: Span
    rule: str
    cue: Span | None


@cache
def carotid_scope() -> Scope:
    """The compiled lexicon, once per process."""
    return Scope(lexicon("carotid"))


def carotid_terms(texts: Sequence[str]) -> list[frozenset[str]]:
    """Read the key terms of each report (the paper's KeyWordMatch compares such sets).

    Args:
        texts: carotid ultrasound reports, or a section of one.

    Returns:
        one set per text; empty where nothing is recognised.

    >>> sorted(carotid_terms(["Right: hard plaque in the bulb. Left: no plaque."])[0])
    ['no:plaque@left', 'plaque:hard@right-bulb', 'plaque@right-bulb']
    """
    return [
        frozenset(
            _term(one, side)
            for statement in statements(carotid_scope(), text)
            for one in said(statement)
            for side in statement.sides
        )
        for text in texts
    ]


def explain(text: str) -> list[TermEvidence]:
    """Read one text and say for every term which characters it rests on and why, in the order of the text.

    >>> text = "Left ICA: no plaque, IMT 1.2 mm."
    >>> for term, phrase, rule, _ in explain(text):
    ...     print(term, "|", text[slice(*phrase)], "|", rule)
    no:plaque@left-ICA | plaque | 'no' denies
    imt:thickened@left | IMT | 1.2 mm is 1 mm or more
    """
    tokens = token_spans(text)
    found = set()
    for statement in statements(carotid_scope(), text):
        for one in said(statement):
            phrase = statement.sentence.span(tokens, one.start, one.end)
            rule = _rule(one, statement.sentence, text[slice(*phrase)])
            match = _cue(one)
            cue = None if match is None else statement.sentence.span(tokens, match.start, match.end)
            found |= {TermEvidence(_term(one, side), phrase, rule, cue) for side in statement.sides}
    return sorted(found, key=lambda evidence: (evidence.phrase, evidence.term))


def _rule(one: Said, sentence: Sentence, phrase: str) -> str:
    rule = f"{' '.join(phrase.split())!r} {one.rule}" if one.rule.startswith("is ") else one.rule
    if one.decided is None or (match := _cue(one)) is None:
        return rule
    cue = " ".join(word for word in sentence.words[match.start : match.end] if word not in ":,;")
    does = f"{cue!r} {_DOES[one.decided.assertion]}"
    return does if rule == "stated" else f"{rule}, {does}"


def _cue(one: Said) -> Match | None:
    if one.decided is None or one.decided.assertion not in _DOES:
        return None
    return one.decided.cue


def _term(one: Said, side: str) -> str:
    return f"{one.head}@{side}-{one.segment}" if one.segment else f"{one.head}@{side}"


def carotid_labels(texts: Sequence[str]) -> list[dict[str, State]]:
    """Label each report, or its Impression alone, with :data:`CAROTID_OBSERVATIONS` (Eq. 6 on ultrasound).

    Returns:
        states 1 stated, 0 denied (by name, or because the side is called normal), -1 hedged, ``None`` not
        mentioned. A stenosis called significant without a grade hedges every grade from 50% on. ``normal`` is
        1 when something was read and nothing is stated or hedged, 0 when something is, ``None`` when nothing
        was read. The vertebral and subclavian arteries have no columns.

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
        if side in SIDES and segment not in _OTHER_VESSELS:
            for name, means in _observations(head, state, side, segment):
                labels[name] = stronger(labels[name], means)
    if terms:
        labels["normal"] = int(all(state in (0, None) for state in labels.values()) and _healthy(terms))
    return labels


def _healthy(terms: frozenset[str]) -> bool:
    """Whether no plaque or stenosis is stated in a place that has no column of its own."""
    return not any(term.startswith(("plaque", "stenosis", "possible:", "significant")) for term in terms)


def _observations(head: str, state: State, side: str, segment: str) -> Iterator[tuple[str, State]]:
    """The (observation, state) pairs that a term speaks about."""
    if head == "normal":
        if state == 1:
            wanted = f"{side} {segment}" if segment else side
            yield from ((name, 0) for name in CAROTID_OBSERVATIONS if name.startswith(wanted))
        return
    if head == "significant stenosis":
        yield from ((f"{side} {what}", -1 if state == 1 else state) for what in _SIGNIFICANT)
    if not (segment == "ECA" and head.startswith("stenosis")):
        yield from ((f"{side} {what}", state) for what, term in _OBSERVED.items() if term == head)
    if head == "plaque" and segment in _SEGMENTS:
        yield f"{side} {segment} plaque", state
    if head == "plaque" and state == 0 and not segment:
        plaques = (name for name in CAROTID_OBSERVATIONS if name.endswith("plaque"))
        yield from ((name, 0) for name in plaques if name.startswith(side))
    if head == "stenosis" and state == 0 and not segment:
        graded = (what for what, term in _OBSERVED.items() if term.startswith("stenosis:"))
        yield from ((f"{side} {what}", 0) for what in graded)
