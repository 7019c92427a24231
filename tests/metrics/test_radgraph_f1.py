import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.errors import DataError
from radflow.metrics import radgraph_f1, radgraph_f1_from_graphs
from radflow.metrics.radgraph_f1 import LEVELS

LABELS = ["ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA"]
KINDS = ["modify", "located_at", "suggestive_of"]


def graph(*entities):
    """``(tokens, label, [(kind, target id), ...])`` each, numbered from 1."""
    return {
        "text": "",
        "entities": {
            str(i): {"tokens": t, "label": la, "start_ix": i, "end_ix": i, "relations": [list(r) for r in rs]}
            for i, (t, la, rs) in enumerate(entities, start=1)
        },
    }


@st.composite
def graphs(draw):
    size = draw(st.integers(0, 5))
    ids = st.integers(1, max(size, 1)).map(str)
    words = st.sampled_from(["lung", "Effusion", "effusion", "small"])
    relations = st.lists(st.tuples(st.sampled_from(KINDS), ids), max_size=2)
    entity = st.tuples(words, st.sampled_from(LABELS), relations)
    return graph(*draw(st.lists(entity, min_size=size, max_size=size)))


def f1_by_counting(ours, theirs):
    """Precision, recall and their harmonic mean, counted pair by pair: no code shared with the metric."""
    ours, theirs = list(dict.fromkeys(ours)), list(dict.fromkeys(theirs))
    hits = sum(1 for x, y in itertools.product(ours, theirs) if x == y)
    precision = hits / len(ours) if ours else 0
    recall = hits / len(theirs) if theirs else 0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0


def facts(g, level):
    entities = g["entities"]
    if level == "entities" or level == "simple":
        return [(e["tokens"], e["label"]) for e in entities.values()]
    if level == "relations":
        return [
            (e["tokens"], e["label"], entities[t]["tokens"], entities[t]["label"], k)
            for e in entities.values()
            for k, t in e["relations"]
        ]
    if level == "partial":
        return [(e["tokens"], e["label"], len(e["relations"]) > 0) for e in entities.values()]
    found = []
    for e in entities.values():
        if not e["relations"]:
            found.append((e["tokens"], e["label"]))
        for kind, target in e["relations"]:
            found.append((e["tokens"].lower(), e["label"], kind, entities[target]["tokens"].lower()))
    return found


@given(graphs(), graphs())
def test_all_levels_equal_an_independent_count(ours, theirs):
    for level in ("simple", "partial", "complete"):
        oracle = f1_by_counting(facts(ours, level), facts(theirs, level))
        assert radgraph_f1_from_graphs([ours], [theirs], level=level)[0] == pytest.approx(oracle, abs=1e-12)
    halves = [f1_by_counting(facts(ours, part), facts(theirs, part)) for part in ("entities", "relations")]
    assert radgraph_f1_from_graphs([ours], [theirs])[0] == pytest.approx(sum(halves) / 2, abs=1e-12)


@given(st.lists(st.tuples(graphs(), graphs()), min_size=1, max_size=3), st.sampled_from(LEVELS))
@settings(max_examples=40)
def test_a_score_does_not_depend_on_its_company(pairs, level):
    batch = radgraph_f1_from_graphs([a for a, _ in pairs], [b for _, b in pairs], level=level)
    assert batch.tolist() == [radgraph_f1_from_graphs([a], [b], level=level)[0] for a, b in pairs]


def test_rexrank_flavour_keeps_its_quirk():
    bare = graph(("effusion", "OBS-DA", []))
    related = graph(("small", "OBS-DP", [("modify", "2")]), ("effusion", "OBS-DP", []))
    assert radgraph_f1_from_graphs([bare, related], [bare, related]).tolist() == [0.5, 1.0]


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_against_nothing_is_zero(level):
    assert radgraph_f1_from_graphs([graph()], [graph()], level=level).tolist() == [0.0]


def test_certainty_counts():
    present, absent = graph(("effusion", "OBS-DP", [])), graph(("effusion", "OBS-DA", []))
    assert radgraph_f1_from_graphs([present], [absent]).tolist() == [0.0]


def test_texts_are_read_once_each():
    seen = []

    def reader(texts):
        seen.extend(texts)
        return [graph((text, "OBS-DP", [])) for text in texts]

    assert radgraph_f1(["a", "a", "b"], ["b", "b", "b"], reader, level="simple").tolist() == [0, 0, 1]
    assert sorted(seen) == ["a", "b"]


def test_malformed_graphs_and_levels_are_refused():
    dangling = graph(("small", "OBS-DP", [("modify", "9")]))
    with pytest.raises(DataError, match="RadGraph JSON schema"):
        radgraph_f1_from_graphs([dangling], [dangling])
    with pytest.raises(DataError, match="RadGraph JSON schema"):
        radgraph_f1_from_graphs([{}], [{}], level="simple")
    with pytest.raises(DataError, match="Did you mean 'simple'"):
        radgraph_f1_from_graphs([graph()], [graph()], level="simpel")
