"""Mangled reports: the rule readers answer, whatever they are given, and give the same answer every time."""

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.readers import CHEXPERT_OBSERVATIONS, load
from radflow.readers.carotid import CAROTID_OBSERVATIONS
from radflow.readers.explain import explain
from radflow.readers.lexicon import expand, lexicon
from radflow.reports import Report

LEXICONS = ("scope", "chexpert", "radgraph", "carotid", "criticality")
WORDS = sorted(
    {
        word
        for name in LEXICONS
        for entry in lexicon(name)
        for phrase in entry.phrases
        for words in expand(phrase)
        for word in words
    }
)
MARKS = [
    ".",
    ",",
    ";",
    ":",
    "?",
    "!",
    "(",
    ")",
    "/",
    "-",
    "\n",
    "\n\n",
    "\t",
    "•",
    "*",
    "1.",
    "2)",
    "a)",
    "cm.",
    "50%",
]
REPORT = (
    "FINDINGS: The heart is enlarged. No effusion, pneumothorax or focal consolidation.\n"
    "Right: hard plaque in the bulb, 60% stenosis, PSV 180 cm/s. Left: no plaque.\n"
    "IMPRESSION: 1. Cardiomegaly 2. Possible pneumonia.\n"
)
STATES = {1, 0, -1, None}


def read(name: str, text: str) -> object:
    given = Report(text=text, findings=None, impression=None) if name == "criticality-rules" else text
    (answer,) = load(name)([given])
    return answer


def check(text: str) -> None:
    """Every reader answers with what it promises."""
    labels = read("chexpert-rules", text)
    assert tuple(labels) == CHEXPERT_OBSERVATIONS
    assert set(labels.values()) <= STATES
    carotid = read("carotid-labels", text)
    assert tuple(carotid) == CAROTID_OBSERVATIONS
    assert set(carotid.values()) <= STATES
    assert all(isinstance(term, str) for term in read("carotid-terms", text))
    assert isinstance(read("criticality-rules", text), bool)
    graph = read("radgraph-rules", text)
    shown = graph["text"].split(" ")
    for entity in graph["entities"].values():
        assert 0 <= entity["start_ix"] <= entity["end_ix"] < len(shown)
        assert all(target in graph["entities"] for _, target in entity["relations"])


reportish = st.lists(
    st.one_of(st.sampled_from(WORDS), st.sampled_from(MARKS), st.text(max_size=4)), max_size=80
)


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_any_text_is_read(text):
    check(text)
    explain(text)


@settings(max_examples=80, deadline=None)
@given(reportish, st.sampled_from([" ", "", "\n", "  \r\n"]))
def test_words_of_the_lexicons_in_any_order_are_read(words, between):
    text = between.join(words)
    check(text)
    assert explain(text).labels == read("chexpert-rules", text)


@settings(max_examples=60, deadline=None)
@given(
    st.text(alphabet=st.characters(categories=["Cs", "Cc", "Cf", "Mn", "Zl", "Zp", "Nd", "No"]), max_size=60)
)
def test_surrogates_controls_and_marks_are_read(text):
    check(text)
    check(f"No {text}effusion{text}.")


def mutated(text: str, seed: int) -> str:
    """Drop, double, swap and replace characters of a report."""
    draw = random.Random(seed)
    letters = list(text)
    for _ in range(draw.randrange(1, 60)):
        at = draw.randrange(len(letters))
        kind = draw.randrange(4)
        letters[at] = ("", letters[at] * 2, letters[at - 1], chr(draw.randrange(sys.maxunicode)))[kind]
    return "".join(letters)


@pytest.mark.parametrize("seed", range(40))
def test_a_mistyped_report_is_read(seed):
    check(mutated(REPORT, seed))


MANGLED = {  # some 5 KB each; that work is in proportion to the length, see test_linear_work.py
    "nothing": "",
    "one long line": REPORT.replace("\n", " ") * 20,
    "one long word": "effusion" * 12_500,
    "one long number": "1" * 100_000,
    "one version number": "1." * 50_000,
    "one percentage": "9" * 5_000 + "% stenosis",
    "only points": "." * 2_000,
    "only punctuation": "?!,;:()[]{}/\\|-_*#@%&=+<>~^'\"`" * 100,
    "only line breaks": "\n" * 100_000,
    "line breaks of every kind": "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029" * 10_000,
    "only spaces": " \t\u00a0\u3000" * 25_000,
    "no no no": "no " * 10_000 + "effusion",
    "effusion no effusion": "effusion no " * 400,
    "one list": "no " + "effusion, " * 500 + "or pneumothorax",
    "versus": "effusion versus " * 400,
    "open brackets": "(" * 2_000 + "effusion" + ")" * 2_000,
    "colons": "Findings: " * 500 + "effusion",
    "numbered": " ".join(f"{number}. no effusion" for number in range(400)),
    "nested list": "\n".join(
        "  " * (number % 40) + "- (" + "a) " * (number % 5) + "no mass" for number in range(200)
    ),
    "controls": "".join(map(chr, range(32))) * 50 + " No\x00effusion\x07. \x1b[31mMass\x1b[0m",
    "zero width": "\u200beffusion\u200d \ufeffno\u2060 pneu\u00admothorax" * 150,
    "lone surrogates": "No \ud800effusion\udfff. " * 200,
    "combining marks": "e" + "\u0301" * 5_000 + "ffusion",
    "right to left": "\u202eلا يوجد انصباب جنبي\u202c. No effusion. אין תפליט." * 80,
    "Chinese": "双肺纹理清晰，心影不大，未见胸腔积液。右肺结节1.2厘米。" * 100,
    "Cyrillic, Greek, Thai, Hindi": "Нет выпота. Όχι συλλογή. ไม่มีน้ำ. कोई बहाव नहीं। " * 80,
    "emoji": "🫁 no effusion 👩🏽‍⚕️ " * 200,
    "mathematical letters": "𝐍𝐨 𝐞𝐟𝐟𝐮𝐬𝐢𝐨𝐧 ①②③ Ⅳ ½ ﬁbrosis İSTANBUL ß " * 100,
    "odd digits": "١٢٣ % stenosis ²³ cm ৪.৫ mm ५० % IMT ٣٫٥ mm " * 80,
    "HTML": "<div class='r'><p>No&nbsp;effusion<br/>Mass &lt; 2&nbsp;cm</p><script>alert(1)</script></div>"
    * 40,
    "JSON": '{"findings": "No effusion.", "labels": [1, 0, -1, null]}' * 80,
    "XXXX": "XXXX a XXXX XXXX representing XXXX " * 200,
}


@pytest.mark.parametrize("text", MANGLED.values(), ids=MANGLED)
def test_mangled_reports_are_read(text):
    check(text)


@pytest.mark.parametrize("name", ["HTML", "numbered", "zero width", "controls", "emoji"])
def test_mangled_reports_are_explained(name):
    text = MANGLED[name]
    explanation = explain(text)
    assert explanation.labels == read("chexpert-rules", text)
    assert all(text[slice(*evidence.phrase)] for evidence in explanation.evidence)


def test_noise_around_a_report_does_not_change_its_labels():
    plain = read("chexpert-rules", REPORT)
    for noise in ("\n\n\n", "....", "\x00", "<br/>\n\n", "***", "\u200b\n\n"):
        assert read("chexpert-rules", noise + REPORT + noise) == plain, repr(noise)
