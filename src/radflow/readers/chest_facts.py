"""What a chest report says, as facts: the 14 observations and RadGraph's other findings, with modifiers.

The graph (:mod:`radflow.readers.radgraph`) says which words modify which finding; the labeler
(:mod:`radflow.readers.explain`) says which findings are the same observation in other words, so that "the
heart is enlarged" and "cardiomegaly" are one. Words of place, degree and number that the graph leaves alone
go to the nearest finding of their sentence: none is passed over.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from radflow.readers.explain import Evidence, explain
from radflow.readers.facts import Detail, Fact, numbers
from radflow.readers.lexicon import word_list
from radflow.readers.radgraph import nodes_of, radgraph_scope
from radflow.readers.radgraph_relations import Node, relations
from radflow.readers.scope import Reading
from radflow.readers.tokens import Span, token_spans

_VALUES: Mapping[str, tuple[str, frozenset[str]]] = {
    f"{axis} {value}": (axis, word_list("facts", f"{axis} {value}"))
    for axis, value in (
        ("side", "left"),
        ("side", "right"),
        ("side", "both"),
        ("zone", "upper"),
        ("zone", "middle"),
        ("zone", "lower"),
        ("degree", "small"),
        ("degree", "moderate"),
        ("degree", "large"),
        ("change", "unchanged"),
        ("change", "less"),
        ("change", "more"),
        ("age", "old"),
        ("age", "new"),
    )
}
_ALIASES: dict[str, list[tuple[str, str]]] = defaultdict(list)
for _name, (_axis, _words) in _VALUES.items():
    for _word in sorted(_words):
        _ALIASES[_word].append((_axis, _name.removeprefix(f"{_axis} ")))
_FILLERS = word_list("facts", "says nothing of its own")
_HEALTHY = word_list("facts", "healthy")
_WHERE_IT_ALWAYS_IS = word_list("facts", "where findings of the lung and the chest always are")
_COARSE = frozenset({"Lung Lesion", "Pleural Other", "Support Devices"})
"""Observations that are several things: a nodule is no mass, a pacemaker no tube."""
_PLACED = frozenset({"Fracture", "Support Devices", "Pleural Other"})
"""Observations that may be anywhere, so that the anatomy counts."""
_STATES = {"present": 1, "uncertain": -1, "absent": 0}
_HEADS = frozenset({"observation", "predicate"})


@dataclass(kw_only=True)
class _Head:
    """A finding or a quality of the graph, with what belongs to it."""

    node: Node
    span: Span
    word: str
    anatomy: dict[str, Span] = field(default_factory=dict)
    details: list[Detail] = field(default_factory=list)


def chest_facts(text: str) -> list[Fact]:
    """Read one report.

    >>> for fact in chest_facts("Old fracture of the left 5th rib. The aorta is tortuous. No mass."):
    ...     print(fact.finding, fact.state, [detail.value for detail in fact.details])
    Fracture 1 ['old', 'left', '5th', 'rib']
    Lung Lesion 0 ['mass']
    aorta 1 ['tortuous']
    """
    tokens = token_spans(text)
    evidence = [found for found in explain(text).evidence if found.state is not None]
    heads = [head for reading in radgraph_scope().read(text) for head in _heads(reading, text, tokens)]
    places = _Places(heads)
    known = [_observation(found, places, text) for found in evidence]
    covered = {
        at
        for found in evidence
        for span in (found.phrase, found.quality)
        if span is not None
        for at in places.meeting(span)
    }
    other = [fact for at, head in enumerate(heads) if at not in covered for fact in _named(head)]
    return [one for fact in (*known, *other) for one in _by_side(fact)]


def chest_facts_of(texts: Sequence[str]) -> list[list[Fact]]:
    """Read many reports, as `radflow.readers.load("chest-facts")` does."""
    return [chest_facts(text) for text in texts]


def _heads(reading: Reading, text: str, tokens: Sequence[Span]) -> Iterator[_Head]:
    """The findings of one sentence, each with its modifiers and places."""
    words = reading.sentence.words
    nodes = list(nodes_of(reading))
    spans = [reading.sentence.span(tokens, node.start, node.end) for node in nodes]
    heads = {
        at: _Head(node=node, span=spans[at], word=" ".join(words[node.start : node.end]))
        for at, node in enumerate(nodes)
        if node.kind in _HEADS
    }
    if not heads:
        return
    order, starts = list(heads), [head.node.start for head in heads.values()]
    places = _Places(list(heads.values()))
    owners: dict[int, set[int]] = defaultdict(set)
    links = relations(words, nodes)
    for source, relation, target in links:
        if target in heads and relation == "modify":
            owners[source].add(target)
        elif source in heads and relation == "located_at":
            owners[target].add(source)
    for _ in range(3):  # what modifies an anatomy belongs to what is located there
        for source, relation, target in links:
            if relation == "modify" and target not in heads:
                owners[source] |= owners[target]
    for at, node in enumerate(nodes):
        if at in heads and not (node.kind == "predicate" and owners[at]):
            continue
        word = " ".join(words[node.start : node.end])
        for owner in owners[at] or {order[_nearest(node.start, starts)]}:
            _describe(heads[owner], node, word, spans[at])
    sentence = reading.sentence.span(tokens)
    for number in numbers(text[slice(*sentence)]):
        span = Span(number.span.start + sentence.start, number.span.end + sentence.start)
        nearest = min(places.around(span), key=lambda head: _distance(head.span, span))
        axis = "number" if number.unit == "th" else "size"
        nearest.details.append(
            Detail(axis=axis, value=number.text, span=span, low=number.low, high=number.high)
        )
    yield from heads.values()


class _Places:
    """Findings in the order of the text, found by place without a look at each of them."""

    def __init__(self, heads: Sequence[_Head]) -> None:
        self.heads = heads
        self._starts = [head.span.start for head in heads]
        self._longest = max((head.span.end - head.span.start for head in heads), default=0)

    def meeting(self, span: Span) -> list[int]:
        """The positions of those that share a character with a span."""
        first = bisect_left(self._starts, span.start - self._longest)
        last = bisect_left(self._starts, span.end)
        return [at for at in range(first, last) if _meet(self.heads[at].span, span)]

    def around(self, span: Span) -> Sequence[_Head]:
        """The last two before a span and the first two after."""
        at = bisect_left(self._starts, span.start)
        return self.heads[max(0, at - 2) : at + 2]


def _nearest(start: int, starts: Sequence[int]) -> int:
    """Which of the rising ``starts`` is nearest; the earlier of two."""
    after = bisect_left(starts, start)
    return min(range(max(0, after - 1), min(after + 1, len(starts))), key=lambda at: abs(starts[at] - start))


def _distance(first: Span, second: Span) -> int:
    return max(first.start - second.end, second.start - first.end)


def _describe(head: _Head, node: Node, word: str, span: Span) -> None:
    """Add one word to the finding it belongs to."""
    if word in _FILLERS:
        return
    aliases = _ALIASES.get(word, [])
    for axis, value in aliases:
        head.details.append(Detail(axis=axis, value=value, span=span))
    if node.kind == "anatomy":
        head.anatomy.setdefault(word, span)
        if not aliases and word not in _WHERE_IT_ALWAYS_IS:
            head.details.append(Detail(axis="anatomy", value=word, span=span))
    elif not aliases and node.kind in ("degree", "place", "predicate"):
        axis = "position" if node.kind == "place" else "quality"
        head.details.append(Detail(axis=axis, value=word, span=span))


def _observation(found: Evidence, places: _Places, text: str) -> Fact:
    """A statement of the labeler, with the details of the words that it rests on."""
    rests_on = [span for span in (found.quality, found.phrase) if span is not None]
    mine = [places.heads[at] for at in sorted({at for span in rests_on for at in places.meeting(span)})]
    details = [
        detail
        for head in mine
        for detail in head.details
        if found.observation in _PLACED or detail.axis != "anatomy"
        if not (detail.axis == "quality" and detail.span and _meet(detail.span, found.phrase))
    ]
    if found.observation == "Support Devices":
        kind = " ".join(text[slice(*found.phrase)].lower().split())
        details.append(Detail(axis="kind", value=kind, span=found.phrase))
    elif found.observation in _COARSE:
        details += [Detail(axis="kind", value=head.word, span=head.span) for head in mine[-1:]]
    return Fact(
        finding=found.observation,
        state=found.state or 0,
        span=rests_on[0] if found.state else found.phrase,
        details=_unique(details),
    )


def _named(head: _Head) -> Iterator[Fact]:
    """A finding that is none of the 14: by its own word, or, said of an anatomy, by that anatomy."""
    state = _STATES.get(head.node.assertion)
    if state is None:
        return
    if head.node.kind == "observation":
        yield Fact(finding=head.word, state=state, span=head.span, details=_unique(head.details))
        return
    is_healthy = head.word in _HEALTHY
    if is_healthy:
        state = 0 if state else 1
    details = [detail for detail in head.details if detail.axis != "anatomy"]
    if not is_healthy:
        details.append(Detail(axis="quality", value=head.word, span=head.span))
    for anatomy, span in head.anatomy.items():
        where = span if state == 0 else head.span
        yield Fact(finding=anatomy, state=state, span=where, details=_unique(details))


def _by_side(fact: Fact) -> Iterator[Fact]:
    """A finding of both sides as two findings, so that each side is compared with its own."""
    sides = fact.values("side")
    if not ("both" in sides or len(sides) > 1):
        yield fact
        return
    said = next(detail.span for detail in fact.details if detail.axis == "side")
    for side in ("left", "right"):
        own = [d.span for d in fact.details if d.axis == "side" and d.value in (side, "both")]
        others = tuple(detail for detail in fact.details if detail.axis != "side")
        yield replace(fact, details=(Detail(axis="side", value=side, span=own[0] if own else said), *others))


def _unique(details: Sequence[Detail]) -> tuple[Detail, ...]:
    """Each thing once, in the order of the text."""
    first = {(detail.axis, detail.value): detail for detail in reversed(details)}
    return tuple(sorted(first.values(), key=lambda detail: detail.span or (0, 0)))


def _meet(first: Span, second: Span) -> bool:
    return first.start < second.end and second.start < first.end
