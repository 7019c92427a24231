import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.readers.tokens import TOKEN, normalise, sentences, token_spans, words_of


def split(text: str) -> list[str]:
    return [" ".join(sentence.words) for sentence in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Heart is normal. Lungs are clear.", ["heart is normal", "lung are clear"]),
        ("limits.The lungs", ["limit", "the lung"]),
        ("A 3.5 cm mass. No edema", ["a 3.5 cm mass", "no edema"]),
        ("1. Edema 2. Effusion", ["edema 2", "effusion"]),
        ("1) Edema\n2) Effusion", ["edema", "effusion"]),
        ("a) Edema", ["edema"]),
        ("Edema vs. pneumonia", ["edema vs pneumonia"]),
        ("Dr. Smith was called. Edema.", ["dr smith wa called".replace("wa ", "was "), "edema"]),
        ("No evidence of\nedema", ["no evidence of edema"]),
        ("Edema\nEffusion", ["edema", "effusion"]),
        ("Edema\n\neffusion", ["edema", "effusion"]),
        ("no edema There is effusion", ["no edema", "there is effusion"]),
        ("Edema... Effusion!?", ["edema", "effusion"]),
        ("• edema • effusion", ["edema", "effusion"]),
        ("Right: no plaque", ["right : no plaque"]),
        ("At 9 a.m. no edema. At 5 p.m. Effusion", ["at 9 a m no edema", "at 5 p m", "effusion"]),
        ("The L. lung is clear", ["the l lung is clear"]),
        ("over 4 cm. or mass. 2 cm. Mass", ["over 4 cm or mass", "2 cm", "mass"]),
        ("no edema\nOr effusion", ["no edema or effusion"]),
        ("NO EDEMA OR\nEFFUSION. HEART\nNORMAL", ["no edema or effusion", "heart normal"]),
        ("NO EDEMA\nEFFUSION", ["no edema", "effusion"]),
        ("a) no edema\nb) effusion", ["no edema", "effusion"]),
        ("?edema. Effusion? Mass", ["? edema", "effusion ?", "mass"]),
        ("", []),
        (" \n\n. . .", []),
    ],
)
def test_splitting(text, expected):
    assert split(text) == expected


@pytest.mark.parametrize("header", ["INDICATION", "History", "Comparison", "Reason for exam", "TECHNIQUE"])
def test_sections_about_something_else_are_left_out(header):
    assert split(f"{header}: pneumonia. Cough. FINDINGS: Clear lungs. IMPRESSION: Normal") == [
        "clear lung",
        "normal",
    ]
    assert split(f"{header}: pneumonia\n\nClear lungs") == ["clear lung"]


def test_headers_on_their_own_line():
    assert split("FINDINGS\nClear lungs\nIMPRESSION\nNormal chest") == ["clear lung", "normal chest"]


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("effusions", "effusion"),
        ("opacities", "opacity"),
        ("masses", "mass"),
        ("apices", "apex"),
        ("boxes", "box"),
    ],
)
def test_plurals_fold(plural, singular):
    assert normalise(plural) == normalise(singular.upper()) == singular


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("oedema", "edema"),
        ("Haemothorax", "hemothorax"),
        ("TUMOURS", "tumor"),
        ("pnuemothorax", "pneumothorax"),
    ],
)
def test_spellings_fold(written, meant):
    assert normalise(written) == meant


@given(st.text())
def test_spans_are_those_of_the_tokens(text):
    spans = token_spans(text)
    assert [text[start:end] for start, end in spans] == TOKEN.findall(text)
    for sentence in sentences(text):
        start, end = sentence.span(spans)
        assert 0 <= start < end <= len(text)
        for place, at in enumerate(sentence.index):
            assert sentence.span(spans, place, place + 1) == spans[at]


def test_hyphens_are_silent():
    assert words_of("air-space") == words_of("air space")


@given(st.text())
def test_any_text_splits_and_keeps_word_positions(text):
    tokens = TOKEN.findall(text)
    for sentence in sentences(text):
        assert len(sentence.words) == len(sentence.index) > 0
        assert all(
            normalise(tokens[at]) == word for word, at in zip(sentence.words, sentence.index, strict=True)
        )
        assert list(sentence.index) == sorted(set(sentence.index))
