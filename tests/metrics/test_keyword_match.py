import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.metrics import keyword_match, keyword_match_from_terms, texts_label_f1

terms = st.frozensets(st.sampled_from(["plaque", "not plaque", "stenosis", "left", "right"]))


@given(terms, terms)
def test_symmetric_bounded_and_one_only_for_equal_sets(ours, theirs):
    value = keyword_match_from_terms([ours], [theirs])[0]
    assert value == keyword_match_from_terms([theirs], [ours])[0]
    assert 0.0 <= value <= 1.0
    assert (value == 1.0) == (ours == theirs)


def test_closed_form():
    assert keyword_match_from_terms([{"a", "b", "c"}], [{"b", "c", "d", "e"}])[0] == pytest.approx(4 / 7)


def test_texts_are_read_by_the_reader_given():
    def reader(texts):
        return [frozenset(text.split()) for text in texts]

    assert keyword_match(["hard plaque", ""], ["soft plaque", ""], reader).tolist() == [0.5, 1.0]


def test_label_f1_compares_positives_only():
    def reader(texts):
        return [
            {"plaque": 1 if "plaque" in t else 0, "stenosis": 1 if "stenosis" in t else None} for t in texts
        ]

    generated = ["plaque and stenosis", "smooth wall", "plaque"]
    assert texts_label_f1(generated, ["plaque", "clean", "clean"], reader).round(3).tolist() == [
        0.667,
        1.0,
        0.0,
    ]
