from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from radflow.viewer.charts.axes import Scale, extent, round_ticks, tick_text

finite = st.floats(-1e6, 1e6, allow_nan=False)


@given(finite, st.floats(1e-6, 1e6))
def test_ticks_enclose_the_data_are_evenly_spaced_and_few(low, width):
    assume(width > 1e-6 * abs(low))  # beyond that a float holds no six digits of the width
    high = low + width
    ticks = round_ticks(*extent([low, high]))
    steps = {round((b - a) / (ticks[1] - ticks[0]), 3) for a, b in pairwise(ticks)}
    assert ticks[0] <= low + 1e-6 * width + 1e-9
    assert ticks[-1] >= high - 1e-6 * width - 1e-9
    assert steps <= {1.0}
    assert 2 <= len(ticks) <= 12


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=5))
def test_extent_always_gives_a_width(values):
    usable = [value for value in values if abs(value) < 1e15 or value != value]
    low, high = extent(usable)
    assert low < high


def test_extent_keeps_the_floor_inside():
    assert extent([2.0, 3.0], floor=0.0) == (0.0, 3.0)
    low, high = extent([0.0], floor=0.0)
    assert low == 0.0
    assert high > 0


def test_a_scale_may_run_downwards():
    scale = Scale(low=0, high=2, start=100, end=0)
    assert (scale(0), scale(1), scale(2)) == (100, 50, 0)


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [(0.0, 0.1, "0"), (0.3, 0.1, "0.3"), (0.15, 0.05, "0.15"), (-20, 10, "−20"), (2.5, 2.5, "2.5")],
)
def test_ticks_have_as_many_decimals_as_their_step(value, step, text):
    assert tick_text(value, step) == text
