import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.evaluation import Interval
from radflow.evaluation.comparing.comparison import ComparedMetric, compare
from radflow.evaluation.files.scores import MetricFacts, SystemScores

UP = MetricFacts(label="BLEU-2", higher_is_better=True, reader=None)
DOWN = MetricFacts(label="RadCliQ-v1", higher_is_better=False, reader=None)


def scored(system, rows, *, metrics=None, patients=None, about=None):
    """A system from study id to (bleu2, radcliq_v1)."""
    return SystemScores(
        system=system,
        path=Path(system) / "scores.csv",
        values={study: dict(zip(("bleu2", "radcliq_v1"), row, strict=True)) for study, row in rows.items()},
        patients=patients or {},
        metrics=metrics or {"bleu2": UP, "radcliq_v1": DOWN},
        about=about or {},
    )


def systems(size=40, seed=0, gap=0.5):
    """A, and a B that is higher on both metrics."""
    generator = np.random.default_rng(seed)
    first = {f"s{i:03}": tuple(generator.normal(size=2)) for i in range(size)}
    second = {study: tuple(np.array(row) + gap + generator.normal(0, 0.2, 2)) for study, row in first.items()}
    return scored("a", first), scored("b", second)


def test_the_better_system_follows_the_direction_of_the_metric():
    comparison = compare(*systems(), resamples=500)
    assert [row.better for row in comparison.metrics] == ["B", "A"]
    assert comparison.metrics[1].difference.mean > 0 > comparison.metrics[1].standardised.mean
    assert (
        comparison.verdict == "b is better than a on 1 of 2 metrics, worse on 1; no evidence either way on 0."
    )


def test_no_difference_is_no_evidence():
    a, _ = systems()
    comparison = compare(a, dataclasses.replace(a, system="copy"), resamples=200)
    for row in comparison.metrics:
        assert (row.p, row.better, row.difference.mean) == (1.0, None, 0.0)
        assert math.isnan(row.standardised.mean)
    assert (
        "both systems have the same number on every study: are they the same reports?" in comparison.warnings
    )


def test_a_constant_difference_is_evidence_without_a_spread():
    a, _ = systems()
    shifted = {study: {name: value + 0.1 for name, value in row.items()} for study, row in a.values.items()}
    bleu = compare(a, dataclasses.replace(a, system="b", values=shifted), resamples=500).metrics[0]
    assert bleu.better == "B"
    assert (bleu.difference.low, bleu.difference.high) == pytest.approx((0.1, 0.1))
    assert math.isnan(bleu.standardised.mean)


def test_no_number_at_all_is_rows_without_a_verdict():
    a, b = systems(size=5)
    empty = {study: dict.fromkeys(row, math.nan) for study, row in b.values.items()}
    comparison = compare(a, dataclasses.replace(b, values=empty), resamples=50)
    assert [(row.pairs, row.better) for row in comparison.metrics] == [(0, None), (0, None)]
    assert not any("independent units" in warning for warning in comparison.warnings)


@given(st.integers(0, 50), st.floats(-0.2, 0.2))
def test_swapping_the_systems_mirrors_the_comparison(seed, gap):
    a, b = systems(size=20, seed=seed, gap=gap)
    for ours, theirs in zip(
        compare(a, b, resamples=100).metrics, compare(b, a, resamples=100).metrics, strict=True
    ):
        assert theirs.difference.mean == pytest.approx(-ours.difference.mean, abs=1e-12)
        assert theirs.difference.low == pytest.approx(-ours.difference.high, abs=1e-12)
        assert (theirs.p, theirs.p_holm) == (ours.p, ours.p_holm)
        assert theirs.better == {"A": "B", "B": "A", None: None}[ours.better]


def test_the_order_of_the_files_does_not_matter():
    a, b = systems()
    turned = dataclasses.replace(b, values=dict(reversed(b.values.items())))
    assert compare(a, turned, resamples=100) == compare(a, b, resamples=100)


def test_missing_numbers_drop_their_pair_and_are_counted():
    a, b = systems(size=20)
    holed = {**b.values, "s003": {"bleu2": math.nan, "radcliq_v1": 1.0}}
    comparison = compare(a, dataclasses.replace(b, values=holed), resamples=50)
    bleu, radcliq = comparison.metrics
    assert (bleu.pairs, bleu.dropped, radcliq.pairs, radcliq.dropped) == (19, 1, 20, 0)
    kept = [study for study in a.values if study != "s003"]
    assert bleu.mean_a == pytest.approx(np.mean([a.values[study]["bleu2"] for study in kept]))
    assert "BLEU-2: 1 of 20 pairs dropped, a number is missing" in comparison.warnings


def test_a_metric_without_any_number_is_a_row_that_says_so():
    a, b = systems(size=20)
    empty = {study: {"bleu2": math.nan, "radcliq_v1": row["radcliq_v1"]} for study, row in b.values.items()}
    comparison = compare(a, dataclasses.replace(b, values=empty), resamples=50)
    bleu = comparison.metrics[0]
    assert (bleu.pairs, bleu.dropped, bleu.better) == (0, 20, None)
    assert math.isnan(bleu.p)
    assert "BLEU-2: no study has a number of both systems" in comparison.warnings
    assert json.loads(json.dumps(comparison.as_dict(), allow_nan=False))["metrics"]["bleu2"]["p"] is None


def test_patients_are_the_units_where_known():
    a, b = systems(size=20)
    patients = {study: f"p{i // 2}" for i, study in enumerate(a.values)}
    comparison = compare(dataclasses.replace(a, patients=patients), b, resamples=50)
    assert (comparison.patients, comparison.exact) == (10, True)
    partly = dict(list(patients.items())[:10])
    comparison = compare(a, dataclasses.replace(b, patients=partly), resamples=50)
    assert comparison.patients == 15
    assert "the patient of 10 studies is not known; they are taken as independent" in comparison.warnings


def test_too_few_units_for_any_evidence_is_said():
    comparison = compare(*systems(size=4), resamples=50)
    assert "4 independent units: no p value can be below 0.125, whatever the scores" in comparison.warnings
    assert all(row.better is None for row in comparison.metrics)


def test_systems_of_one_name_are_told_apart():
    a, b = systems()
    comparison = compare(a, dataclasses.replace(b, system="a"), resamples=50)
    assert (comparison.a, comparison.b) == ("a (A)", "a (B)")


def test_evidence_needs_both_the_p_value_and_the_interval():
    row = ComparedMetric(
        name="m",
        label="m",
        higher_is_better=True,
        pairs=9,
        dropped=0,
        mean_a=0.0,
        mean_b=0.1,
        difference=Interval(mean=0.1, low=0.05, high=0.15),
        spread=0.2,
        p=0.01,
        p_holm=0.04,
    )
    assert row.better == "B"
    assert dataclasses.replace(row, p_holm=0.06).better is None
    assert dataclasses.replace(row, difference=Interval(mean=0.1, low=-0.01, high=0.2)).better is None
    ends = (row.standardised.low, row.standardised.mean, row.standardised.high)
    assert ends == pytest.approx((0.25, 0.5, 0.75))


def test_metrics_can_be_chosen_and_holm_corrects_for_those():
    comparison = compare(*systems(), ["radcliq_v1"], resamples=50)
    assert [row.name for row in comparison.metrics] == ["radcliq_v1"]
    assert comparison.metrics[0].p_holm == comparison.metrics[0].p
