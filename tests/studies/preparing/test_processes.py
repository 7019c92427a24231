"""Work on many items: in their order, in one process or several."""

from __future__ import annotations

import os

import pytest

from radflow.errors import DataError
from radflow.studies.preparing.processes import in_order


class Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (1,)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    chunks = list(in_order(sorted, range(300, 0, -1), workers=workers, chunk=100))
    assert chunks == [[*range(201, 301)], [*range(101, 201)], [*range(1, 101)]]


def test_nothing_is_no_work() -> None:
    assert list(in_order(sorted, [])) == []


def test_what_is_raised_in_a_process_arrives() -> None:
    with pytest.raises(TypeError, match="'<' not supported"):
        list(in_order(sorted, [1, "a"] * 150, workers=2))


def test_a_dead_process_is_one_line() -> None:
    with pytest.raises(DataError, match="one of 2 processes died: out of memory"):
        list(in_order(sorted, [Deadly()] * 300, workers=2))


def test_too_few_workers() -> None:
    with pytest.raises(DataError, match="workers: expected at least 1, got -1"):
        list(in_order(sorted, [1], workers=-1))
