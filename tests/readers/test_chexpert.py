import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.readers import CHEXPERT_OBSERVATIONS
from radflow.readers.chexpert import chexpert_rules, label
from radflow.readers.lexicon import Trie, expand, lexicon

WORDS = sorted(
    {
        word
        for name in ("scope", "chexpert")
        for e in lexicon(name)
        for p in e.phrases
        for w in expand(p)
        for word in w
    }
)
reportish = st.lists(st.sampled_from([*WORDS, ".", "\n", "XXXX", "The", "No", ":", "1."]), max_size=60).map(
    " ".join
)


def test_observations_come_in_chexperts_order():
    assert tuple(label("")) == CHEXPERT_OBSERVATIONS
    assert CHEXPERT_OBSERVATIONS[0] == "Enlarged Cardiomediastinum"
    assert CHEXPERT_OBSERVATIONS[-1] == "No Finding"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("Lungs are clear.", 1),
        ("No acute disease. Pacemaker.", 1),
        ("Small effusion.", None),
        ("Possible effusion.", None),
        ("No effusion. Fracture.", None),
    ],
)
def test_no_finding(text, expected):
    assert label(text)["No Finding"] == expected


def test_a_rendered_report_reads_like_its_sections():
    text = "Findings: Heart size is normal. Small left effusion. Impression: Left effusion, no pneumothorax."
    labels = label(text)
    assert (labels["Cardiomegaly"], labels["Pleural Effusion"], labels["Pneumothorax"]) == (0, 1, 0)


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_never_raises(text):
    assert tuple(label(text)) == CHEXPERT_OBSERVATIONS


@settings(max_examples=300, deadline=None)
@given(reportish)
def test_words_of_the_lexicon_in_any_order_give_states(text):
    labels = label(text)
    assert set(labels.values()) <= {1, 0, -1, None}
    stated = any(labels[name] in (1, -1) for name in CHEXPERT_OBSERVATIONS[:-2])
    assert labels["No Finding"] == (None if stated else 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(reportish, max_size=5))
def test_a_report_reads_the_same_alone_and_in_any_batch(texts):
    assert chexpert_rules(texts) == [chexpert_rules([text])[0] for text in texts]
    assert chexpert_rules(texts[::-1]) == chexpert_rules(texts)[::-1]


@pytest.mark.parametrize(
    "text",
    [
        "<html><b>No effusion</b></html>",
        "\x00\x01 effusion \ufffd",
        "Kein Pleuraerguss. 胸水なし。 Нет выпота.",
        "((((" * 50 + "effusion" + "))))" * 50,
        "no " * 500 + "effusion",
    ],
)
def test_mangled_text_is_read(text):
    assert tuple(label(text)) == CHEXPERT_OBSERVATIONS


def test_the_trie_is_compiled_once(monkeypatch):
    label("warm")
    monkeypatch.setattr(Trie, "__init__", lambda *_: pytest.fail("compiled again"))
    assert label("effusion")["Pleural Effusion"] == 1
