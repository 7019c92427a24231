import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.baselines import NearestContext, random_other

CONTEXTS = ["chest pain", "Chest pain, dyspnea", "fall", "cough", "chest x"]


@given(st.text(st.characters(codec="utf-8")), st.integers(1, 50), st.sets(st.integers(0, 49)))
def test_a_random_place_is_never_the_studys_own(study: str, size: int, own: set[int]) -> None:
    place = random_other(study, size, own.__contains__)
    free = set(range(size)) - own
    assert place in free if free else place is None


def test_random_places_are_spread() -> None:
    places = [random_other(f"s{i}", 10, lambda place: False) for i in range(1000)]
    assert all(50 < places.count(place) < 200 for place in range(10))


def test_an_empty_pool_has_no_place() -> None:
    assert random_other("s", 0, lambda place: False) is None


@given(st.lists(st.sampled_from([*CONTEXTS, "", "zebra"]), min_size=1, max_size=6))
def test_a_neighbour_is_the_same_alone_and_among_others(asked: list[str]) -> None:
    nearest = NearestContext(CONTEXTS)
    together = nearest.find(asked, [set()] * len(asked))
    assert together == [nearest.find([one], [set()])[0] for one in asked]


@pytest.mark.parametrize(
    ("asked", "own", "expected"),
    [
        ("pain in the chest", set(), 0),
        ("pain in the chest", {0}, 1),
        ("DYSPNEA", set(), 1),
        ("zebra", set(), None),
        ("", set(), None),
        ("cough", {3}, None),
    ],
)
def test_the_nearest_shares_the_rarest_words(asked: str, own: set[int], expected: int | None) -> None:
    assert NearestContext(CONTEXTS).find([asked], [own]) == [expected]


def test_contexts_without_words_are_near_to_nothing() -> None:
    assert NearestContext(["-", ""]).find(["pain"], [set()]) == [None]
