import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.judges.rules import RulesJudge

SECTIONS = [
    "",
    " . ",
    "The lungs are clear.",
    "Left pleural effusion.",
    "No pleural effusion.",
    "Right: normal. Left: hard plaque in the ICA, PSV 240 cm/s.",
    "Carotid calcification is seen beside the lungs.",
    "\x00\n\n;;",
]


@given(
    st.one_of(st.sampled_from(SECTIONS), st.text(max_size=80)),
    st.one_of(st.sampled_from(SECTIONS), st.text()),
)
def test_any_text_gets_one_verdict_that_agrees_with_its_reasons(findings, impression):
    verdict = RulesJudge().explain(findings, impression)
    assert verdict.consistent == (verdict.reasons == ())


@given(st.lists(st.tuples(st.sampled_from(SECTIONS), st.sampled_from(SECTIONS)), max_size=6))
@settings(max_examples=40)
def test_an_answer_does_not_depend_on_its_company(pairs):
    forgetful = RulesJudge(cache_size=1)
    assert RulesJudge()(pairs) == [forgetful([pair])[0] for pair in reversed(pairs)][::-1]


class Counting:
    def __init__(self):
        self.texts = []

    def __call__(self, texts):
        self.texts.extend(texts)
        return [frozenset({"plaque@right"}) for _ in texts]


def test_the_same_pair_is_read_once_and_the_memory_is_bounded():
    terms = Counting()
    judge = RulesJudge(terms=terms, cache_size=2)
    pairs = [("Right plaque.", f"Right plaque {n}.") for n in range(3)]
    judge([pairs[0], pairs[0]])
    assert len(terms.texts) == 2
    judge(pairs)
    judge([pairs[0]])  # pushed out by the other two
    assert len(terms.texts) == 2 * 4
    assert len(judge._verdicts) == 2


@pytest.mark.parametrize(
    ("findings", "impression"), [("", "Normal."), ("Clear lungs.", ""), ("-", "Normal.")]
)
def test_an_empty_section_follows_from_nothing(findings, impression):
    assert not RulesJudge().explain(findings, impression).consistent


def test_a_chest_report_that_mentions_carotids_is_read_as_a_chest_report():
    findings = "Carotid calcification. No pleural effusion. The lungs are clear."
    assert RulesJudge().explain(findings, "Left pleural effusion.").reasons == (
        "Pleural Effusion: asserted in the Impression, denied in the Findings",
    )
