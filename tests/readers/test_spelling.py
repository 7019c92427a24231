"""One wrong letter is mended, and no finding becomes another."""

import pytest

from radflow.readers.lexicon import WORDS, lexicon
from radflow.readers.spelling import mended
from radflow.readers.tokens import TOKEN, words_of


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("pnemothorax", "pneumothorax"),
        ("pneumothroax", "pneumothorax"),
        ("effussion", "effusion"),
        ("opacitiy", "opacity"),
        ("consoldation", "consolidation"),
        ("cardiomegoly", "cardiomegaly"),
        ("hemothrax", "hemothorax"),
    ],
)
def test_one_letter_is_mended(written, meant):
    assert mended(written) == meant


@pytest.mark.parametrize(
    "word",
    [
        "hemithorax",
        "hemothorax",
        "pneumonic",
        "injection",
        "module",
        "enema",
        "infusion",
        "diffusion",
        "lesson",
        "pneumatocele",
        "pneumonectomy",
        "hydrothorax",
        "plural",
        "pneumonie",
        "fractured",
        "collapsed",
        "heat",
    ],
)
def test_real_words_are_left_alone(word):
    assert mended(word) == word


@pytest.mark.parametrize("word", ["", "no", "12", "x" * 100, "pnuemothroax", "efffussion"])
def test_too_short_too_long_or_too_wrong(word):
    assert mended(word) == word


@pytest.mark.parametrize("name", ["carotid", "chexpert", "criticality", "radgraph", "scope"])
def test_no_word_of_a_lexicon_is_taken_for_another(name):
    for entry in lexicon(name):
        for phrase in entry.phrases if entry.kind != WORDS else ():
            for token in TOKEN.findall(phrase):
                for word in words_of(token):
                    assert mended(word) == word, (entry, token)
