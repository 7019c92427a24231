import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from radflow.errors import DataError, RewardError
from radflow.evaluation.consistency import consistency_rate, summarise_consistency, wilson_interval
from radflow.reports import render_report

GOOD = render_report("Small left pleural effusion.", "Left pleural effusion.")
BAD = render_report("No pleural effusion.", "Left pleural effusion.")


class Recorder:
    """A judge that says yes and remembers what it was asked."""

    name = "recorder"

    def __init__(self, answers=None):
        self.asked = []
        self.answers = answers

    def __call__(self, pairs):
        self.asked.append(list(pairs))
        return [True] * len(pairs) if self.answers is None else self.answers


def test_reports_are_judged_one_by_one():
    assert consistency_rate([GOOD, BAD, GOOD]).tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    "text",
    ["", "Lungs are clear.", "Findings: Clear lungs.", "Impression: Normal.", render_report(None, "Normal.")],
)
def test_a_report_without_one_of_the_sections_says_nothing(text):
    judge = Recorder()
    rate = consistency_rate([text, GOOD], judge)
    assert math.isnan(rate[0])
    assert rate[1] == 1.0
    assert judge.asked == [[("Small left pleural effusion.", "Left pleural effusion.")]]


def test_nothing_to_judge_asks_nobody():
    judge = Recorder()
    assert np.isnan(consistency_rate(["Clear."], judge)).all()
    assert consistency_rate([], judge).shape == (0,)
    assert judge.asked == []


def test_a_judge_that_leaves_a_question_open_is_an_error():
    with pytest.raises(RewardError, match="expected 2 answers, got 1"):
        consistency_rate([GOOD, BAD], Recorder([True]))


def test_the_summary_counts_what_was_judged():
    found = summarise_consistency(consistency_rate([GOOD, BAD, "Clear."]))
    assert (found.label, found.share.mean, found.judged, found.skipped) == ("consistency (rules)", 0.5, 2, 1)
    none = summarise_consistency(np.array([np.nan]), "mine")
    assert (none.label, none.judged, none.skipped) == ("consistency (mine)", 0, 1)
    assert math.isnan(none.share.mean)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_interval_is_that_of_scipy(counts):
    successes, trials = counts
    ours = wilson_interval(successes, trials)
    theirs = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert 0 <= ours.low <= ours.mean <= ours.high <= 1


@pytest.mark.parametrize("counts", [(0, 0), (3, 2), (-1, 2)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(DataError, match="at least one trial"):
        wilson_interval(*counts)
