import pytest

from radflow.errors import DataError
from radflow.metrics.temporal_f1 import WORDS, temporal_f1, temporal_words


def test_the_published_words():
    assert len(WORDS) == 44
    assert {"unfolded", "unaltered", "stably", "constant"} <= WORDS
    assert not {"development", "again", "stable."} & WORDS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", set()),
        ("New opacity. UNCHANGED effusion, (worse).", {"new", "unchanged", "worse"}),
        ("renew newer un-changed un_changed", set()),  # whole words only
        ("stable\nnew", {"stable", "new"}),
        ("stable/unchanged", set()),  # one word, as the published search sees it
        ("no change", {"change"}),  # negation is not read
    ],
)
def test_words_of_change(text, words):
    assert temporal_words(text) == words


def test_hand_computed():
    """Two of three words against two of two: precision 2/3, recall 1, F1 0.8."""
    scores = temporal_f1(
        ["New, stable, worse.", "Clear.", "New.", "New.", "Clear."],
        ["New and stable.", "Clear.", "Clear.", "Stable.", "New."],
    )
    assert scores.tolist() == pytest.approx([0.8, 1.0, 1e-10, 0.0, 0.0], abs=2e-10)
    with pytest.raises(DataError, match="one reference"):
        temporal_f1(["a"], [])
