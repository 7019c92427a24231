"""Patient-wise splits."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.errors import DataError
from radflow.studies import assign_split
from radflow.studies.splits import deal_splits


@settings(deadline=None)
@given(st.text(), st.integers())
def test_the_place_of_a_patient_depends_on_nothing_else(patient: str, seed: int) -> None:
    assert assign_split(patient, seed) == assign_split(patient, seed) in ("train", "validate", "test")


def test_shares_are_as_asked_and_the_seed_matters() -> None:
    places = [assign_split(f"p{number}", 0) for number in range(10_000)]
    shares = Counter(places)
    # Five standard deviations of a binomial with n = 10,000.
    assert shares["train"] == pytest.approx(7000, abs=230)
    assert shares["validate"] == pytest.approx(1500, abs=180)
    assert places != [assign_split(f"p{number}", 1) for number in range(10_000)]


def test_the_split_never_moves() -> None:
    # Written down once: a change here moves patients of everybody's prepared data between the splits.
    assert [assign_split(f"p{number}", 0) for number in range(8)] == [
        "validate",
        "train",
        "train",
        "train",
        "test",
        "train",
        "test",
        "validate",
    ]


@pytest.mark.parametrize("fractions", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_an_empty_share_gets_nobody(fractions: tuple[float, float, float]) -> None:
    assert len({assign_split(f"p{number}", 0, fractions) for number in range(300)}) == 1


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_fractions_must_be_shares(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(DataError, match="add up to 1"):
        assign_split("p", 0, fractions)


@settings(deadline=None)
@given(st.integers(), st.integers(1, 130), st.integers(0, 130))
def test_dealing_keeps_shares_and_places(seed: int, count: int, more: int) -> None:
    patients = [f"p{number}" for number in range(count)]
    places = deal_splits(patients + patients[:3], seed)
    longer = deal_splits([*patients, *(f"q{number}" for number in range(more))], seed)
    assert list(places) == patients
    assert places == {patient: longer[patient] for patient in patients}
    whole = Counter(places[patient] for patient in patients[: count // 20 * 20])
    assert whole == Counter(train=count // 20 * 14, validate=count // 20 * 3, test=count // 20 * 3)


def test_another_seed_deals_otherwise() -> None:
    patients = [f"p{number}" for number in range(40)]
    assert deal_splits(patients, 0) != deal_splits(patients, 1)
