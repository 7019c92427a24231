import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from radflow.errors import DataError
from radflow.judges.agreement import agreement

Z = 1.959963984540054
verdicts = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60)


def split(pairs):
    return [a for a, _ in pairs], [b for _, b in pairs]


def from_table(a, b, c, d):
    return [True] * (a + b) + [False] * (c + d), [True] * a + [False] * b + [True] * c + [False] * d


def fleiss_variance(both):
    """Fleiss, Cohen and Everitt (1969), as printed for any number of categories."""
    p = np.array([[both.yes_yes, both.yes_no], [both.no_yes, both.no_no]]) / both.questions
    rows, columns = p.sum(1), p.sum(0)
    observed, chance = np.trace(p), rows @ columns
    on = sum(p[i, i] * ((1 - chance) - (columns[i] + rows[i]) * (1 - observed)) ** 2 for i in range(2))
    off = sum(p[i, 1 - i] * (columns[i] + rows[1 - i]) ** 2 for i in range(2)) * (1 - observed) ** 2
    last = (observed * chance - 2 * chance + observed) ** 2
    return (on + off - last) / (both.questions * (1 - chance) ** 4)


def gwet(first, second):
    """AC1 and its variance (Gwet 2008), subject by subject, two raters and two categories."""
    a, b = np.asarray(first, float), np.asarray(second, float)
    yes = (a + b).mean() / 2
    chance = 2 * yes * (1 - yes)
    equal = a == b
    value = (equal.mean() - chance) / (1 - chance)
    of_subject = (equal - chance) / (1 - chance)
    chance_of_subject = ((a + b) * (1 - yes) + (2 - a - b) * yes) / 2
    adjusted = of_subject - 2 * (1 - value) * (chance_of_subject - chance) / (1 - chance)
    return value, ((adjusted - value) ** 2).sum() / (len(a) * (len(a) - 1))


@given(verdicts)
def test_kappa_is_scikit_learn_s(pairs):
    first, second = split(pairs)
    assume(len({*first, *second}) == 2)
    assert agreement(first, second).kappa.value == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


@given(verdicts)
def test_the_interval_of_kappa_is_that_of_fleiss_cohen_and_everitt(pairs):
    both = agreement(*split(pairs))
    assume(not math.isnan(both.kappa.value))
    half = Z * math.sqrt(max(0.0, fleiss_variance(both)))
    assert both.kappa.low == pytest.approx(max(-1, both.kappa.value - half), abs=1e-6)
    assert both.kappa.high == pytest.approx(min(1, both.kappa.value + half), abs=1e-6)


@given(verdicts)
def test_ac1_and_its_interval_are_gwet_s(pairs):
    first, second = split(pairs)
    both = agreement(first, second)
    value, variance = gwet(first, second)
    half = Z * math.sqrt(variance)
    assert both.ac1.value == pytest.approx(value, abs=1e-12)
    assert both.ac1.low == pytest.approx(max(-1, value - half), abs=1e-6)
    assert both.ac1.high == pytest.approx(min(1, value + half), abs=1e-6)


@given(verdicts)
def test_raw_agreement_has_wilson_s_interval(pairs):
    first, second = split(pairs)
    raw = agreement(first, second).raw
    equal = binomtest(sum(a == b for a, b in pairs), len(pairs))
    expected = equal.proportion_ci(0.95, method="wilson")
    assert raw.value == equal.statistic
    assert (raw.low, raw.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(verdicts)
def test_neither_judge_comes_first_and_yes_is_not_special(pairs):
    first, second = split(pairs)
    both = agreement(first, second)
    for other in (agreement(second, first), agreement([not a for a in first], [not b for b in second])):
        for name in ("raw", "kappa", "ac1"):
            mine, theirs = getattr(both, name), getattr(other, name)
            assert (mine.value, mine.low, mine.high) == pytest.approx(
                (theirs.value, theirs.low, theirs.high), nan_ok=True
            )


def test_gwet_s_example_of_the_paradox():
    """Gwet 2002: 118, 5, 2, 0. Raters who agree on 94% have a kappa below 0."""
    both = agreement(*from_table(118, 5, 2, 0))
    assert (both.yes_yes, both.yes_no, both.no_yes, both.no_no, both.questions) == (118, 5, 2, 0, 125)
    assert both.kappa.value == pytest.approx(-0.0234, abs=5e-5)
    assert both.ac1.value == pytest.approx(0.9408, abs=5e-5)


def test_one_answer_throughout_leaves_kappa_undefined():
    both = agreement([True] * 50, [True] * 50)
    assert math.isnan(both.kappa.value) and math.isnan(both.kappa.low)
    assert both.ac1.value == 1.0
    assert both.raw.value == 1.0 and 0.9 < both.raw.low < 1.0


def test_the_confidence_decides_the_width():
    table = from_table(40, 10, 5, 45)
    narrow, wide = (agreement(*table, confidence=c).kappa for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


@pytest.mark.parametrize(
    ("first", "second", "confidence"),
    [([], [], 0.95), ([True], [True, False], 0.95), ([True], [True], 1.0), ([True], [True], 0.0)],
)
def test_what_cannot_be_compared_is_refused(first, second, confidence):
    with pytest.raises(DataError, match="Expected"):
        agreement(first, second, confidence=confidence)
