"""What a carotid ultrasound report says, as facts: one per finding, side and segment, with its details."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from radflow.readers.carotid.labels import carotid_scope
from radflow.readers.carotid.said import said
from radflow.readers.carotid.sides import NOWHERE, Statement, statements
from radflow.readers.facts import Detail, Fact, numbers
from radflow.readers.tokens import Span, token_spans

_PLAQUE = frozenset({"plaque", "echo", "surface", "wall", "count", "stability"})
"""What stands before the colon of a term that describes a plaque."""
_MEASURES = re.compile(
    r"(?P<IMT>\bIMT\b|intima)|(?P<PSV>\bPSV\b|velocit)|(?P<EDV>\bEDV\b|end.diastolic)|(?P<ratio>\bratio\b)"
    r"|(?P<plaque>plaque)|(?P<stenosis>stenos|narrow|occlu)|(?P<diameter>diameter|lumen)",
    re.IGNORECASE,
)
_NORMAL = frozenset({"normal", "antegrade"})
_ALL_HEALTHY = ("plaque", "stenosis", "thickened intima-media", "flow")
"""What a side that is called normal does not have."""


class _Term(NamedTuple):
    """A term as a fact: its finding, whether it is there, and the detail that it gives, if it gives one."""

    finding: str
    state: int
    axis: str = ""
    value: str = ""


@dataclass
class _Growing:
    """A fact whose details are still coming in."""

    state: int
    span: Span
    details: dict[tuple[str, str], Detail] = field(default_factory=dict)

    def add(self, detail: Detail) -> None:
        self.details.setdefault((detail.axis, detail.value), detail)


def carotid_facts(text: str) -> list[Fact]:
    """Read one report.

    >>> for fact in carotid_facts("Left: ulcerated plaque on the anterior wall of the bulb. PSV 90 cm/s."):
    ...     print(fact.finding, fact.state, [detail.value for detail in fact.details])
    plaque 1 ['left', 'bulb', 'anterior', 'ulcerated']
    PSV 1 ['left', '90 cm/s']
    """
    tokens = token_spans(text)
    found: list[Fact] = []
    for sentence in _sentences(list(statements(carotid_scope(), text))):
        start, end = sentence[0].sentence.span(tokens)
        said_here = [fact for statement in sentence for fact in _facts(statement, tokens)]
        for measured in _measured(text, start, end, sentence, tokens):
            _join(said_here, measured)
        found += said_here
    return found


def _join(found: list[Fact], measured: Fact) -> None:
    """A number belongs to what its sentence says of the same finding and side, or stands by itself."""
    for place, fact in enumerate(found):
        same = fact.finding == measured.finding and fact.values("side") == measured.values("side")
        if same and fact.state != 0:
            found[place] = replace(fact, details=(*fact.details, measured.details[-1]))
            return
    found.append(measured)


def _sentences(read: Sequence[Statement]) -> Iterator[list[Statement]]:
    """Statements by the sentence they stand in."""
    together: list[Statement] = list(read[:1])
    for before, now in pairwise(read):
        if now.sentence is not before.sentence:
            yield together
            together = []
        together.append(now)
    if together:
        yield together


def _facts(statement: Statement, tokens: Sequence[Span]) -> Iterator[Fact]:
    """The terms of one statement, with those about the same finding in the same place as one fact."""
    grown: dict[tuple[str, str, str | None], _Growing] = {}
    for one in said(statement):
        span = statement.sentence.span(tokens, one.start, one.end)
        for term in _terms(one.head):
            for side in statement.sides:
                key = (term.finding, side, one.segment)
                if key not in grown:
                    grown[key] = _Growing(term.state, span)
                    for place in _places(statement, tokens, side, one.segment):
                        grown[key].add(place)
                if term.axis:
                    grown[key].add(Detail(axis=term.axis, value=term.value, span=span))
                elif term.finding == "plaque":
                    grown[key].span = span
    for (finding, _, _), fact in grown.items():
        yield Fact(finding=finding, state=fact.state, span=fact.span, details=tuple(fact.details.values()))


def _terms(head: str) -> Iterator[_Term]:
    """``surface:ulcerated`` is plaque whose surface is ulcerated; ``normal`` denies plaque and the rest."""
    state = 1
    for prefix, means in (("no:", 0), ("possible:", -1), ("past:", None)):
        if head.startswith(prefix):
            if means is None:
                return
            head, state = head.removeprefix(prefix), means
    name, _, value = head.partition(":")
    if head == "normal":
        yield from (_Term(finding, 0) for finding in _ALL_HEALTHY if state == 1)
    elif head == "significant stenosis":
        yield _Term("stenosis", state, "grade", "significant")
    elif name == "imt":
        yield _Term("thickened intima-media", state)
    elif value in _NORMAL:
        yield _Term(name, 0)
    elif not value or name in ("history", "lumen", "intima"):
        yield _Term(head, state)
    elif name in _PLAQUE:
        yield _Term("plaque", state, "kind" if name == "plaque" else name, value)
    else:
        yield _Term(name, state, "grade" if name == "stenosis" else "state", value)


def _places(statement: Statement, tokens: Sequence[Span], side: str, segment: str | None) -> Iterator[Detail]:
    """Side and segment, each with the word that says it where the sentence itself does."""
    sentence = statement.sentence
    words: dict[str, Span] = {
        word: sentence.span(tokens, at, at + 1) for at, word in enumerate(sentence.words)
    }
    for mention in statement.mentions:
        entry = mention.match.entry
        if entry.kind in ("side", "segment"):
            span = sentence.span(tokens, *mention.match[:2])
            words |= {entry.name: span} | ({entry.data["side"]: span} if "side" in entry.data else {})
    if side != NOWHERE:
        yield Detail(axis="side", value=side, span=words.get(side) or words.get("both"))
    if segment:
        found = words.get(segment) or words.get(segment.lower())
        yield Detail(axis="segment", value=segment, span=found)


def _measured(
    text: str, start: int, end: int, sentence: Sequence[Statement], tokens: Sequence[Span]
) -> Iterator[Fact]:
    """The numbers of a sentence: what each measures is the last measure named before it, else the next."""
    named = list(_MEASURES.finditer(text, start, end))
    for number in numbers(text[start:end]):
        at = Span(number.span.start + start, number.span.end + start)
        before = [match for match in named if match.start() < at.start]
        behind = [match for match in named if match.start() >= at.end]
        measure = (before[-1:] or behind[:1] or [None])[0]
        is_grade = number.unit == "%"
        what = "stenosis" if is_grade else (measure.lastgroup if measure else None) or "size"
        span = at if is_grade or measure is None else Span(*measure.span())
        axis = "percentage" if is_grade else "size"
        value = Detail(axis=axis, value=number.text, span=at, low=number.low, high=number.high)
        statement = _around(at, sentence, tokens)
        for side in statement.sides:
            place = _places(statement, tokens, side, None)
            yield Fact(finding=what, state=1, span=span, details=(*place, value))


def _around(at: Span, sentence: Sequence[Statement], tokens: Sequence[Span]) -> Statement:
    """The part of a sentence that holds a number."""
    for statement in sentence:
        first, last = statement.numbers
        last = min(last, len(statement.sentence.words))
        if first < last:
            reach = statement.sentence.span(tokens, first, last)
            if reach.start <= at.start < reach.end:
                return statement
    return sentence[0]
