import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.errors import DataError
from radflow.evaluation import bootstrap_interval, bootstrap_intervals, paired_difference

finite = st.floats(-5, 5).map(lambda x: round(x, 3))


@given(st.lists(finite, min_size=1, max_size=30))
def test_the_mean_is_the_mean_and_lies_inside_the_range(values):
    interval = bootstrap_interval(values, resamples=50)
    assert interval.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9


@given(st.lists(finite, min_size=1, max_size=20), finite)
def test_shifting_the_values_shifts_the_interval(values, shift):
    plain = bootstrap_interval(values, resamples=50)
    moved = bootstrap_interval([v + shift for v in values], resamples=50)
    assert moved.low == pytest.approx(plain.low + shift, abs=1e-9)
    assert moved.high == pytest.approx(plain.high + shift, abs=1e-9)


def test_width_equals_the_normal_approximation():
    values = np.random.default_rng(1).normal(size=2000)
    interval = bootstrap_interval(values, resamples=4000)
    expected = 2 * 1.959964 * values.std() / math.sqrt(len(values))
    assert interval.high - interval.low == pytest.approx(expected, rel=0.05)


def test_coverage_is_near_its_promise():
    generator = np.random.default_rng(2)
    covered = 0
    for trial in range(400):
        interval = bootstrap_interval(generator.exponential(size=80), resamples=300, seed=trial)
        covered += interval.low <= 1.0 <= interval.high
    # Percentile intervals of a skewed mean at n=80 cover a little under 95%; 0.89 is three deviations below.
    assert 0.89 <= covered / 400 <= 0.98


def test_resampling_patients_widens_the_interval_when_their_studies_agree():
    patients = np.repeat(np.arange(50), 8)
    values = np.random.default_rng(3).normal(size=50)[patients]
    by_study = bootstrap_interval(values)
    by_patient = bootstrap_interval(values, clusters=patients.tolist())
    ratio = (by_patient.high - by_patient.low) / (by_study.high - by_study.low)
    assert ratio == pytest.approx(math.sqrt(8), rel=0.2)  # the design effect of 8 equal studies a patient


def test_one_study_a_patient_is_the_plain_bootstrap():
    values = np.random.default_rng(4).normal(size=60)
    assert bootstrap_interval(values, clusters=list(range(60))) == bootstrap_interval(values)


def test_nan_is_skipped_not_zero():
    assert bootstrap_interval([1.0, math.nan, 1.0]) == bootstrap_interval([1.0, 1.0])
    by_patient = bootstrap_interval([1.0, math.nan, 3.0, math.nan], clusters=["a", "a", "b", "c"])
    assert by_patient.mean == 2.0
    assert by_patient.low >= 1.0


def test_the_draw_does_not_depend_on_how_it_is_cut_into_blocks(monkeypatch):
    values = np.random.default_rng(5).normal(size=40)
    whole = bootstrap_interval(values, resamples=200)
    monkeypatch.setattr("radflow.evaluation.intervals._DRAWN_AT_ONCE", 64)
    cut = bootstrap_interval(values, resamples=200)
    assert cut.mean == whole.mean
    assert cut.low == pytest.approx(whole.low, abs=0.1)


def test_pairing_removes_what_the_systems_share():
    hardness = np.random.default_rng(6).normal(size=300)
    difference = paired_difference(hardness + 0.1, hardness)
    assert difference.low == pytest.approx(0.1)
    assert difference.high == pytest.approx(0.1)
    assert difference.excludes_zero


def test_a_pair_counts_only_where_both_have_a_value():
    assert paired_difference([1.0, math.nan, 5.0], [0.0, 9.0, math.nan]).mean == 1.0


def test_columns_together_are_columns_alone_and_one_without_numbers_is_left_out():
    generator = np.random.default_rng(7)
    patients = [f"p{i // 2}" for i in range(20)]
    columns = {name: generator.normal(size=20) for name in ("a", "b")}
    columns["c"] = np.where(np.arange(20) < 5, math.nan, columns["a"])
    found = bootstrap_intervals(columns | {"none": np.full(20, math.nan)}, clusters=patients, seed=3)
    assert found == {
        name: bootstrap_interval(values, clusters=patients, seed=3) for name, values in columns.items()
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": []}, "at least one value"),
        ({"values": [math.nan]}, "at least one value"),
        ({"values": [1.0, math.inf]}, "infinity at position 1"),
        ({"values": [[1.0]]}, "shape"),
        ({"values": [1.0], "clusters": ["a", "b"]}, "one cluster per study"),
        ({"values": [1.0], "confidence": 1.0}, "confidence"),
        ({"values": [1.0], "resamples": 0}, "resample"),
    ],
)
def test_bad_input_is_told(arguments, message):
    with pytest.raises(DataError, match=message):
        bootstrap_interval(**arguments)


def test_unpaired_systems_are_refused():
    with pytest.raises(DataError, match="2 and 1 values"):
        paired_difference([1.0, 2.0], [1.0])
