import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.readers import label_vector
from radflow.readers.labels import stronger

states = st.sampled_from([1, 0, -1, None])


@given(st.lists(states, min_size=1))
def test_only_the_uncertain_ones_depend_on_the_choice(row):
    labels = {str(number): state for number, state in enumerate(row)}
    as_positive, as_negative = label_vector(labels), label_vector(labels, uncertain_as=0)
    assert (
        np.flatnonzero(as_positive != as_negative) == [n for n, state in enumerate(row) if state == -1]
    ).all()
    assert as_negative.tolist() == [int(state == 1) for state in row]


def test_a_list_gives_a_matrix():
    assert label_vector([{"A": 1, "B": 0}, {"A": None, "B": -1}]).tolist() == [[1, 0], [0, 1]]


def test_uncertain_as_must_be_binary():
    with pytest.raises(ValueError, match="uncertain_as 0 or 1, got 2"):
        label_vector({"A": 1}, uncertain_as=2)


@given(states, states, states)
def test_the_stronger_state_does_not_depend_on_order(a, b, c):
    assert stronger(a, b) == stronger(b, a)
    assert stronger(stronger(a, b), c) == stronger(a, stronger(b, c))
