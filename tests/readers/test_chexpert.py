import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.errors import DataError, MissingFileError
from radflow.readers import CHEXPERT_OBSERVATIONS
from radflow.readers.chexpert import chexpert_labeler, chexpert_rules, label
from radflow.readers.explain import explain
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


MINE = """
[[finding]]
name = "Support Devices"
phrases = ["impella", "vagus buddy"]

[[finding]]
name = "Wet lung"
labels = ["Edema", "Lung Opacity"]
phrases = ["wet lung"]

[[structure]]
name = "heart"
phrases = ["pump"]

[[quality]]
name = "enlarged"
phrases = ["big"]

[[before]]
name = "absent"
phrases = ["nary a"]
"""


def lexicon_of(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_text(content, encoding="utf-8")
    return path


def test_phrases_of_your_own_are_added(tmp_path):
    path = lexicon_of(tmp_path, MINE)
    (labels,) = chexpert_labeler(path)(["Impella. Wet lungs. The pump is big. Nary a nodule. No effusion."])
    assert {name: state for name, state in labels.items() if state is not None} == {
        "Support Devices": 1,
        "Edema": 1,
        "Lung Opacity": 1,
        "Cardiomegaly": 1,
        "Lung Lesion": 0,
        "Pleural Effusion": 0,
    }
    (evidence,) = explain("No impella.", path).evidence
    assert evidence.source == "mine.toml [[finding]] Support Devices; scope.toml [[before]] absent"
    assert chexpert_rules(["Impella."])[0]["Support Devices"] is None  # only where it was asked for


def test_no_lexicon_of_your_own_is_the_plain_reader():
    assert chexpert_labeler() is chexpert_rules


def test_a_phrase_that_means_the_same_already_is_no_conflict(tmp_path):
    path = lexicon_of(tmp_path, '[[finding]]\nname = "Edema"\nphrases = ["pulmonary edema", "soggy lung"]')
    (labels,) = chexpert_labeler(path)(["Soggy lungs."])
    assert labels["Edema"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '[[finding]]\nname = "Fracture"\nphrases = ["tiny pulmonary edema", "pulmonary edema"]',
            r"got 'pulmonary edema' under \[\[finding\]\] 'Fracture', which is "
            r"\[\[finding\]\] 'Edema' in chexpert.toml; remove it",
        ),
        (
            '[[finding]]\nname = "Fracture"\nphrases = ["without"]',
            r"got 'without' .* 'absent' in scope.toml",
        ),
        (
            '[[finding]]\nname = "Edema"\nphrases = ["wet"]\n[[finding]]\nname="Fracture"\nphrases=["wet"]',
            r"got 'wet' under .* 'Edema' in mine.toml",
        ),
        (
            '[[before]]\nname = "doubtful"\nphrases = ["hm"]',
            "Expected a name out of absent, alter",
        ),
        ('[[quality]]\nname = "odd"\nphrases = ["odd"]', "Expected a name out of borderline, clear"),
        ('[[denial]]\nname = "x"\ndenies = ["Edema"]\nphrases = ["fine"]', "Expected 'denies' and 'needs'"),
        ('[[finding]]\nname = "Edema"\nphrases = "wet"', "Expected 'name' and 'phrases'"),
        ("finding = 3", "Expected 'name' and 'phrases'"),
        ('[[finding]]\nname = "Oedema"\nphrases = ["soggy"]', r"got 'Oedema'. Did you mean 'Edema'"),
        ('[[finding]]\nname = "x"\nlabels = ["No Finding"]\nphrases = ["soggy"]', "got 'No Finding'"),
        (
            '[[structure]]\nname = "spleen"\ndenies = { normal = ["Spleen"] }\nphrases = ["spleen"]',
            "got 'Spleen'",
        ),
        ('[[denial]]\nname = "x"\nneeds = "present"\ndenies = ["Gout"]\nphrases = ["fine"]', "got 'Gout'"),
        (
            '[[finds]]\nname = "Edema"\nphrases = ["soggy"]',
            r"Expected groups \[\[after\]\].* got \[\[finds\]\]",
        ),
    ],
)
def test_a_mistake_in_your_lexicon_is_named_with_its_file(tmp_path, content, message):
    path = lexicon_of(tmp_path, content)
    with pytest.raises(DataError, match=message) as error:
        chexpert_labeler(path)
    assert str(path) in str(error.value)


def test_a_lexicon_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="found no such file"):
        chexpert_labeler(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "text",
    ["Calcified nodule in the right lung.", "The nodule is densely calcified.", "Calcific apical nodules."],
)
def test_a_calcified_nodule_is_a_lesion_where_it_is_asked_for(text):
    assert chexpert_rules([text])[0]["Lung Lesion"] is None
    assert chexpert_labeler(calcified=True)([text])[0]["Lung Lesion"] == 1
    assert explain(text).labels == chexpert_rules([text])[0]


@pytest.mark.parametrize(
    "text", ["Noncalcified nodule.", "Non-calcified nodule.", "Calcified nodes and a nodule."]
)
def test_a_nodule_that_is_not_calcified_is_a_lesion(text):
    assert chexpert_rules([text])[0]["Lung Lesion"] == 1


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("CTR 0.58", 1),
        ("CTR > 50%", 1),
        ("CTR 50%", 0),
        ("CTR is less than 50 %", 0),
        ("CTR not over 50 %", 0),
        ("CTR 62 percent", 1),
        ("CTR of the film", None),
        ("The cardiothoracic ratio is increased", 1),
    ],
)
def test_a_cardiothoracic_ratio(text, state):
    assert label(text)["Cardiomegaly"] == state
