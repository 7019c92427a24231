import math
import warnings

import numpy as np
import pytest
from sklearn.metrics import f1_score

from radflow.errors import DataError
from radflow.metrics import corpus_f1


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_scikit_learn_gives_for_the_observations_that_occur(seed):
    dice = np.random.default_rng(seed)
    predicted, reference = dice.random((40, 6)) < 0.2, dice.random((40, 6)) < 0.1
    reference[:, 2] = False  # occurs in no reference, and is predicted
    occurring = np.flatnonzero(reference.any(axis=0))
    found = corpus_f1(predicted, reference)
    with warnings.catch_warnings(action="ignore"):
        macro = f1_score(reference, predicted, labels=occurring, average="macro", zero_division=0)
        micro = f1_score(reference, predicted, average="micro", zero_division=0)
    assert found.macro == pytest.approx(macro)
    assert found.micro == pytest.approx(micro)
    assert found.positives == pytest.approx(predicted.sum() / 40)


def test_a_false_alarm_on_what_never_occurs_lowers_micro_and_not_macro():
    reference = np.array([[True, False], [False, False]])
    clean, alarmed = corpus_f1(reference, reference), corpus_f1(reference | [[False, True]], reference)
    assert alarmed.macro == clean.macro == 1
    assert (clean.micro, alarmed.micro) == (1, 0.5)


def test_nothing_to_find_is_not_a_number():
    nothing = np.zeros((3, 2), dtype=bool)
    assert math.isnan(corpus_f1(nothing, nothing).macro)
    assert math.isnan(corpus_f1(nothing, nothing).micro)
    assert corpus_f1(~nothing, nothing).micro == 0


def test_unpaired_tables_are_refused():
    with pytest.raises(DataError, match=r"got \(2, 3\) predicted and \(3, 3\)"):
        corpus_f1(np.zeros((2, 3), dtype=bool), np.zeros((3, 3), dtype=bool))
    with pytest.raises(DataError, match="a row per report"):
        corpus_f1(np.zeros((0, 3), dtype=bool), np.zeros((0, 3), dtype=bool))
