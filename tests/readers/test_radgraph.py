import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.readers.lexicon import expand, lexicon
from radflow.readers.radgraph import graph, radgraph_rules

EXAMPLES = tomllib.loads(Path(__file__).with_name("radgraph_examples.toml").read_text(encoding="utf-8"))[
    "example"
]
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
        ("no acute process moderate hernia",
         {"acute": "OBS-DA", "process": "OBS-DA", "moderate": "OBS-DP", "hernia": "OBS-DP"}),
        ("within normal limits", {"within": "OBS-DP", "normal": "OBS-DP", "limits": "OBS-DP"}),
    ],
)  # fmt: skip
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
        ("Small left effusion.", {("small", "modify", "effusion"), ("effusion", "located_at", "left")}),
        ("The costophrenic angles are sharp.",
         {("angles", "modify", "costophrenic"), ("sharp", "located_at", "costophrenic")}),
        ("The hilar and mediastinal contours are normal.",
         {("contours", "modify", "hilar"), ("contours", "modify", "mediastinal"),
          ("normal", "located_at", "hilar"), ("normal", "located_at", "mediastinal")}),
        ("The heart is normal in size.", {("normal", "located_at", "heart"), ("size", "modify", "heart")}),
        ("Heart size is within normal limits.",
         {("size", "modify", "heart"), ("normal", "located_at", "heart"),
          ("within", "modify", "normal"), ("limits", "modify", "normal")}),
        ("Right lower lobe opacity.",
         {("right", "modify", "lobe"), ("lower", "modify", "lobe"), ("opacity", "located_at", "lobe")}),
        ("Opacity may represent atelectasis or pneumonia.",
         {("opacity", "suggestive_of", "atelectasis"), ("opacity", "suggestive_of", "pneumonia")}),
        ("Calcified granuloma.", {("calcified", "modify", "granuloma")}),
        ("Stable calcified small granuloma.",
         {("stable", "modify", "granuloma"), ("calcified", "modify", "granuloma"),
          ("small", "modify", "granuloma")}),
        ("Stable mediastinal silhouette.",
         {("stable", "located_at", "mediastinal"), ("silhouette", "modify", "mediastinal")}),
        ("The lungs are expanded and clear.",
         {("expanded", "located_at", "lungs"), ("clear", "located_at", "lungs")}),
        ("Degenerative changes of the thoracic spine.",
         {("degenerative", "modify", "changes"), ("thoracic", "modify", "spine"),
          ("changes", "located_at", "spine")}),
        ("The lungs are clear without focal consolidation.",
         {("clear", "located_at", "lungs"), ("focal", "modify", "consolidation"),
          ("consolidation", "located_at", "lungs")}),
        ("no consolidation pleural effusion or pneumothorax", {("effusion", "located_at", "pleural")}),
    ],
)  # fmt: skip
def test_relations(text, expected):
    assert triples(text) == expected


@pytest.mark.parametrize(("held_out", "least"), [(False, 0.9), (True, 0.75)])
def test_entities_agree_with_published_annotations(held_out, least):
    """Micro F1 of entities, span and label. The figures themselves: benchmarks/radgraph_rules.py."""
    right = given = read = 0
    for example in EXAMPLES:
        if example["held_out"] == held_out:
            theirs = {(start, len(tokens.split()), label) for tokens, label, start in example["entities"]}
            entities = graph(example["text"])["entities"].values()
            ours = {(e["start_ix"], e["end_ix"] - e["start_ix"] + 1, e["label"]) for e in entities}
            right, given, read = right + len(theirs & ours), given + len(theirs), read + len(ours)
    assert 2 * right / (given + read) >= least


def test_examples_are_well_formed():
    for example in EXAMPLES:
        tokens = example["text"].split(" ")
        for name, label, start in example["entities"]:
            assert tokens[start : start + len(name.split())] == name.split()
            assert label in {"ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA"}
        assert all(
            max(source, target) < len(example["entities"]) for source, _, target in example["relations"]
        )


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
