"""What one statement of a carotid report says of its side: plaque, stenosis, flow, thickness, the rest."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from radflow.readers.carotid.numbers import (
    ACCELERATED_CM_S,
    THICKENED_MM,
    Percentage,
    grade_of_percentage,
    percentage,
    thickness_mm,
    velocity_cm_s,
)
from radflow.readers.carotid.sides import Statement
from radflow.readers.scope import Assertion, Mention

_PREFIX: dict[Assertion, str] = {"present": "", "uncertain": "possible:", "absent": "no:", "aside": "past:"}
BESIDE_THE_AXIS = frozenset({"ECA", "vertebral", "subclavian"})
_OF_PLAQUE = frozenset({"kind", "echo", "surface", "wall", "segment", "lumen", "count", "stability"})
_BEFORE_PLAQUE = frozenset({"kind", "echo", "count"})  # these stand before their noun; the rest may follow it
_MEASURED = frozenset({"flow", "imt", "diameter", "resistance", "velocity"})
_ENDS_MEASUREMENT = frozenset({*_MEASURED, "end", "plaque", "stenosis", "grade"})
_NOUNS = frozenset({"plaque", "stenosis", "grade", "quality", "health", "finding", *_MEASURED})
_HISTORY = "history:"


class Said(NamedTuple):
    """A term without its side.

    Attributes:
        head: what is said, with its prefix: ``no:plaque``.
        segment: where, or ``None``.
        start: first word of what decided.
        end: word behind it.
        rule: why, in words; what starts with "is" is said of the words themselves.
        decided: the mention whose cue, if it has one, made the prefix.
    """

    head: str
    segment: str | None
    start: int
    end: int
    rule: str
    decided: Mention | None = None


class _Sorted:
    """The mentions of a statement by kind."""

    def __init__(self, statement: Statement) -> None:
        self.words = statement.sentence.words
        self.numbers = statement.numbers
        self.mentions = statement.mentions
        self.kinds: dict[str, list[Mention]] = {}
        for mention in statement.mentions:
            self.kinds.setdefault(mention.match.entry.kind, []).append(mention)
        named = [mention.match.entry.name for mention in self.of("segment")] or list(statement.segments)
        self.segments = tuple(dict.fromkeys(named))
        beside = all(segment in BESIDE_THE_AXIS for segment in self.segments)
        self.beside: tuple[str | None, ...] = self.segments if beside and self.segments else (None,)
        self.inherited = statement.segments
        self.ends = [
            mention.match.start
            for mention in statement.mentions
            if mention.match.entry.kind in _ENDS_MEASUREMENT
        ]
        self.commas = statement.commas
        self.of_intima = {id(mention): mention for mention in _of_intima(statement.mentions)}
        self.healthy = _healthy_places(statement.mentions, statement.segments)

    def of(self, kind: str) -> list[Mention]:
        return self.kinds.get(kind, [])


def _of_intima(mentions: Sequence[Mention]) -> Iterator[Mention]:
    """The surface words that describe the intima, not a plaque: behind it, or right in front of it."""
    noun = ""
    for mention, following in zip_longest(mentions, mentions[1:]):
        kind = mention.match.entry.kind
        if kind in ("imt", "plaque"):
            noun = kind
        elif kind == "surface" and (noun == "imt" or _touches(mention, following, "imt")):
            yield mention


def _touches(mention: Mention, following: Mention | None, kind: str) -> bool:
    if following is None or following.match.entry.kind != kind:
        return False
    return mention.match.end == following.match.start


def said(statement: Statement) -> Iterator[Said]:
    """Every term of one statement, without the side."""
    sorted_ = _Sorted(statement)
    yield from _plaques(sorted_)
    yield from _stenosis(sorted_)
    yield from _qualities(sorted_)
    yield from _thickness(sorted_)
    yield from _velocity(sorted_)
    yield from _findings(sorted_)


def _plaques(given: _Sorted) -> Iterator[Said]:
    """Give each plaque the adjectives and segments nearest to it."""
    plaques = given.of("plaque")
    about: list[list[Mention]] = [[] for _ in plaques]
    passed = -1  # plaques already behind us
    taken = False  # whether the segments so far belong to something else
    for mention in given.mentions if plaques else ():
        kind = mention.match.entry.kind
        if kind == "plaque":
            passed += 1
        elif kind in _OF_PLAQUE and id(mention) not in given.of_intima:
            if kind == "segment" and passed < 0 and taken:
                about[0] = [other for other in about[0] if other.match.entry.kind != "segment"]
                taken = False
            owner = min(passed + 1, len(plaques) - 1) if kind in _BEFORE_PLAQUE else max(passed, 0)
            about[owner].append(mention)
        elif kind in _NOUNS:
            taken = True
    for plaque, described in zip(plaques, about, strict=True):
        places = [mention.match.entry.name for mention in described if mention.match.entry.kind == "segment"]
        for segment in tuple(dict.fromkeys(places)) or given.inherited or (None,):
            yield _term("plaque", plaque, segment)
            for kind in plaque.match.entry.data.get("kinds", ()):
                yield _term(f"plaque:{kind}", plaque, segment)
            yield from _described(plaque, described, segment)


def _described(plaque: Mention, described: Sequence[Mention], segment: str | None) -> Iterator[Said]:
    once = {(m.match.entry.kind, m.match.entry.name): m for m in reversed(described)}
    for (kind, name), mention in once.items():
        if kind == "kind":
            yield _term(f"plaque:{name}", plaque, segment, shown=mention)
        elif kind == "echo":
            yield _term(f"echo:{name}", plaque, segment, shown=mention)
            if "kind" in mention.match.entry.data:
                yield _term(f"plaque:{mention.match.entry.data['kind']}", plaque, segment, shown=mention)
        elif kind == "lumen":
            if name == "filled":
                yield _term("plaque:occluding", plaque, segment, shown=mention)
        elif kind != "segment":
            yield _term(f"{kind}:{name}", plaque, segment, shown=mention)


def _stenosis(given: _Sorted) -> Iterator[Said]:
    """Grades: a percentage decides, else a word, else the stenosis stands without a grade."""
    named = [*given.of("grade"), *given.of("stenosis")]
    found = percentage(given.words, *given.numbers)
    if found is not None and (named or _is_grade(given, found)):
        yield from _percent(given, named, found)
        return
    graded = given.of("grade")
    for mention in graded or given.of("stenosis"):
        name = mention.match.entry.name
        for segment in given.beside:
            if graded:
                yield _term(f"stenosis:{name}", mention, segment)
            elif name == "stenosis" or mention.assertion != "absent":
                yield _term("stenosis", mention, segment)
            if name == "significant stenosis":
                yield _term(name, mention, segment)


def _is_grade(given: _Sorted, found: Percentage) -> bool:
    """Whether a percentage grades a stenosis that is not named: ``ICA: 50-69%``, ``RICA 70%``."""
    if not found.bounded:  # "RICA 70 %": nothing else that the number could measure
        return given.segments == ("ICA",) and given.kinds.keys() <= {"segment", "side", "vessel"}
    return bool(given.segments) and not given.kinds.keys() & {"resistance", "end", "imt"}


def _percent(given: _Sorted, named: Sequence[Mention], found: Percentage) -> Iterator[Said]:
    mention = named[0] if named else None
    grade = grade_of_percentage(found)
    assertion: Assertion = "present" if mention is None else mention.assertion
    head = _PREFIX[assertion] + (f"stenosis:{grade}" if grade else "stenosis")
    if grade is None:
        head = "no:stenosis"
    elif assertion == "absent" and found.at_least and found.low == 50:
        head = "no:significant stenosis"
    occluded = [m for m in given.of("grade") if "occlusion" in m.match.entry.name and m is not mention]
    for segment in given.beside:
        yield Said(head, segment, found.start, found.end, f"is {grade or 'none'}", mention)
        for other in occluded:
            yield _term(f"stenosis:{other.match.entry.name}", other, segment)


def _qualities(given: _Sorted) -> Iterator[Said]:
    """What is said of flow, intima-media and the like, or of the whole side."""
    nouns = [mention for mention in given.mentions if mention.match.entry.kind in _MEASURED]
    qualities = given.of("quality")
    starts = [noun.match.start for noun in nouns]
    silent = {id(noun): noun for noun in nouns}
    for quality in qualities:
        noun = _nearest(given, quality, nouns, starts)
        yield from _quality(given, quality, noun)
        silent.pop(id(noun), None)
    starts = [quality.match.start for quality in qualities]
    for noun in silent.values():
        quality = _nearest(given, noun, qualities, starts)
        if quality is not None and _describes(quality, noun) and not _apart(given, quality, noun):
            yield from _quality(given, quality, noun)
        elif noun.match.entry.kind == "flow":
            for segment in given.beside:
                head = "flow:absent" if noun.assertion == "absent" else "flow"
                yield Said(head, segment, *noun.match[:2], "stated", noun)
    for surface in given.of_intima.values():
        yield _term(f"intima:{surface.match.entry.name}", surface, None)
    for health in given.of("health"):
        head = "normal" if health.assertion == "absent" else "abnormal"
        yield Said(head, None, *health.match[:2], "stated", health)


def _describes(quality: Mention, noun: Mention) -> bool:
    return noun.match.entry.kind in quality.match.entry.data.get("means", ())


def _quality(given: _Sorted, quality: Mention, noun: Mention | None) -> Iterator[Said]:
    entry = quality.match.entry
    means = entry.data.get("means", {})
    kind = None if noun is None else noun.match.entry.kind
    if kind in means:
        if entry.name == "normal" and kind == "imt":
            yield Said(means[kind], None, *quality.match[:2], "normal is not thickened", quality)
            return
        for segment in given.beside if kind in ("flow", "velocity", "resistance") else (None,):
            yield _term(means[kind], quality, segment)
    elif "alone" in entry.data and (kind == "imt" or entry.name != "thickened"):
        for segment in given.beside:
            yield _term(entry.data["alone"], quality, segment)
    elif entry.name == "normal":
        for segment in given.healthy[quality.match.start]:
            yield _term("normal", quality, segment)


def _healthy_places(
    mentions: Sequence[Mention], inherited: tuple[str, ...]
) -> dict[int, tuple[str | None, ...]]:
    """For each quality, by its first word: the segments it is said of; none where it is the whole side."""
    before, behind = _segments_beside(mentions), _segments_beside(mentions[::-1])
    found: dict[int, tuple[str | None, ...]] = {}
    for start, ahead in before.items():
        places = ahead or behind[start][::-1] or inherited
        found[start] = (None,) if not places or {"CCA", "ICA"} <= set(places) else places
    return found


def _segments_beside(mentions: Sequence[Mention]) -> dict[int, tuple[str, ...]]:
    """For each quality, by its first word: the segments named since the statement before it."""
    found: dict[int, tuple[str, ...]] = {}
    since: tuple[str, ...] = ()
    for mention in mentions:
        kind, name = mention.match.entry.kind, mention.match.entry.name
        if kind == "quality":
            found[mention.match.start] = since
        if kind == "segment":
            since = since if name in since else (*since, name)
        elif kind in _NOUNS:
            since = ()
    return found


def _nearest(
    given: _Sorted, mention: Mention, others: Sequence[Mention], starts: Sequence[int]
) -> Mention | None:
    """The one of ``others``, which are in order, that stands nearest; of two the one before no comma."""
    at = bisect_left(starts, mention.match.start)
    near = [others[place] for place in (at - 1, at) if 0 <= place < len(others)]
    return min(near, key=lambda other: (_apart(given, mention, other), _gap(mention, other)), default=None)


def _apart(given: _Sorted, first: Mention, second: Mention) -> bool:
    """Whether a comma stands between two mentions."""
    return bisect_left(given.commas, first.match.start) != bisect_left(given.commas, second.match.start)


def _gap(first: Mention, second: Mention) -> int:
    return max(first.match.start - second.match.end, second.match.start - first.match.end)


def _thickness(given: _Sorted) -> Iterator[Said]:
    """An intima-media with a number and no word for its thickness."""
    words = {quality.match.entry.name for quality in given.of("quality")}
    if words & {"thickened", "increased", "normal"}:
        return
    for noun in given.of("imt"):
        millimetres = thickness_mm(given.words, *_reach(given, noun))
        if millimetres is not None:
            thick = millimetres >= THICKENED_MM
            limit = f"{THICKENED_MM:g} mm"
            rule = f"{millimetres:g} mm is {limit + ' or more' if thick else 'below ' + limit}"
            yield Said("imt:thickened" if thick else "no:imt:thickened", None, *noun.match[:2], rule)


def _velocity(given: _Sorted) -> Iterator[Said]:
    """A systolic velocity of the ICA with a number and no word for the flow."""
    if given.of("flow") or given.of("quality"):
        return
    for noun, segment in _velocities(given):
        speed = velocity_cm_s(given.words, *_reach(given, noun))
        if segment == "ICA" and speed is not None and speed >= ACCELERATED_CM_S:
            rule = f"{speed:g} cm/s is {ACCELERATED_CM_S:g} cm/s or more"
            yield Said("flow:accelerated", None, *noun.match[:2], rule)


def _velocities(given: _Sorted) -> Iterator[tuple[Mention, str]]:
    """Each velocity with its segment: the last one named, or the only one there is; the ICA without any."""
    segment = given.segments[0] if len(given.segments) == 1 else "" if given.segments else "ICA"
    for mention in given.mentions:
        if mention.match.entry.kind == "segment":
            segment = mention.match.entry.name
        elif mention.match.entry.kind == "velocity":
            yield mention, segment


def _reach(given: _Sorted, noun: Mention) -> tuple[int, int]:
    """The words in which the number of a noun stands: behind it, up to the next thing."""
    start, end = given.numbers
    if not start <= noun.match.start < end:
        return start, end  # the noun was lent by another part of the sentence
    after = bisect_right(given.ends, noun.match.start)
    return noun.match.end, min([end, *given.ends[after : after + 1]])


def _findings(given: _Sorted) -> Iterator[Said]:
    for mention in given.of("lumen"):
        if mention.match.entry.name == "string":
            yield _term("lumen:string", mention, None)
    for mention in given.of("finding"):
        name = mention.match.entry.name
        for segment in given.segments or (None,):
            if name.startswith(_HISTORY) and mention.assertion == "aside":
                yield Said(name, segment, *mention.match[:2], "stated", mention)
            else:
                yield _term(name, mention, segment)


def _term(head: str, decided: Mention, segment: str | None, shown: Mention | None = None) -> Said:
    match = (shown or decided).match
    prefix = _PREFIX[decided.assertion]
    if prefix == "no:" and head.startswith("no:"):
        prefix = ""
    return Said(f"{prefix}{head}", segment, match.start, match.end, "stated", decided)
