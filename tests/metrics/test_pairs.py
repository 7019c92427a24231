import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.metrics import ReadOnce


class Counting:
    def __init__(self):
        self.calls = []

    def __call__(self, texts):
        self.calls.append(list(texts))
        return [text.upper() for text in texts]


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=8), max_size=8), st.integers(1, 4))
def test_the_answer_is_the_readers_whatever_was_forgotten(batches, size):
    read = ReadOnce(Counting(), size=size)
    for batch in batches:
        assert read(batch) == [text.upper() for text in batch]
        assert len(read._readings) <= size


def test_the_least_recently_used_goes_first():
    reader = Counting()
    read = ReadOnce(reader, size=2)
    read(["a"])
    read(["b"])
    read(["a"])
    read(["c"])
    read(["a"])
    assert reader.calls == [["a"], ["b"], ["c"]]
    read(["b"])
    assert reader.calls[-1] == ["b"]


def test_a_reader_that_loses_texts_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        ReadOnce(lambda texts: [])(["a"])


def test_room_for_nothing_is_refused():
    with pytest.raises(ValueError, match="size=0"):
        ReadOnce(Counting(), size=0)
