"""The relations between the entities of one sentence: what modifies what, what is where, what suggests what.

Conventions of RadGraph's annotators, as far as its paper and published examples show them. Of anatomies that
stand side by side the later ones modify the first, and things are located at the first ("sharp" at
"costophrenic", which "angles" modifies). A side alone is a location ("left effusion").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from radflow.readers.lexicon import word_list
from radflow.readers.scope import Assertion

Relation = tuple[int, str, int]
"""(source, type, target), by place among the nodes."""

MEASURE = "measure of an anatomy"  # name of the lexicon's group: size, silhouette, contour

_HEADS = frozenset({"observation", "predicate"})
_RUN = frozenset({"observation", "predicate", "degree"})
_BREAKS = frozenset({",", ";", "and", "or", "nor", "/", "with", "but", "without", "is", "are"})
_VERBS = frozenset({"is", "are", "remain", "appear", "size"})
_JOINS = frozenset({"and", "or", ",", "/"})
_ALTERNATIVES = frozenset({"or", "and", ",", "/", "versus", "vs"})
_PREPOSITIONS = word_list("radgraph", "before a place")
_SUGGESTS = word_list("radgraph", "one finding suggests another")
_IN_THE_LUNG = word_list("radgraph", "denied of a clear lung")
_NEAR = _BREAKS | _SUGGESTS  # none of these stands between an observation and an anatomy in front of it
_MODIFIES_WITHIN = 4  # words between a modifier and what it modifies
_LOCATED_WITHIN = 12  # words between an observation and the anatomy behind "in the"


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """An entity of a sentence.

    Attributes:
        start: its first word.
        end: the word behind it.
        kind: anatomy, place, observation, predicate, degree; part of a predicate of several words.
        name: the group of the lexicon.
        assertion: as the scope engine decides.
        clause: as the scope engine numbers it.
    """

    start: int
    end: int
    kind: str
    name: str
    assertion: Assertion
    clause: int


@dataclass(slots=True)
class _Place:
    """Anatomies that stand side by side: the first is the head."""

    head: int
    last: int
    end: int  # word behind the last
    measures: bool  # the head is a measure: size, contour


def relations(words: Sequence[str], nodes: Sequence[Node]) -> list[Relation]:
    """All relations of one sentence, in order. Linear in the number of nodes."""
    places, compounds = _compounds(words, nodes)
    leads = _leads(nodes)
    found = [
        *compounds,
        *_degrees(words, nodes, leads),
        *_parts(nodes),
        *_sides(words, nodes),
        *_Locator(words, nodes, places, leads).run(),
        *_suggestive(words, nodes),
    ]
    return sorted(set(found))


def _compounds(words: Sequence[str], nodes: Sequence[Node]) -> tuple[dict[int, _Place], list[Relation]]:
    """Group anatomies side by side: places by their head, and what modifies it within them."""
    places: dict[int, _Place] = {}
    found: list[Relation] = []
    now: _Place | None = None
    joined: list[int] = []  # heads that share what follows: "hilar and mediastinal contours"
    for number, node in enumerate(nodes):
        if node.kind != "anatomy":
            now = None
            continue
        if now is not None and node.start == now.end:
            found += [(number, "modify", head) for head in (joined if node.name == MEASURE else joined[-1:])]
            now.last, now.end = number, node.end
            continue
        linked = now is not None and now.end + 1 == node.start and words[now.end] in _JOINS
        joined = [*joined[-3:], number] if linked else [number]
        now = places[number] = _Place(number, number, node.end, node.name == MEASURE)
    return places, found


def _degrees(words: Sequence[str], nodes: Sequence[Node], leads: Sequence[int | None]) -> Iterator[Relation]:
    """Each degree belongs to the observation it leads to, or the next one close by.

    Without one, it is said of the anatomy behind it ("stable silhouette"), or of what stands before it.
    """
    following, anatomy = _next_of(nodes, _HEADS), _next_of(nodes, frozenset({"anatomy"}))
    head: int | None = None
    for number, node in enumerate(nodes):
        if node.kind in _HEADS:
            head = number
        target = leads[number]
        if target is not None and target != number:
            yield number, "modify", target
        elif node.kind == "degree":
            ahead, place = following[number], anatomy[number]
            if ahead is not None and nodes[ahead].start - node.end <= _MODIFIES_WITHIN:
                yield number, "modify", ahead
            elif place is not None and _is_near(words, node, nodes[place]):
                yield number, "located_at", place
            elif head is not None and node.start - nodes[head].end <= _MODIFIES_WITHIN:
                yield number, "modify", head


def _is_near(words: Sequence[str], node: Node, behind: Node) -> bool:
    between = words[node.end : min(behind.start, node.end + _MODIFIES_WITHIN + 1)]
    return len(between) <= _MODIFIES_WITHIN and _BREAKS.isdisjoint(between)


def _leads(nodes: Sequence[Node]) -> list[int | None]:
    """For each node of an unbroken run such as ``calcified small granuloma``: the observation it ends in."""
    found: list[int | None] = [None] * len(nodes)
    for number in range(len(nodes) - 1, -1, -1):
        node = nodes[number]
        if node.kind == "observation":
            found[number] = number
        elif node.kind in ("degree", "predicate") and _touches(nodes, number):
            found[number] = found[number + 1]
    return found


def _touches(nodes: Sequence[Node], number: int) -> bool:
    """Whether a degree, predicate or observation follows without a word between."""
    following = number + 1
    return (
        following < len(nodes)
        and nodes[following].kind in _RUN
        and nodes[number].end == nodes[following].start
    )


def _parts(nodes: Sequence[Node]) -> Iterator[Relation]:
    """``within normal limits``: the others modify "normal"."""
    for number, node in enumerate(nodes):
        if node.kind == "part":
            for other in (number + 1, number - 1):
                if 0 <= other < len(nodes) and nodes[other].kind == "predicate":
                    yield number, "modify", other
                    break


def _sides(words: Sequence[str], nodes: Sequence[Node]) -> Iterator[Relation]:
    """A side modifies the next anatomy; where an observation comes first, that is located at the side."""
    following = _next_of(nodes, _HEADS | {"anatomy"})
    last: int | None = None
    for number, node in enumerate(nodes):
        if node.kind in _HEADS or node.kind == "anatomy":
            last = number
        elif node.kind == "place":
            ahead = following[number]
            if ahead is not None and _is_said_of(words, node, nodes[ahead]):
                yield _sided(nodes, number, ahead)
            elif (
                last is not None
                and nodes[last].kind != "predicate"
                and node.start - nodes[last].end <= _MODIFIES_WITHIN
            ):
                yield _sided(nodes, number, last)


def _is_said_of(words: Sequence[str], side: Node, ahead: Node) -> bool:
    if ahead.kind == "anatomy":
        return ahead.start - side.end <= _MODIFIES_WITHIN
    return ahead.kind == "observation" and _is_near(words, side, ahead)


def _sided(nodes: Sequence[Node], side: int, of: int) -> Relation:
    return (side, "modify", of) if nodes[of].kind == "anatomy" else (of, "located_at", side)


def _next_of(nodes: Sequence[Node], kinds: frozenset[str]) -> list[int | None]:
    following: list[int | None] = [None] * len(nodes)
    found: int | None = None
    for number in range(len(nodes) - 1, -1, -1):
        following[number] = found
        found = number if nodes[number].kind in kinds else found
    return following


class _Locator:
    """Where observations are: at the anatomy in front of them, or at the one behind a preposition."""

    def __init__(
        self,
        words: Sequence[str],
        nodes: Sequence[Node],
        places: dict[int, _Place],
        leads: Sequence[int | None],
    ) -> None:
        self.words = words
        self.nodes = nodes
        self.places = places
        self.leads = leads
        self.found: list[Relation] = []
        self.subjects: list[_Place] = []  # of this clause, that no predicate has claimed
        self.claimed: list[_Place] = []  # of this clause, that one has
        self.waiting: list[int] = []  # observations of this clause that have no anatomy yet
        self.lung: int | None = None  # a lung of this sentence that a predicate has claimed

    def run(self) -> list[Relation]:
        clause = -1
        for number, node in enumerate(self.nodes):
            if node.clause != clause:
                self._close()
                clause = node.clause
            if number in self.places:
                self._place(self.places[number])
            elif node.kind == "observation" or (node.kind == "predicate" and self.leads[number] is None):
                self._head(number, node)
        self._close()
        return self.found

    def _close(self) -> None:
        """End of a clause: in "the lungs are clear without consolidation" that is in the lungs."""
        if self.lung is not None:
            self.found += [
                (number, "located_at", self.lung)
                for number in self.waiting
                if self.words[self.nodes[number].end - 1] in _IN_THE_LUNG
            ]
        self.subjects, self.claimed, self.waiting = [], [], []

    def _place(self, place: _Place) -> None:
        if place.measures and self.claimed and not self.subjects:  # "the heart is normal in size"
            self.found += [(place.head, "modify", subject.head) for subject in self.claimed]
            return
        if self.waiting and not place.measures:
            between = self._between(self.nodes[self.waiting[-1]].end, self.nodes[place.head].start)
            if between is not None and (
                _PREPOSITIONS.intersection(between) or not (between or self._names_the_next(place))
            ):
                self.found += [(observation, "located_at", place.head) for observation in self.waiting]
                self.waiting = []
        if not place.measures or not self.subjects:
            self.subjects.append(place)

    def _names_the_next(self, place: _Place) -> bool:
        """``no consolidation pleural effusion``: the pleura is that of the effusion."""
        behind = place.last + 1
        return behind < len(self.nodes) and (
            self.nodes[behind].kind == "observation" and self.nodes[behind].start == place.end
        )

    def _head(self, number: int, node: Node) -> None:
        between = self._between(self.subjects[-1].end, node.start) if self.subjects else None
        if not self.subjects and self._goes_on(number):
            self.found += [(number, "located_at", subject.head) for subject in self.claimed]
        elif between is None:
            self.waiting.append(number)
        elif node.kind == "predicate" and (not between or not _VERBS.isdisjoint(between)):
            self.found += [(number, "located_at", subject.head) for subject in self.subjects]
            lungs = [s.head for s in self.subjects if self.words[self.nodes[s.head].start] == "lung"]
            self.lung = lungs[-1] if lungs else self.lung
            self.claimed, self.subjects = self.subjects[-3:], []
        elif _NEAR.isdisjoint(between) and len(between) <= _MODIFIES_WITHIN:
            self.found.append((number, "located_at", self.subjects[-1].head))
            self.claimed = self.subjects[-1:]
        else:
            self.waiting.append(number)

    def _goes_on(self, number: int) -> bool:
        """``expanded and clear``: a second predicate of the same subject."""
        if self.nodes[number].kind != "predicate" or not self.claimed:
            return False
        before = self.nodes[number - 1]
        between = self.words[before.end : self.nodes[number].start]
        return before.kind in ("predicate", "degree") and 0 < len(between) <= 2 and _JOINS.issuperset(between)

    def _between(self, start: int, end: int) -> Sequence[str] | None:
        """The words between two things, or ``None`` when they are too far apart to belong together."""
        return self.words[start:end] if end - start <= _LOCATED_WITHIN else None


def _suggestive(words: Sequence[str], nodes: Sequence[Node]) -> Iterator[Relation]:
    """``opacity may represent atelectasis or pneumonia``: the first observation suggests the others."""
    heads = [number for number, node in enumerate(nodes) if node.kind == "observation"]
    source: int | None = None
    for first, second in pairwise(heads):
        between = words[nodes[first].end : nodes[second].start]
        if _SUGGESTS.intersection(between):
            source = first
        elif source is not None and not (
            _ALTERNATIVES.intersection(between)
            and len(between) <= _MODIFIES_WITHIN
            and nodes[second].assertion == nodes[first].assertion == "uncertain"
        ):
            source = None
        if source is not None:
            yield source, "suggestive_of", second
