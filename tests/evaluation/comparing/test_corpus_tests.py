from itertools import product

import numpy as np
import pytest

from radflow.evaluation.comparing.corpus_tests import corpus_tests
from radflow.evaluation.corpus import counts_of
from radflow.metrics import corpus_f1


def reports(size, seed=0):
    dice = np.random.default_rng(seed)
    support = dice.random((size, 3)) < 0.4
    return support & (dice.random((size, 3)) < 0.4), support & (dice.random((size, 3)) < 0.9), support


def test_the_p_value_is_the_share_of_all_exchanges_that_reach_the_difference():
    first, second, support = reports(6)
    patients = ["p0", "p0", "p1", "p2", "p3", "p4"]
    found = corpus_tests(counts_of(first, support), counts_of(second, support), patients, resamples=50)

    def gap(exchanged):
        swap = np.array([exchanged[int(patient[1])] for patient in patients])[:, None]
        a = corpus_f1(np.where(swap, second, first), support)
        b = corpus_f1(np.where(swap, first, second), support)
        return np.abs([b.macro - a.macro, b.micro - a.micro])

    every = np.array([gap(exchanged) for exchanged in product((False, True), repeat=5)])
    np.testing.assert_allclose(found.p, (every >= every[0] - 1e-12).mean(axis=0))
    assert found.units == 5


def test_a_clear_difference_of_many_studies_has_a_small_p_value_and_none_has_one():
    first, second, support = reports(60)
    counts = [counts_of(written, support) for written in (first, second)]
    clear = corpus_tests(counts[0], counts[1], range(60), resamples=200)
    assert clear.p.tolist() == pytest.approx([1 / 201] * 2)
    same = corpus_tests(counts[0], counts[0], range(60), resamples=200)
    assert same.p.tolist() == [1.0, 1.0]
    assert same.spread.tolist() == [0.0, 0.0]
