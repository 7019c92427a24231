import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.evaluation.marks import mark_sentences
from radflow.readers import load

CHEST = load("chexpert-rules")
CAROTID = load("carotid-labels")
PHRASES = st.sampled_from(
    [
        "Findings: ",
        "Impression: ",
        "No effusion",
        "Large left effusion",
        "Possible pneumonia",
        "Heart size is normal",
        ". ",
        ".",
        " ",
        "\n",
        "2.5 cm mass",
    ]
)
reports = st.lists(PHRASES, max_size=12).map("".join) | st.text(max_size=60)


def kinds(text: str, reference: str, labeler=CHEST) -> dict[str, str]:
    return {text[m["start"] : m["end"]]: m["kind"] for m in mark_sentences(text, reference, labeler)}


@given(reports, reports)
def test_marks_lie_inside_the_text_in_order_and_apart(text: str, reference: str) -> None:
    place = 0
    for mark in mark_sentences(text, reference, CHEST):
        assert place <= mark["start"] < mark["end"] <= len(text)
        assert text[mark["start"] : mark["end"]].strip()
        place = mark["end"]


@given(reports)
def test_a_report_never_contradicts_itself_nor_adds_to_itself(text: str) -> None:
    positive_only = "Large left effusion. " + text.replace("No effusion", "Left effusion")
    assert "extra" not in kinds(positive_only, positive_only).values()


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Small pleural effusion.", "contradict"),
        ("No cardiomegaly.", "contradict"),
        ("The heart is enlarged.", "agree"),
        ("There is pneumonia.", "extra"),
    ],
)
def test_what_a_sentence_is(sentence: str, kind: str) -> None:
    assert kinds(sentence, "No pleural effusion. The heart is enlarged.") == {sentence: kind}


def test_what_the_reference_leaves_out_may_be_denied() -> None:
    assert kinds("No pneumonia.", "The heart is enlarged.") == {}


def test_a_normal_sentence_is_not_a_normal_report() -> None:
    """The labelers also sum up: a lone normal sentence reads as "No Finding", which it does not say."""
    assert kinds("Heart size is normal.", "Large effusion.") == {}
    assert kinds("Right: no plaque.", "Left: soft plaque in the bulb.", CAROTID) == {}


def test_a_sentence_is_read_in_its_context() -> None:
    reference = "Left: soft plaque in the bulb. Right: no plaque."
    text = "Left: IMT is normal. Soft plaque in the bulb. Right: IMT is normal. Soft plaque in the bulb."
    marks = mark_sentences(text, reference, CAROTID)
    plaques = {m["start"]: m["kind"] for m in marks if text[m["start"] :].startswith("Soft")}
    assert list(plaques.values()) == ["agree", "contradict"]


def test_headers_are_not_part_of_a_sentence() -> None:
    text = "Findings: Small pleural effusion. Impression: Pleural effusion."
    assert kinds(text, "Pleural effusion.") == {
        "Small pleural effusion.": "agree",
        "Pleural effusion.": "agree",
    }
