import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow import readers
from radflow.judges.rules.carotid import carotid_rules
from radflow.judges.rules.judge import RulesJudge
from radflow.reports import Report

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
    judge = RulesJudge(rules={"carotid-us": carotid_rules(terms)}, cache_size=2)
    pairs = [("Right plaque.", f"Right plaque {n}.") for n in range(3)]
    judge([pairs[0], pairs[0]])
    assert len(terms.texts) == 2
    judge(pairs)
    judge([pairs[0]])  # pushed out by the other two
    assert len(terms.texts) == 2 * 4
    assert judge._verdict.cache_info().currsize == 2


@pytest.mark.parametrize(
    ("findings", "impression"), [("", "Normal."), ("Clear lungs.", ""), ("-", "Normal.")]
)
def test_an_empty_section_follows_from_nothing(findings, impression):
    assert not RulesJudge().explain(findings, impression).consistent


def test_a_chest_report_that_mentions_carotids_is_read_as_a_chest_report():
    findings = "Carotid calcification. No pleural effusion. The lungs are clear."
    assert RulesJudge().explain(findings, "Left pleural effusion.").reasons == (
        'Pleural Effusion: asserted in the Impression, denied in the Findings (in "Left pleural effusion.")',
    )


@given(
    st.lists(st.sampled_from(SECTIONS[2:6]), min_size=1, max_size=4),
    st.lists(st.sampled_from(SECTIONS[2:6]), min_size=1, max_size=4),
)
def test_every_reason_quotes_the_impression_or_is_about_all_of_it(findings, impression):
    said = " ".join(impression)
    for reason in RulesJudge().explain(" ".join(findings), said).reasons:
        quoted = re.search(r'\((?:in "(.*)"|Impression as a whole)\)$', reason)
        assert quoted, reason
        assert (quoted[1] or "").rstrip("… ") in said


def test_criticality_is_that_of_the_rules_reader():
    texts = ["Lungs are clear. No acute disease.", "Old rib fracture.", ""]
    reports = [Report(text=text, findings=None, impression=None) for text in texts]
    assert (
        RulesJudge().criticality(reports) == readers.load("criticality-rules")(reports) == [False, True, True]
    )


def test_judging_by_rules_needs_no_torch():
    code = (
        "import sys; from radflow.judges.rules.judge import RulesJudge; "
        "assert RulesJudge()([('Clear lungs.', 'Left effusion.')]) == [False]; "
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
