import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.evaluation.notation import number, signed
from radflow.metrics.table import METRICS
from radflow.viewer.wording import duration, grouped


@given(st.floats(-1e6, 1e6))
def test_numbers_never_show_a_negative_zero_or_an_ascii_minus(value):
    for text in (number(value), signed(value)):
        assert "-" not in text
        assert text not in ("−0.000", "+0.000")


@given(st.floats(-1e3, 1e3))
def test_the_sign_that_is_printed_is_the_sign_of_what_is_printed(value):
    text = signed(value)
    printed = float(text.replace("−", "-").replace(",", ""))
    assert text.startswith("+") == (printed > 0)
    assert printed == pytest.approx(value, abs=5.01e-4)


def test_every_metric_with_a_name_has_a_place_in_the_table():
    assert "Other" not in dict(grouped([*METRICS, "reward", "reward/syntax"]))


@given(st.lists(st.sampled_from([*METRICS, "mine", "yours"])))
def test_grouping_loses_no_metric_and_repeats_none(metrics):
    names = [name for _, group in grouped(metrics) for name in group]
    assert sorted(names) == sorted(set(metrics))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.0, "59.0 s"), (3599.0, "59 min 59 s"), (3600.0, "1 h 00 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
