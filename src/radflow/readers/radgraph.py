"""RadGraph graphs by rules: anatomies, observations, and three relations.

The schema is RadGraph's own (Jain et al. 2021, arXiv:2106.14463): entities ``ANAT-DP``, ``OBS-DP``,
``OBS-U``, ``OBS-DA`` (definitely present, uncertain, definitely absent); relations ``modify``,
``located_at``, ``suggestive_of``. Words are in ``lexicon/radgraph.toml``, presence comes from ``scope.py``,
relations from ``radgraph_relations.py``. This is not the RadGraph network: F1 on these graphs follows the
same definition and is named ``(rules)`` where it is shown; ``benchmarks/radgraph_rules.py`` measures how near
it comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from radflow.readers.lexicon import lexicon, word_list
from radflow.readers.radgraph_relations import Node, relations
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
_RESTARTS = word_list("scope", "start a new statement")


@cache
def radgraph_scope() -> Scope:
    """The compiled lexicon, once per process."""
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
    for reading in radgraph_scope().read(text):
        _add(reading, place, shown, entities)
    return {"text": " ".join(shown), "entities": entities}


def _add(
    reading: Reading, place: Sequence[int], shown: Sequence[str], entities: dict[str, dict[str, Any]]
) -> None:
    """Add the entities and relations of one sentence."""
    words, index = reading.sentence.words, reading.sentence.index
    nodes = list(nodes_of(reading))
    first = len(entities) + 1
    for number, node in enumerate(nodes):
        start, end = place[index[node.start]], place[index[node.end - 1]]
        entities[str(first + number)] = {
            "tokens": " ".join(shown[start : end + 1]).lower(),
            "label": "ANAT-DP" if node.kind in _ANATOMY else _LABEL[node.assertion],
            "start_ix": start,
            "end_ix": end,
            "relations": [],
        }
    for source, relation, target in relations(words, nodes):
        entities[str(first + source)]["relations"].append([relation, str(first + target)])


def nodes_of(reading: Reading) -> Iterator[Node]:
    """One node per mention; "within normal limits" is three."""
    over: int | None = None  # a negation that a new statement without punctuation has ended
    before: Node | None = None
    for mention in reading.mentions:
        node = _node(mention)
        cue = mention.cue
        if cue is not None and cue.start == over:
            node = replace(node, assertion="present")
        elif cue is not None and before is not None and _restarts(node, before, reading.sentence.words):
            over = cue.start
            node = replace(node, assertion="present")
        before = node
        head = mention.match.entry.data.get("head")
        if head is None:
            yield node
        else:
            for place in range(node.start, node.end):
                kind = node.kind if reading.sentence.words[place] == head else "part"
                yield replace(node, start=place, end=place + 1, kind=kind)


def _node(mention: Mention) -> Node:
    entry = mention.match.entry
    return Node(
        start=mention.match.start,
        end=mention.match.end,
        kind=entry.kind,
        name=entry.name,
        assertion=mention.assertion,
        clause=mention.clause,
    )


def _restarts(node: Node, before: Node, words: Sequence[str]) -> bool:
    """``no acute process moderate hernia``: a degree right behind what is denied starts a new statement."""
    return (
        node.kind == "degree"
        and before.kind == "observation"
        and node.assertion == before.assertion == "absent"
        and node.start == before.end
        and words[node.start] in _RESTARTS
    )
