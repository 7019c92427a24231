import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.readers.lexicon import expand, lexicon
from radflow.readers.radgraph import graph, radgraph_rules

WORDS = sorted({" ".join(w) for e in lexicon("radgraph") for p in e.phrases for w in expand(p)})
reportish = st.lists(
    st.sampled_from([*WORDS, "no", ",", "or", "may represent", ".", "is", "in the"]), max_size=40
).map(" ".join)


def triples(text: str) -> set[tuple[str, str, str]]:
    entities = graph(text)["entities"]
    return {
        (e["tokens"], kind, entities[to]["tokens"]) for e in entities.values() for kind, to in e["relations"]
    }


def labels(text: str) -> dict[str, str]:
    return {e["tokens"]: e["label"] for e in graph(text)["entities"].values()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Lungs are clear.", {"lungs": "ANAT-DP", "clear": "OBS-DP"}),
        ("No pneumothorax.", {"pneumothorax": "OBS-DA"}),
        ("Possible pneumonia.", {"pneumonia": "OBS-U"}),
        (
            "No focal consolidation or effusion.",
            {"focal": "OBS-DA", "consolidation": "OBS-DA", "effusion": "OBS-DA"},
        ),
        ("Small effusion without edema", {"small": "OBS-DP", "effusion": "OBS-DP", "edema": "OBS-DA"}),
    ],
)
def test_labels(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The heart is normal.", {("normal", "located_at", "heart")}),
        ("The heart and mediastinum are normal.",
         {("normal", "located_at", "heart"), ("normal", "located_at", "mediastinum")}),
        ("Heart size is normal.", {("size", "modify", "heart"), ("normal", "located_at", "heart")}),
        ("Small left pleural effusion.",
         {("small", "modify", "effusion"), ("left", "modify", "pleural"),
          ("effusion", "located_at", "pleural")}),
        ("Opacity in the right lung.", {("opacity", "located_at", "lung"), ("right", "modify", "lung")}),
        ("Opacity may represent pneumonia.", {("opacity", "suggestive_of", "pneumonia")}),
        ("Pleural effusion, pneumothorax.", {("effusion", "located_at", "pleural")}),
        ("The lungs are clear. Edema.", {("clear", "located_at", "lungs")}),
    ],
)  # fmt: skip
def test_relations(text, expected):
    assert triples(text) == expected


def check(text: str) -> None:
    """The RadGraph schema: spans inside the text, labels and relations from the fixed sets."""
    read = graph(text)
    tokens = read["text"].split(" ") if read["text"] else []
    for entity in read["entities"].values():
        assert entity["label"] in {"ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA"}
        assert 0 <= entity["start_ix"] <= entity["end_ix"] < len(tokens)
        assert " ".join(tokens[entity["start_ix"] : entity["end_ix"] + 1]).lower() == entity["tokens"]
        for kind, target in entity["relations"]:
            assert kind in {"modify", "located_at", "suggestive_of"}
            assert target in read["entities"]
            assert read["entities"][target] is not entity


@settings(max_examples=200, deadline=None)
@given(reportish)
def test_schema_on_words_of_the_lexicon(text):
    check(text)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(blacklist_categories=("Zs", "Cs"))))
def test_schema_on_any_text(text):
    check(text)


def test_line_breaks_do_not_count_as_tokens():
    entity = graph("Findings:\n\nEffusion.")["entities"]["1"]
    assert (entity["start_ix"], entity["tokens"]) == (2, "effusion")


def test_ids_count_through_the_report_and_batches_do_not_matter():
    texts = ["Edema. Small effusion.", "Normal heart."]
    assert list(graph(texts[0])["entities"]) == ["1", "2", "3"]
    assert radgraph_rules(texts) == [graph(text) for text in texts]


def test_a_long_line_is_read():
    assert len(graph("small left pleural effusion and " * 3000)["entities"]) == 12000
