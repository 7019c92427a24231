"""The evidence behind labels: the same labels, and positions that point at the words."""

import tomllib
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.readers import CHEXPERT_OBSERVATIONS
from radflow.readers.chexpert import chexpert_rules
from radflow.readers.explain import Evidence, explain
from radflow.readers.labels import stronger
from radflow.readers.lexicon import expand, lexicon
from radflow.readers.tokens import words_of

SENTENCES = tomllib.loads((Path(__file__).parent / "sentences.toml").read_text(encoding="utf-8"))
TEXTS = list(chain.from_iterable(SENTENCES.values()))
PHRASES = {words for entry in lexicon("chexpert") for phrase in entry.phrases for words in expand(phrase)}
CUES = {words for entry in lexicon("scope") for phrase in entry.phrases for words in expand(phrase)}


def said(text: str, span) -> tuple[str, ...]:
    """The words at a span, as a lexicon would have them; a phrase may run over a line's end."""
    return words_of(" ".join(text[slice(*span)].split()))


def check(text: str) -> None:
    explanation = explain(text)
    assert explanation.labels == chexpert_rules([text])[0]
    rebuilt = dict.fromkeys(CHEXPERT_OBSERVATIONS)
    for evidence in explanation.evidence:
        observation = evidence.observation
        rebuilt[observation] = stronger(rebuilt[observation], evidence.state)
        assert said(text, evidence.phrase) in PHRASES
        assert evidence.cue is None or said(text, evidence.cue) in CUES
        assert evidence.quality is None or said(text, evidence.quality) in PHRASES
        for span in (evidence.phrase, evidence.cue, evidence.quality):
            assert span is None or evidence.sentence.start <= span.start < span.end <= evidence.sentence.end
        assert 0 <= evidence.sentence.start < evidence.sentence.end <= len(text)
        assert evidence.decisive == (
            evidence.state is not None and evidence.state == explanation.labels[observation]
        )
    assert list(explanation.evidence) == sorted(explanation.evidence, key=lambda e: e.phrase)
    del rebuilt["No Finding"]
    assert rebuilt == {name: explanation.labels[name] for name in rebuilt}


def test_evidence_gives_the_labels_and_points_at_the_words():
    for text in TEXTS:
        check(text)
        check(f"  INDICATION: fever.\n\nFINDINGS:\t{text.upper()}\r\n")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(TEXTS), max_size=6), st.sampled_from([" ", "\n", "\n\n", "\n- ", " \u200b"]))
def test_positions_count_the_whole_report(texts, between):
    check(between.join(texts))


def one(text: str, observation: str) -> Evidence:
    (evidence,) = (e for e in explain(text).evidence if e.observation == observation)
    return evidence


@pytest.mark.parametrize(
    ("text", "observation", "phrase", "cue", "rule"),
    [
        ("No pleural  effusion.", "Pleural Effusion", "pleural  effusion", "No", "'No' before it denies"),
        ("A fracture is not seen.", "Fracture", "fracture", "is not seen", "'is not seen' after it denies"),
        ("Small effusion.", "Pleural Effusion", "effusion", None, "named, nothing qualifies it"),
        ("May be edema.", "Edema", "edema", "May be", "'May be' before it hedges"),
        (
            "Most likely edema.",
            "Edema",
            "edema",
            "Most likely",
            "'Most likely' before it makes it likely: counts as stated",
        ),
        ("Mass versus edema", "Lung Lesion", "Mass", "versus", "'versus': either of two"),
        ("Mass versus edema", "Edema", "edema", "versus", "'versus': either of two"),
        ("Mass or edema", "Lung Lesion", "Mass", "or", "'or': either of two"),
        (
            "History of pneumonia.",
            "Pneumonia",
            "pneumonia",
            "History of",
            "'History of': another time, or only asked for: not counted",
        ),
        (
            "The Heart is normal.",
            "Cardiomegaly",
            "Heart",
            None,
            "'Heart' is 'normal'",
        ),
        (
            "Mediastinum not widened.",
            "Enlarged Cardiomediastinum",
            "Mediastinum",
            "not",
            "'Mediastinum' is 'widened', 'not' before it denies",
        ),
        (
            "Possibly enlarged heart.",
            "Cardiomegaly",
            "heart",
            "Possibly",
            "'enlarged' of 'heart', 'Possibly' before it hedges",
        ),
        (
            "No acute cardiopulmonary abnormality.",
            "Edema",
            "acute cardiopulmonary abnormality",
            "No",
            "'No' before it denies; said of the chest as a whole",
        ),
    ],
)
def test_what_decided_is_named(text, observation, phrase, cue, rule):
    evidence = one(text, observation)
    assert text[slice(*evidence.phrase)] == phrase
    assert (evidence.cue and text[slice(*evidence.cue)]) == cue
    assert evidence.rule == rule


def test_the_overruled_and_the_set_aside_are_shown():
    text = "History of effusion. No effusion on the right. Possible effusion. Left effusion."
    explanation = explain(text)
    assert explanation.labels["Pleural Effusion"] == 1
    assert [(e.state, e.decisive) for e in explanation.evidence] == [
        (None, False),
        (0, False),
        (-1, False),
        (1, True),
    ]


def test_the_lexicon_behind_it_is_named():
    assert one("No edema.", "Edema").source == "chexpert.toml [[finding]] Edema; scope.toml [[before]] absent"


def test_a_report_that_says_nothing_has_no_evidence():
    explanation = explain("")
    assert explanation.evidence == ()
    assert explanation.labels["No Finding"] == 1


WHOLE_REPORTS = {  # in the style of CheXpert's sample reports: what each label must rest on
    "1. Stable mild cardiomegaly with central vascular congestion, unchanged. 2. Small bilateral effusions, "
    "right greater than left. 3. Bibasilar opacities, likely atelectasis, though superimposed infection "
    "cannot be excluded.": {
        ("Cardiomegaly", 1, "cardiomegaly", None),
        ("Edema", 1, "vascular congestion", None),
        ("Pleural Effusion", 1, "effusions", None),
        ("Lung Opacity", 1, "opacities", None),
        ("Atelectasis", 1, "atelectasis", "likely"),
        ("Pneumonia", -1, "infection", "cannot be excluded"),
    },
    "The heart is top normal in size. There is no focal consolidation, pleural effusion, or pneumothorax. No "
    "displaced rib fracture. Old granulomatous disease.": {
        ("Cardiomegaly", 0, "heart", None),
        ("Consolidation", 0, "consolidation", "no"),
        ("Pleural Effusion", 0, "pleural effusion", "no"),
        ("Pneumothorax", 0, "pneumothorax", "no"),
        ("Fracture", 0, "rib fracture", "No"),
    },
    "No pneumothorax following chest tube removal. NG tube is in the stomach. Previously seen nodule has "
    "resolved. No change in small left effusion.": {
        ("Pneumothorax", 0, "pneumothorax", "No"),
        ("Support Devices", 0, "chest tube", "removal"),
        ("Support Devices", 1, "NG tube", None),
        ("Lung Lesion", 0, "nodule", "has resolved"),
        ("Pleural Effusion", 1, "effusion", None),
    },
    "AP portable chest radiograph. Linear left basilar scarring versus atelectasis is less likely pneumonia. "
    "Interval development of mild interstitial edema. Biapical pleural thickening.": {
        ("Atelectasis", -1, "atelectasis", "versus"),
        ("Pneumonia", -1, "pneumonia", "is less likely"),
        ("Edema", 1, "interstitial edema", None),
        ("Pleural Other", 1, "pleural thickening", None),
    },
}


@pytest.mark.parametrize("text", WHOLE_REPORTS)
def test_every_label_of_a_whole_report_rests_on_its_words(text: str):
    said = {
        (e.observation, e.state, text[slice(*e.phrase)], e.cue and text[slice(*e.cue)])
        for e in explain(text).evidence
    }
    assert said == WHOLE_REPORTS[text]
