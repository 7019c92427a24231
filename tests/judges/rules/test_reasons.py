from hypothesis import given
from hypothesis import strategies as st

from radflow.judges.rules.reasons import Reason, shortened


@given(st.text())
def test_a_quotation_is_one_line_of_bounded_length(text):
    quoted = shortened(text)
    assert len(quoted) <= 62
    assert len(quoted.splitlines()) <= 1
    assert quoted.rstrip("… ") == " ".join(text.split())[: len(quoted.rstrip("… "))]


def test_a_reason_names_the_sentence_or_the_whole():
    denied = Reason(about="Edema", what="denied", sentence="No  edema.\n")
    assert str(denied) == 'Edema: denied (in "No edema.")'
    assert str(Reason(about="", what="no Findings", sentence=None)) == "no Findings (Impression as a whole)"
