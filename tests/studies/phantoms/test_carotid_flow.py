"""The consensus criteria as code, at their limits."""

from __future__ import annotations

import pytest

from radflow.sru import GRADES, Grade, grade_of, sru_grade
from radflow.studies.phantoms.carotid.anatomy import stream
from radflow.studies.phantoms.carotid.flow import PSV_RANGE, sample_psv


@pytest.mark.parametrize(
    ("psv", "plaque", "expected"),
    [
        (124.9, False, "normal"),
        (124.9, True, "<50%"),
        (125, True, "50-69%"),
        (230, True, "50-69%"),
        (230.1, True, ">=70%"),
        (0, True, "occlusion"),
    ],
)
def test_limits_of_the_consensus(psv: float, plaque: bool, expected: Grade):
    assert sru_grade(psv, plaque=plaque) == expected


def test_a_string_of_lumen_is_near_occlusion_at_any_velocity():
    assert {sru_grade(psv, plaque=True, string_lumen=True) for psv in (10, 120, 200, 400)} == {
        "near occlusion"
    }


def test_grades_rise_with_stenosis():
    ranks = [GRADES.index(grade_of(percent)) for percent in range(101)]
    assert ranks == sorted(ranks)
    assert set(ranks) == set(range(6))


@pytest.mark.parametrize("percent", [30, 55, 68, 75, 90])
def test_drawn_velocities_stay_in_their_grade(percent: int):
    grade = grade_of(percent)
    low, high = PSV_RANGE[grade]
    for day in range(200):
        psv = sample_psv(grade, percent, stream("own", day), stream("day", day))
        assert low <= psv <= high
        assert psv % 10 == 0
        assert sru_grade(psv, plaque=True) == grade


def test_velocity_rises_with_stenosis_within_a_grade():
    mean = [
        sum(sample_psv(grade_of(percent), percent, stream(day), stream("day", day)) for day in range(50))
        for percent in (52, 60, 67, 73, 80, 88)
    ]
    assert mean == sorted(mean)
