"""Patients, their visits, and that every sampled side obeys the consensus criteria."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.sru import sru_grade
from radflow.studies.phantoms.carotid.anatomy import DIAMETER_MM, patient_of, sample_anatomy

INDEX = st.integers(0, 10_000_000)
SEED = st.integers(0, 1000)
DIFFICULTY = st.floats(0, 1)


@given(index=INDEX, seed=SEED)
@settings(max_examples=100, deadline=None)
def test_a_patient_has_one_to_four_consecutive_studies(index: int, seed: int):
    first, visit = patient_of(index, seed)
    assert first + visit == index
    assert 0 <= visit < 4
    assert patient_of(first, seed) == (first, 0)
    assert all(patient_of(earlier, seed)[0] == first for earlier in range(first, index))


@given(index=INDEX, seed=SEED, difficulty=DIFFICULTY)
@settings(max_examples=250, deadline=None)
def test_every_side_obeys_the_consensus(index: int, seed: int, difficulty: float):
    for side in sample_anatomy(index, seed=seed, difficulty=difficulty).sides.values():
        plaque, percent, near = bool(side.plaques), side.stenosis_percent, side.grade == "near occlusion"
        assert sru_grade(side.psv, plaque=plaque, string_lumen=near) == side.grade
        assert plaque == (percent > 0)
        limits = {
            "normal": ((0, 0), (0, 39), (0, 1.9)),
            "<50%": ((1, 49), (0, 39), (0, 1.9)),
            "50-69%": ((50, 69), (40, 100), (2, 4)),
            ">=70%": ((70, 94), (101, 999), (4.1, 99)),
            "near occlusion": ((95, 99), (0, 999), (0, 99)),
        }
        if side.grade == "occlusion":
            assert (percent, side.psv, side.edv, side.ratio, side.flow) == (100, 0, 0, None, "absent")
            continue
        for value, (low, high) in zip((percent, side.edv, side.ratio), limits[side.grade], strict=True):
            assert value is not None and low <= value <= high, side


@given(index=INDEX, seed=SEED, difficulty=DIFFICULTY)
@settings(max_examples=250, deadline=None)
def test_plaques_are_possible(index: int, seed: int, difficulty: float):
    for side in sample_anatomy(index, seed=seed, difficulty=difficulty).sides.values():
        assert len({plaque.segment for plaque in side.plaques}) == len(side.plaques) <= 2
        for plaque in side.plaques:
            assert 1.5 <= plaque.thickness_mm <= DIAMETER_MM[plaque.segment]  # below 1.5 mm it is no plaque
            assert (plaque.wall is None) == (plaque.surface is None) == (side.grade == "occlusion")
        if side.stenosis_percent >= 50:
            assert side.plaques[0].segment != "CCA"  # the criteria are for the ICA and its origin


@pytest.mark.parametrize("difficulty", [0.0, 1.0])
def test_followups_keep_the_vessel_and_do_not_heal(difficulty: float):
    seen = 0
    for index in range(1, 600):
        now, before = (sample_anatomy(i, seed=0, difficulty=difficulty) for i in (index, index - 1))
        if now.patient_id != before.patient_id:
            assert now.vessels != before.vessels
            continue
        seen += 1
        assert now.visit == before.visit + 1
        assert now.vessels == before.vessels
        for name, side in now.sides.items():
            earlier = before.sides[name]
            assert side.imt_mm >= earlier.imt_mm
            assert side.stenosis_percent >= earlier.stenosis_percent
            for old, new in zip(earlier.plaques, side.plaques, strict=bool(earlier.plaques)):
                assert (old.kind, old.segment, old.wall) == (new.kind, new.segment, new.wall)
                assert new.thickness_mm >= old.thickness_mm
    assert seen > 100


def test_difficulty_hides_the_disease_and_does_not_change_it():
    def thickness(difficulty: float) -> list[float]:
        sides = (sample_anatomy(index, seed=0, difficulty=difficulty).sides.values() for index in range(300))
        return [plaque.thickness_mm for both in sides for side in both for plaque in side.plaques]

    for index in range(100):
        easy, hard = (sample_anatomy(index, seed=0, difficulty=d).sides for d in (0.0, 1.0))
        _, visit = patient_of(index, seed=0)
        for name, side in easy.items():
            plaques = [[(p.kind, p.segment) for p in one.plaques] for one in (side, hard[name])]
            assert plaques[0] == plaques[1]
            assert side.thickened == hard[name].thickened
            if visit == 0:  # at the limit of a grade, plaques grow past it
                assert side.grade == hard[name].grade
    small = [np.quantile(thickness(difficulty), 0.1) for difficulty in (0.0, 0.5, 1.0)]
    assert small == sorted(small, reverse=True)
    assert small[2] < 0.85 * small[0]


def test_disease_progresses_in_some_patients():
    pairs = [(sample_anatomy(index, seed=0), sample_anatomy(index + 1, seed=0)) for index in range(1200)]
    returns = [(a, b) for a, b in pairs if a.patient_id == b.patient_id]
    worse = sum(any(a.sides[s].grade != b.sides[s].grade for s in a.sides) for a, b in returns)
    assert 0.01 < worse / len(returns) < 0.2
