import math

import numpy as np
import pytest

from radflow.errors import DataError
from radflow.evaluation import bootstrap_interval, gain, make_scorecard


def card(system="SFT", **values):
    return make_scorecard(system, ["s1", "s2", "s3"], ["p1", "p1", "p2"], values)


def test_summary_is_the_bootstrap_over_patients():
    result = card(bleu2=[0.1, 0.2, 0.6])
    assert result.summary["bleu2"] == bootstrap_interval([0.1, 0.2, 0.6], clusters=["p1", "p1", "p2"])
    assert result.per_case["bleu2"].dtype == np.float64


def test_a_term_skipped_everywhere_is_absent_from_the_summary():
    result = card(**{"reward/impression": [math.nan] * 3, "reward": [1.0, 2.0, math.nan]})
    assert set(result.summary) == {"reward"}
    assert result.summary["reward"].mean == 1.5


def test_gain_is_paired():
    tuned, sft = card("RadFlow", bleu2=[0.2, 0.3, 0.7], extra=[1, 1, 1]), card(bleu2=[0.1, 0.2, 0.6])
    difference = gain(tuned, sft)
    assert set(difference) == {"bleu2"}
    assert difference["bleu2"].low == pytest.approx(0.1)


def test_different_studies_are_refused():
    other = make_scorecard("SFT", ["s2", "s1", "s3"], ["p1", "p1", "p2"], {"bleu2": [1, 2, 3]})
    with pytest.raises(DataError, match="same studies"):
        gain(card("RadFlow", bleu2=[1, 2, 3]), other)


def test_bad_input_is_told():
    with pytest.raises(DataError, match="at least one study"):
        make_scorecard("SFT", [], [], {})
    with pytest.raises(DataError, match="'s1' more than once"):
        make_scorecard("SFT", ["s1", "s1"], ["p", "p"], {})
    with pytest.raises(DataError, match="3 values of bleu2"):
        card(bleu2=[1.0])
    with pytest.raises(DataError, match="patient_ids"):
        make_scorecard("SFT", ["s1", "s2"], ["p"], {})
