"""Which side, left or right, each part of a carotid report speaks about.

A report is written in blocks ("Right: ...", holding until the next one), in sentences that name a side, or in
sentences that name both and say something else of each ("60% stenosis on the right and 40% on the left"). A
sentence that names no side goes on about the side before it; where there is none, a denial is about both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from radflow.readers.carotid.numbers import number
from radflow.readers.scope import Mention, Reading, Scope
from radflow.readers.tokens import Sentence, Span, token_spans

SIDES = ("right", "left")
NOWHERE = "unsided"
"""Stands for the side where a report asserts something of one and does not say of which."""

_PLACES = frozenset({"side", "segment", "vessel"})  # kinds that say where, and nothing else
_ADJECTIVES = frozenset({"kind", "echo", "surface", "wall"})
_QUIET = frozenset({*_PLACES, *_ADJECTIVES, "velocity"})  # no statement on their own
_SEPARATORS = frozenset({",", ";", ":", "and", "but", "while", "whereas", "with"})
_FILLERS = frozenset(
    {"artery", "carotid", "side", "system", "the", "vessel", "of", "on", "and", "/", "level"}
)
_HEADER_WORDS = 8
_LENT = 8  # mentions that a part without a statement of its own takes over from its neighbour
_CONCLUSION = re.compile(
    r"\b(?:findings?|impressions?|conclusions?|summary|opinion|diagnosis)\s*[:\n]", re.IGNORECASE
)


class Statement(NamedTuple):
    """A sentence, or the part of one that is about one place.

    Attributes:
        sentence: the sentence it stands in.
        mentions: its own and those it takes over from its neighbour; positions count the sentence's words.
        sides: ``right``, ``left``, both, or ``unsided``.
        segments: named by the header in front, for what names none itself.
        numbers: where its numbers are, as ``words[start:end]``.
        commas: where the commas and semicolons of the sentence are.
    """

    sentence: Sentence
    mentions: Sequence[Mention]
    sides: tuple[str, ...]
    segments: tuple[str, ...]
    numbers: tuple[int, int]
    commas: Sequence[int]


def statements(scope: Scope, text: str) -> Iterator[Statement]:
    """Read a text sentence by sentence, with the side that each part of it is about."""
    readings = scope.read(text)
    if not readings:
        return
    tokens = token_spans(text)
    sections = [match.start() for match in _CONCLUSION.finditer(text)]
    context, passed = _Context(), 0
    for reading in readings:
        at = reading.sentence.span(tokens).start
        while passed < len(sections) and sections[passed] <= at:
            passed += 1
            context = replace(context, block=(), segments=(), last=())
        yield from _read(context, reading, text, tokens)


@dataclass
class _Context:
    """What holds from one sentence to the next."""

    block: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    seen: bool = False  # whether the report named a side anywhere before

    def enter(self, head: Sequence[Mention]) -> None:
        """A header opens a block, or, without a side, names the segment inside it."""
        self.block = _named(head) or self.block
        self.segments, self.last = _segments(head), ()
        self.seen = self.seen or bool(self.block)

    def hear(self, sides: tuple[str, ...]) -> None:
        """A sentence names sides; what follows goes on about them where no block holds."""
        self.last, self.seen = sides, True

    def sides(self) -> tuple[str, ...]:
        return self.block or self.last


def _read(context: _Context, reading: Reading, text: str, tokens: Sequence[Span]) -> Iterator[Statement]:
    sentence, mentions = reading.sentence, reading.mentions
    plural = _plural(mentions, sentence, text, tokens)
    start = _header(sentence.words, mentions)
    if start:
        head = [mention for mention in mentions if mention.match.end <= start]
        mentions = [mention for mention in mentions if mention.match.start >= start]
        plural = plural and not _named(head)
        context.enter(head)
    if len({_side(mention) for mention in mentions} - {None}) > 1:
        context.hear(SIDES)
        yield from _parts(sentence, mentions, start, context.segments)
        return
    named = _named(mentions)
    if named:
        context.hear(named)
        if not start:
            context.segments = ()
        if named != context.block and _side(mentions[0]) and mentions[0].match.start <= start + 1:
            context.block = ()  # "Right: ... Left ICA shows plaque.": the block is over
    sides = named or (SIDES if plural else context.sides()) or _default(mentions, context)
    if sides:
        numbers = (start, len(sentence.words))
        yield Statement(sentence, mentions, sides, context.segments, numbers, _commas(sentence.words))


def _commas(words: Sequence[str]) -> list[int]:
    return [place for place, word in enumerate(words) if word in (",", ";")]


def _header(words: Sequence[str], mentions: Sequence[Mention]) -> int:
    """Where the sentence starts behind a header such as ``Right ICA:``; 0 where there is none."""
    end = 0
    while end < len(words) and words[end] != ":":
        end += 1
        if end > _HEADER_WORDS:
            return 0
    places = [mention.match for mention in mentions if mention.match.start < end]
    if not places or any(match.entry.kind not in _PLACES for match in places):
        return 0
    covered = sum(match.end - match.start for match in places)
    inside = {place for match in places for place in range(match.start, match.end)}
    free = [word for place, word in enumerate(words[:end]) if place not in inside]
    if covered + sum(word in _FILLERS for word in free) < end:
        return 0
    if end == len(words):  # a line of its own, or "Rt." cut off by its full stop
        return end if any(_side(mention) for mention in mentions) else 0
    return end + 1


def _side(mention: Mention) -> str | None:
    entry = mention.match.entry
    return entry.name if entry.kind == "side" else entry.data.get("side")


def _named(mentions: Sequence[Mention]) -> tuple[str, ...]:
    names = {_side(mention) for mention in mentions}
    return SIDES if "both" in names else tuple(side for side in SIDES if side in names)


def _segments(mentions: Sequence[Mention]) -> tuple[str, ...]:
    names = (mention.match.entry.name for mention in mentions if mention.match.entry.kind == "segment")
    return tuple(dict.fromkeys(names))


def _plural(mentions: Sequence[Mention], sentence: Sentence, text: str, tokens: Sequence[Span]) -> bool:
    """Whether vessels are named in the plural: "the vertebral arteries" are those of both sides."""
    for mention in mentions:
        if mention.match.entry.kind in ("segment", "vessel"):
            last = mention.match.end
            spelt = text[slice(*sentence.span(tokens, last - 1, last))].lower()
            if spelt.endswith("s") and spelt != sentence.words[last - 1]:
                return True
    return False


def _default(mentions: Sequence[Mention], context: _Context) -> tuple[str, ...]:
    """The sides of a sentence that names none, where none was named before it in its section."""
    kinds = {mention.match.entry.kind for mention in mentions}
    said = [mention for mention in mentions if mention.match.entry.kind not in _QUIET]
    healthy = all(
        mention.assertion == "absent" or mention.match.entry.name in ("normal", "<50%") for mention in said
    )
    if kinds <= {"quality", "health", "surface", "wall", "kind"}:
        return SIDES if context.seen and healthy and said else ()
    return SIDES if healthy and said else (NOWHERE,)


@dataclass
class _Part:
    """A run of words between separators."""

    start: int
    end: int
    mentions: list[Mention]
    sides: tuple[str, ...]
    states: bool  # says something, apart from where
    names: bool  # names something that a neighbour can take over
    counts: bool  # holds a number


def _parts(
    sentence: Sentence, mentions: Sequence[Mention], start: int, segments: tuple[str, ...]
) -> Iterator[Statement]:
    """Cut a sentence that names both sides into the parts that are about each."""
    parts = list(_cut(sentence.words, mentions, start))
    first_side = next(part.start for part in parts if part.sides)
    leads = not any(part.states or part.counts for part in parts if part.start < first_side) and _side_first(
        next(part for part in parts if part.sides), sentence.words
    )
    _give_sides(parts, leads=leads)
    lender: _Part | None = None
    near: tuple[str, ...] = ()  # segments of the part that last named its side
    commas = _commas(sentence.words)
    following = _next_naming(parts)
    for part, after in zip(parts, following, strict=True):
        said, numbers = part.mentions, part
        if part.names:
            lender = part
        elif (source := lender or after) is not None:
            said = _borrow(part, source)
            numbers = part if part.counts else source
        if _named(part.mentions):
            near = _segments(part.mentions)
        inherited = (near if part.names else ()) or segments
        yield Statement(sentence, said, part.sides, inherited, (numbers.start, numbers.end), commas)


def _cut(words: Sequence[str], mentions: Sequence[Mention], start: int) -> Iterator[_Part]:
    """Runs of words between separators. A run that names no side and states nothing joins the one before."""
    remaining = iter([*mentions, None])
    mention = next(remaining)
    held: _Part | None = None
    begin = start
    for place in range(start, len(words) + 1):
        if place < len(words) and words[place] not in _SEPARATORS:
            continue
        own: list[Mention] = []
        while mention is not None and mention.match.start < max(place, begin + 1):
            own.append(mention)
            mention = next(remaining)
        part = _part(words, begin, place, own)
        if held is not None and not part.sides and not part.states:
            held.end = part.end
            held.mentions += part.mentions
            held.counts |= part.counts
            held.names |= part.names
        else:
            if held is not None:
                yield held
            held = part
        begin = place + 1
    if held is not None:
        yield held


def _part(words: Sequence[str], begin: int, end: int, own: list[Mention]) -> _Part:
    kinds = {mention.match.entry.kind for mention in own}
    counts = any(number(word) is not None for word in words[begin:end])
    return _Part(
        begin, end, own, _named(own), bool(kinds - _QUIET), bool(kinds - _PLACES - _ADJECTIVES), counts
    )


def _side_first(part: _Part, words: Sequence[str]) -> bool:
    """Whether the side stands before what is said ("right ICA plaque"), not behind it ("0.8 mm right")."""
    for mention in part.mentions:
        if _side(mention):
            before = words[part.start : mention.match.start]
            return not any(number(word) is not None for word in before)
        if mention.match.entry.kind not in _PLACES:
            return False
    return True


def _give_sides(parts: Sequence[_Part], *, leads: bool) -> None:
    """Parts without a side: those between belong to the side before; in front and behind, it depends."""
    sided = [place for place, part in enumerate(parts) if part.sides]
    for place, part in enumerate(parts):
        if part.sides:
            continue
        if place < sided[0]:
            part.sides = parts[sided[0]].sides if parts[sided[0]].states else SIDES
        elif place > sided[-1] and not leads:
            part.sides = SIDES
        else:
            part.sides = parts[place - 1].sides


def _next_naming(parts: Sequence[_Part]) -> list[_Part | None]:
    following: list[_Part | None] = []
    found: _Part | None = None
    for part in reversed(parts):
        following.append(found)
        found = part if part.names else found
    return following[::-1]


def _borrow(part: _Part, source: _Part) -> list[Mention]:
    """``right bulb and left ICA plaque``: the right bulb has plaque too, in its own segment."""
    own = {mention.match.entry.kind for mention in part.mentions}
    lent = [
        mention
        for mention in source.mentions[-_LENT:]
        if mention.match.entry.kind != "side" and mention.match.entry.kind not in own
    ]
    ahead = source.start < part.start
    return [*lent, *part.mentions] if ahead else [*part.mentions, *lent]
