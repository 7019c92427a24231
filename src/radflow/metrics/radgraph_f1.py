"""RadGraph F1: do two reports mention the same findings, with the same certainty, related alike?

A graph is in the RadGraph JSON schema: ``{"text": str, "entities": {id: {"tokens", "label", "start_ix",
"end_ix", "relations": [[type, id], ...]}}}``. Four scores are in use under one name, so the level is named:

=========  ====================================================================================
rexrank    mean of F1 over (tokens, label) and F1 over ((tokens, label), (tokens, label), type):
           Yu et al. 2023, the ReXrank board. Reports without relations score at most 0.5.
simple     F1 over (tokens, label): RG_E of Delbrouck et al. 2022
partial    adds a flag where an entity has a relation: RG_ER
complete   adds each relation's type and target: RG_ER-bar
=========  ====================================================================================

In all four, nothing against nothing is 0, as in the reference implementations.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from radflow.errors import DataError, did_you_mean
from radflow.metrics.pairs import Reader, check_pairs, read_pairs, set_f1

Graph = Mapping[str, Any]
DEFAULT_READER = "radgraph-rules"
LEVELS: tuple[str, ...] = ("rexrank", "simple", "partial", "complete")


def radgraph_f1(
    generated: Sequence[str], reference: Sequence[str], reader: Reader | None = None, level: str = "rexrank"
) -> Float[np.ndarray, " N"]:
    """RadGraph F1 of report texts, one number per pair, in [0, 1]; higher is better.

    Args:
        generated: generated reports.
        reference: their references.
        reader: texts to graphs; the default is ``radgraph-rules``, which is not the official network.
        level: see the module.

    Raises:
        DataError: the lists differ in length, the level is unknown, or a graph is malformed.
    """
    return radgraph_f1_from_graphs(*read_pairs(generated, reference, reader, DEFAULT_READER), level)


def radgraph_f1_from_graphs(
    generated_graphs: Sequence[Graph], reference_graphs: Sequence[Graph], level: str = "rexrank"
) -> Float[np.ndarray, " N"]:
    """RadGraph F1 of graphs that were read before, one number per pair, in [0, 1]; higher is better.

    Raises:
        DataError: the lists differ in length, the level is unknown, or a graph is malformed.

    >>> effusion = {"tokens": "effusion", "label": "OBS-DA", "start_ix": 1, "end_ix": 1, "relations": []}
    >>> graph = {"text": "No effusion .", "entities": {"1": effusion}}
    >>> radgraph_f1_from_graphs([graph], [graph]).tolist()  # no relations: half of the score is out of reach
    [0.5]
    >>> radgraph_f1_from_graphs([graph], [graph], level="simple").tolist()
    [1.0]
    """
    check_pairs(generated_graphs, reference_graphs)
    if level not in LEVELS:
        raise DataError(
            f"Expected level to be one of {', '.join(LEVELS)}; got {level!r}.{did_you_mean(level, LEVELS)}"
        )
    scores = [
        graph_f1(ours, theirs, level) for ours, theirs in zip(generated_graphs, reference_graphs, strict=True)
    ]
    return np.asarray(scores, dtype=np.float64)


def graph_f1(generated: Graph, reference: Graph, level: str = "rexrank") -> float:
    """RadGraph F1 of one pair of graphs."""
    pairs = zip(graph_facts(generated, level), graph_facts(reference, level), strict=True)
    scores = [set_f1(ours, theirs, both_empty=0.0) for ours, theirs in pairs]
    return sum(scores) / len(scores)


def graph_facts(graph: Graph, level: str) -> tuple[frozenset[Hashable], ...]:
    """The sets that a level compares: entities and relations apart for ``rexrank``, one set otherwise.

    Raises:
        DataError: the graph is malformed, or a relation points at an entity that is not there.
    """
    try:
        entities = graph["entities"]
        if level == "rexrank":
            return _names(entities), _relations(entities)
        if level == "simple":
            return (_names(entities),)
        if level == "partial":
            return (frozenset((*_name(e), bool(e["relations"])) for e in entities.values()),)
        return (frozenset(fact for e in entities.values() for fact in _complete(e, entities)),)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"Expected a graph in the RadGraph JSON schema, got one failing at {error!r}: {str(graph)[:99]}"
        ) from error


def _name(entity: Mapping[str, Any]) -> tuple[str, str]:
    return entity["tokens"], entity["label"]


def _names(entities: Mapping[str, Mapping[str, Any]]) -> frozenset[Hashable]:
    return frozenset(_name(entity) for entity in entities.values())


def _relations(entities: Mapping[str, Mapping[str, Any]]) -> frozenset[Hashable]:
    return frozenset(
        (_name(entity), _name(entities[target]), kind)
        for entity in entities.values()
        for kind, target in entity["relations"]
    )


def _complete(entity: Mapping[str, Any], entities: Mapping[str, Mapping[str, Any]]) -> list[Hashable]:
    if not entity["relations"]:
        return [_name(entity)]
    # Lower case only here: that is how the reference implementation does it.
    return [
        (entity["tokens"].lower(), entity["label"], kind, entities[target]["tokens"].lower())
        for kind, target in entity["relations"]
    ]
