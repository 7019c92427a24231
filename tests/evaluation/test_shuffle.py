from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.errors import DataError
from radflow.evaluation import derangement


@given(st.integers(2, 300), st.integers(0, 2**32))
def test_a_permutation_without_fixed_points(n, seed):
    order = derangement(n, seed)
    assert sorted(order) == list(range(n))
    assert (order != np.arange(n)).all()


def test_the_seed_decides():
    assert derangement(50, 1).tolist() == derangement(50, 1).tolist()
    assert derangement(50, 1).tolist() != derangement(50, 2).tolist()


def test_all_derangements_are_equally_likely():
    counts = Counter(tuple(derangement(4, seed)) for seed in range(1800))
    assert len(counts) == 9  # !4
    assert all(140 <= count <= 260 for count in counts.values())  # 200 expected, 13 standard deviation


def test_one_study_cannot_be_shuffled():
    with pytest.raises(DataError, match="at least 2"):
        derangement(1)
