from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.baselines import most_frequent_report
from radflow.errors import DataError


@given(st.lists(st.sampled_from(["Normal.", "Effusion.", "Mass."]), min_size=1))
def test_nothing_occurs_more_often(texts: list[str]) -> None:
    counts = Counter(texts)
    assert counts[most_frequent_report(texts)] == max(counts.values())


def test_of_equally_frequent_reports_the_first_is_taken() -> None:
    assert most_frequent_report(["b", "a", "a", "b"]) == "b"


def test_no_reports_is_an_error() -> None:
    with pytest.raises(DataError, match="expected training reports, got none"):
        most_frequent_report([])
