"""RadGraph graphs by rules: anatomies, observations, and three relations.

The schema is RadGraph's own (Jain et al. 2021, arXiv:2106.14463): entities ``ANAT-DP``, ``OBS-DP``,
``OBS-U``, ``OBS-DA`` (definitely present, uncertain, definitely absent); relations ``modify``,
``located_at``, ``suggestive_of``. Words are in ``lexicon/radgraph.toml``, presence comes from
``scope.py``. This is not the RadGraph network: F1 on these graphs follows the same definition and is named
``(rules)`` where it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from radflow.readers.lexicon import lexicon, word_list
from radflow.readers.scope import Assertion, Mention, Reading, Scope
from radflow.readers.tokens import TOKEN

Graph = dict[str, Any]

_LABEL: dict[Assertion, str] = {
    "present": "OBS-DP",
    "uncertain": "OBS-U",
    "absent": "OBS-DA",
    "aside": "OBS-DP",
}
_ANATOMY = frozenset({"anatomy", "place"})
_HEADS = frozenset({"observation", "predicate"})
_BREAKS = frozenset({",", ";", "and", "or", "nor", "/", "with", "but", "without", "is", "are"})
_PREPOSITIONS = word_list("radgraph", "before a place")
_SUGGESTS = word_list("radgraph", "one finding suggests another")
_MODIFIES_WITHIN = 4  # words between a modifier and what it modifies
_LOCATED_WITHIN = 12  # words between an observation and the anatomy behind "in the"


@cache
def _scope() -> Scope:
    return Scope(lexicon("radgraph"))


def radgraph_rules(texts: Sequence[str]) -> list[Graph]:
    """Read each report as a RadGraph graph.

    Returns:
        for each text ``{"text": tokens joined by spaces, "entities": {"1": {"tokens", "label", "start_ix",
        "end_ix", "relations": [[type, id], ...]}, ...}}``; indices count the tokens of ``text``.

    >>> graph = radgraph_rules(["No pleural effusion."])[0]
    >>> [(e["tokens"], e["label"], e["relations"]) for e in graph["entities"].values()]
    [('pleural', 'ANAT-DP', []), ('effusion', 'OBS-DA', [['located_at', '1']])]
    """
    return [graph(text) for text in texts]


def graph(text: str) -> Graph:
    """Read one report; see :func:`radgraph_rules`."""
    tokens = TOKEN.findall(text)
    shown: list[str] = []
    place: list[int] = []  # token of TOKEN.findall -> token of the shown text, which has no line breaks
    for token in tokens:
        place.append(len(shown))
        if not token.startswith("\n"):
            shown.append(token)
    entities: dict[str, dict[str, Any]] = {}
    for reading in _scope().read(text):
        _add(reading, place, shown, entities)
    return {"text": " ".join(shown), "entities": entities}


def _add(
    reading: Reading, place: Sequence[int], shown: Sequence[str], entities: dict[str, dict[str, Any]]
) -> None:
    """Add the entities and relations of one sentence."""
    mentions = reading.mentions
    first = len(entities) + 1
    for number, mention in enumerate(mentions):
        start = place[reading.sentence.index[mention.match.start]]
        end = place[reading.sentence.index[mention.match.end - 1]]
        kind = mention.match.entry.kind
        entities[str(first + number)] = {
            "tokens": " ".join(shown[start : end + 1]).lower(),
            "label": "ANAT-DP" if kind in _ANATOMY else _LABEL[mention.assertion],
            "start_ix": start,
            "end_ix": end,
            "relations": [],
        }
    for source, relation, target in _relations(reading):
        entities[str(first + source)]["relations"].append([relation, str(first + target)])


def _relations(reading: Reading) -> list[tuple[int, str, int]]:
    words, mentions = reading.sentence.words, reading.mentions
    kinds = [mention.match.entry.kind for mention in mentions]
    found = [
        *_modify(mentions, kinds, "degree", _HEADS),
        *_modify(mentions, kinds, "place", frozenset({"anatomy"})),
        *_compounds(mentions, kinds),
        *_located(words, mentions, kinds),
        *_suggestive(words, mentions, kinds),
    ]
    return sorted(set(found))


def _modify(
    mentions: Sequence[Mention], kinds: Sequence[str], modifier: str, heads: frozenset[str]
) -> list[tuple[int, str, int]]:
    """Each modifier belongs to the next head close by, or else to the one just before it."""
    found = []
    following: list[int | None] = [None] * len(mentions)
    head: int | None = None
    for number in range(len(mentions) - 1, -1, -1):
        following[number] = head
        head = number if kinds[number] in heads else head
    head = None
    for number, kind in enumerate(kinds):
        if kind in heads:
            head = number
        elif kind == modifier:
            ahead = following[number]
            if ahead is not None and _gap(mentions, number, ahead) <= _MODIFIES_WITHIN:
                found.append((number, "modify", ahead))
            elif head is not None and _gap(mentions, head, number) <= _MODIFIES_WITHIN:
                found.append((number, "modify", head))
    return found


def _compounds(mentions: Sequence[Mention], kinds: Sequence[str]) -> list[tuple[int, str, int]]:
    """``heart size``: of two anatomies side by side the measure modifies the part."""
    return [
        (number + 1, "modify", number)
        for number, (kind, following) in enumerate(pairwise(kinds))
        if kind == following == "anatomy"
        and _gap(mentions, number, number + 1) == 0
        and mentions[number + 1].match.entry.name == "measure of an anatomy"
    ]


def _located(
    words: Sequence[str], mentions: Sequence[Mention], kinds: Sequence[str]
) -> list[tuple[int, str, int]]:
    """Where observations are: the anatomy in front of them, or the one behind a preposition."""
    found: list[tuple[int, str, int]] = []
    subjects: list[int] = []  # anatomies of this clause that no predicate has claimed
    waiting: list[int] = []  # observations of this clause that have no anatomy yet
    clause = -1
    for number, (mention, kind) in enumerate(zip(mentions, kinds, strict=True)):
        if mention.clause != clause:
            subjects, waiting, clause = [], [], mention.clause
        if kind == "anatomy":
            measure = mention.match.entry.name == "measure of an anatomy"
            if waiting and not measure:
                between = _between(words, mentions[waiting[-1]], mention)
                if between is not None and (not between or _PREPOSITIONS.intersection(between)):
                    found += [(observation, "located_at", number) for observation in waiting]
                    waiting = []
            if not measure or not subjects:
                subjects.append(number)
        elif kind in _HEADS:
            anchored = False
            if subjects:
                nearest = subjects[-1]
                between = _between(words, mentions[nearest], mention)
                if between is None:
                    pass
                elif kind == "predicate" and (
                    {"is", "are", "remain", "appear", "size"} & set(between) or not between
                ):
                    found += [(number, "located_at", subject) for subject in subjects]
                    subjects, anchored = [], True
                elif not _BREAKS.intersection(between) and len(between) <= _MODIFIES_WITHIN:
                    found.append((number, "located_at", nearest))
                    anchored = True
            if not anchored:
                waiting.append(number)
    return found


def _suggestive(
    words: Sequence[str], mentions: Sequence[Mention], kinds: Sequence[str]
) -> list[tuple[int, str, int]]:
    """``opacity may represent atelectasis``: the first observation suggests the second."""
    heads = [number for number, kind in enumerate(kinds) if kind == "observation"]
    return [
        (first, "suggestive_of", second)
        for first, second in pairwise(heads)
        if _SUGGESTS.intersection(words[mentions[first].match.end : mentions[second].match.start])
    ]


def _between(words: Sequence[str], first: Mention, second: Mention) -> Sequence[str] | None:
    """The words between two mentions, or ``None`` when they are too far apart to belong together."""
    start, end = first.match.end, second.match.start
    return words[start:end] if end - start <= _LOCATED_WITHIN else None


def _gap(mentions: Sequence[Mention], first: int, second: int) -> int:
    return mentions[second].match.start - mentions[first].match.end
