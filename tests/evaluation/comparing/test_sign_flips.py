import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import permutation_test

from radflow.errors import DataError
from radflow.evaluation import bootstrap_interval
from radflow.evaluation.comparing.sign_flips import (
    EXACT_CLUSTERS,
    holm,
    paired_tests,
    sign_flip_p,
)

scores = st.floats(-1, 1).map(lambda x: round(x, 2))
tables = arrays(np.float64, st.tuples(st.integers(2, 20), st.integers(1, 3)), elements=scores)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array)


def scipy_p(differences, **knobs):
    """The sign-flip test of scipy: one sample, the statistic its mean."""
    return permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        alternative="two-sided",
        vectorized=False,
        **knobs,
    ).pvalue


@given(arrays(np.float64, st.integers(2, 9), elements=scores))
def test_exact_p_values_are_those_of_scipy(differences):
    ours = sign_flip_p(differences[:, None])[0]
    assert ours == pytest.approx(scipy_p(differences, n_resamples=np.inf), abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.15, 0.3])
def test_drawn_p_values_agree_with_scipy_within_their_error(shift):
    differences = np.random.default_rng(0).normal(shift, 0.8, size=60)
    ours = sign_flip_p(differences[:, None], resamples=20_000)[0]
    theirs = scipy_p(differences, n_resamples=20_000, rng=np.random.default_rng(1))
    error = np.sqrt(2 * theirs * (1 - theirs) / 20_000)
    assert abs(ours - theirs) < 4 * error + 2 / 20_000


def test_drawn_and_exact_p_values_agree():
    small = np.random.default_rng(3).normal(0.3, 1, size=(EXACT_CLUSTERS, 1))
    # An empty unit changes no sum, but is one more than is enumerated.
    drawn = sign_flip_p(np.vstack([small, [[0.0]]]), resamples=40_000)
    assert drawn == pytest.approx(sign_flip_p(small), abs=0.01)


def test_a_drawn_p_value_is_never_0():
    assert sign_flip_p(np.ones((30, 1)), resamples=99)[0] == pytest.approx(1 / 100)


def test_no_difference_anywhere_has_p_1():
    for studies in (5, 40):
        tests = paired_tests(np.zeros((studies, 1)), resamples=200)
        assert (tests.p[0], tests.low[0], tests.high[0]) == (1.0, 0.0, 0.0)


def test_p_is_uniform_where_nothing_differs():
    generator = np.random.default_rng(4)
    p = sign_flip_p(
        generator.exponential(size=(60, 400)) * generator.choice([-1, 1], (60, 400)), resamples=400
    )
    assert p.mean() == pytest.approx(0.5, abs=0.05)
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.03)


@given(tables)
def test_swapping_the_systems_turns_the_signs_and_keeps_p(differences):
    ours, theirs = paired_tests(differences, resamples=60), paired_tests(-differences, resamples=60)
    assert theirs.difference == pytest.approx(-ours.difference, abs=1e-12)
    assert theirs.low == pytest.approx(-ours.high, abs=1e-9)
    assert theirs.high == pytest.approx(-ours.low, abs=1e-9)
    assert (theirs.p == ours.p).all()


@given(tables)
def test_a_metric_is_tested_the_same_alone_and_among_others(differences):
    together = paired_tests(differences, resamples=60)
    for i in range(differences.shape[1]):
        alone = paired_tests(differences[:, [i]], resamples=60)
        assert alone.p[0] == together.p[i]
        assert (alone.low[0], alone.high[0]) == pytest.approx((together.low[i], together.high[i]), abs=1e-9)


def test_a_missing_number_drops_its_pair_from_its_metric_alone():
    differences = np.random.default_rng(5).normal(0.2, 1, size=(12, 2))
    holed = differences.copy()
    holed[3:6, 0] = np.nan
    tests, whole = paired_tests(holed), paired_tests(differences)
    assert tests.difference[0] == pytest.approx(np.nanmean(holed[:, 0]))
    assert tests.p[0] == pytest.approx(sign_flip_p(np.delete(differences[:, [0]], [3, 4, 5], axis=0))[0])
    assert (tests.difference[1], tests.p[1]) == (whole.difference[1], whole.p[1])
    assert tests.clusters.tolist() == [9, 12]


def test_a_metric_that_is_known_nowhere_is_nan_and_asks_no_question():
    table = np.random.default_rng(6).normal(1, 1, size=(10, 2))
    table[:, 1] = np.nan
    tests = paired_tests(table, resamples=100)
    assert np.isnan([tests.difference[1], tests.low[1], tests.p[1], tests.p_holm[1]]).all()
    assert tests.p_holm[0] == tests.p[0]


def test_one_unit_gives_no_interval_and_no_evidence():
    tests = paired_tests(np.array([[0.5], [0.7]]), ["same", "same"])
    assert np.isnan([tests.low[0], tests.high[0]]).all()
    assert tests.p[0] == 1.0


def test_studies_of_one_patient_are_flipped_together():
    differences = np.array([[0.1], [0.3], [0.2], [0.4]])
    tests = paired_tests(differences, ["p1", "p1", "p2", "p2"])
    assert tests.p[0] == sign_flip_p(np.array([[0.4], [0.6]]))[0] == 0.5


def test_patients_widen_the_interval_of_studies_that_repeat_them():
    values = np.repeat(np.random.default_rng(7).normal(size=(40, 1)), 5, axis=0)
    alone = paired_tests(values, resamples=2000)
    patients = paired_tests(values, np.repeat(np.arange(40), 5).tolist(), resamples=2000)
    ratio = (patients.high - patients.low) / (alone.high - alone.low)
    assert ratio[0] == pytest.approx(np.sqrt(5), rel=0.15)
    assert patients.p[0] > alone.p[0]


def test_intervals_agree_with_the_bootstrap_of_one_metric():
    generator = np.random.default_rng(8)
    values, clusters = generator.normal(0.1, 1, size=300), generator.integers(0, 120, size=300).tolist()
    tests = paired_tests(values[:, None], clusters, resamples=2_000, seed=3)
    alone = bootstrap_interval(values, clusters=clusters, resamples=2_000, seed=3)
    assert (tests.difference[0], tests.low[0], tests.high[0]) == (alone.mean, alone.low, alone.high)


def test_blocks_are_one_draw(monkeypatch):
    table = np.random.default_rng(9).normal(0.1, 1, size=(50, 2))
    whole = paired_tests(table, resamples=300)
    monkeypatch.setattr("radflow.evaluation.comparing.sign_flips._BLOCK", 700)
    cut = paired_tests(table, resamples=300)
    assert (cut.p == whole.p).all()
    assert cut.low == pytest.approx(whole.low, abs=1e-9)


def test_holm_on_the_example_of_its_paper():
    # Four hypotheses: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1 (raised to the one before it).
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(p_values)
def test_holm_never_lowers_keeps_the_order_and_lies_under_bonferroni(p):
    adjusted = holm(p)
    order = np.argsort(p, kind="stable")
    assert (adjusted >= p).all()
    assert (np.diff(adjusted[order]) >= 0).all()
    assert (adjusted <= np.minimum(1, p * len(p)) + 1e-15).all()


@pytest.mark.parametrize(
    ("table", "clusters", "said"),
    [
        (np.zeros((0, 1)), None, "at least one study"),
        (np.array([[np.inf]]), None, "infinity"),
        (np.zeros((3, 1)), ["p"], "one cluster per study, got 1 for 3"),
    ],
)
def test_bad_tables_are_refused(table, clusters, said):
    with pytest.raises(DataError, match=said):
        paired_tests(table, clusters)


@pytest.mark.parametrize("setting", [{"resamples": 0}, {"confidence": 1.0}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(DataError, match="at least one resample"):
        paired_tests(np.ones((3, 1)), **setting)
