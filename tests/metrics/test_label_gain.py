"""Scores of labels against their equations by hand, and what silence is worth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score

from radflow.metrics import corpus_f1
from radflow.metrics.label_gain import (
    LabelCounts,
    label_counts,
    marginal_gain,
    rarity_weights,
    weighted_f_beta,
)

tables = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).random((2, 30, 5)) < 0.25)


@given(tables, st.sampled_from([0.5, 1.0, 2.0]))
def test_with_equal_weights_it_is_the_f_beta_of_scikit_learn(both, beta):
    ours, theirs = both
    ours, theirs = ours[theirs.any(1)], theirs[theirs.any(1)]
    expected = [fbeta_score(t, o, beta=beta, zero_division=0) for o, t in zip(ours, theirs, strict=True)]
    assert weighted_f_beta(ours, theirs, np.ones(5), beta=beta) == pytest.approx(expected)


@given(tables)
def test_a_weight_is_as_good_as_saying_it_so_often(both):
    ours, theirs = both
    weights = np.array([1, 2, 3, 1, 1])
    repeated = (np.repeat(of, weights, axis=1) for of in both)
    assert weighted_f_beta(ours, theirs, weights.astype(float), clean=0.3)[theirs.any(1)] == pytest.approx(
        weighted_f_beta(*repeated, np.ones(8), clean=0.3)[theirs.any(1)]
    )


def test_silence_earns_nothing_on_an_abnormal_study_and_a_clean_report_the_most_on_a_normal_one():
    silent, one, two = np.array([[0, 0], [1, 0], [1, 1]], dtype=bool)[:, None]
    assert weighted_f_beta(silent, one, np.ones(2), clean=0.1).tolist() == [0]
    normal = [weighted_f_beta(said, silent, np.ones(2), clean=0.1)[0] for said in (silent, one, two)]
    assert normal[0] == 0.1
    assert normal == sorted(normal, reverse=True)
    assert normal[1] < normal[0] and normal[2] < normal[1]


def test_recall_counts_more_than_precision():
    reference = np.array([[True, True, False, False]])
    missing, inventing = ~reference & False, reference | [[False, False, True, True]]
    missing = missing | [[True, False, False, False]]
    scores = [weighted_f_beta(said, reference, np.ones(4), beta=2)[0] for said in (missing, inventing)]
    assert scores[0] < scores[1]
    scores = [weighted_f_beta(said, reference, np.ones(4), beta=0.5)[0] for said in (missing, inventing)]
    assert scores[0] > scores[1]


def test_rare_observations_weigh_more_and_the_mean_over_what_is_asserted_is_1():
    prevalence = np.array([0.5, 0.1, 0.01])
    for exponent in (0.0, 0.5, 1.0):
        weights = rarity_weights(prevalence, exponent)
        assert (weights * prevalence).sum() / prevalence.sum() == pytest.approx(1)
        assert (np.diff(weights) > 0).all() or exponent == 0
    parts = rarity_weights(prevalence, 1.0) * prevalence
    assert parts.tolist() == pytest.approx([parts[0]] * 3)


# ---- what a report adds to the split ---------------------------------------------------------------------


@given(tables, st.integers(0, 29))
def test_what_a_report_adds_is_what_the_macro_f1_gains(both, place):
    ours, theirs = both
    said, wanted = ours[place : place + 1], theirs[place : place + 1]
    counts = label_counts(ours, theirs)
    hit = np.ones((1, 5), dtype=bool)  # the pseudo-hit, on both sides of the difference
    split = (np.concatenate([ours, hit]), np.concatenate([theirs, hit]))
    gain = corpus_f1(*(np.concatenate(of) for of in ((split[0], said), (split[1], wanted)))).macro
    x = 30 * (gain - corpus_f1(*split).macro)
    assert marginal_gain(said, wanted, counts)[0] == pytest.approx(x / (1 + abs(x)))


def test_each_kind_of_cell_has_a_weight_of_its_own():
    counts = LabelCounts(hits=np.array([4]), false_alarms=np.array([4]), misses=np.array([4]), reports=50)
    yes, no = np.array([[True]]), np.array([[False]])
    cells = {"hit": (yes, yes), "false_alarm": (yes, no), "miss": (no, yes)}
    for name, cell in cells.items():
        assert marginal_gain(*cell, counts)[0] != 0
        assert marginal_gain(*cell, counts, **{name: 0.0})[0] == 0
        assert (
            marginal_gain(*cell, counts, **{other: 0.0 for other in cells if other != name})[0]
            == marginal_gain(*cell, counts)[0]
        )
    assert marginal_gain(no, no, counts)[0] == 0


def test_a_rare_hit_is_worth_more_and_an_observation_never_hit_still_has_a_price():
    counts = LabelCounts(
        hits=np.array([40, 1, 0]),
        false_alarms=np.array([40, 1, 2]),
        misses=np.array([40, 1, 5]),
        reports=500,
    )
    gains = [marginal_gain(row[None], row[None], counts)[0] for row in np.eye(3, dtype=bool)]
    assert gains[0] < gains[1]
    assert all(-1 < gain < 1 for gain in gains)
    nothing = np.zeros((1, 3), dtype=bool)
    assert all(marginal_gain(row[None], nothing, counts)[0] < -0.1 for row in np.eye(3, dtype=bool))
