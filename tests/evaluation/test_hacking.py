import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.evaluation.hacking import SIGNALS, Hacking, read_signals, repeated_sentences, summarise, warn
from radflow.evaluation.pair_store import Texts
from radflow.readers import load

LABELER = load("chexpert-rules")
REPORTS = ["No edema.", "Edema. Small left pleural effusion.", "", "nan", "The heart is normal."]


def measured(generated: list[str], reference: list[str]) -> Hacking:
    signals = read_signals(generated, reference, LABELER)
    counts = [
        Texts(len(side), len(set(side)), max(side.count(text) for text in side))
        for side in (generated, reference)
    ]
    return summarise(signals, *counts)


@given(st.lists(st.tuples(st.sampled_from(REPORTS), st.sampled_from(REPORTS)), min_size=1, max_size=4))
def test_a_pair_counts_the_same_alone_and_among_others(pairs: list[tuple[str, str]]) -> None:
    ours, theirs = zip(*pairs, strict=True)
    together = read_signals(ours, theirs, LABELER)
    for row, (a, b) in enumerate(pairs):
        alone = read_signals([a], [b], LABELER)
        assert all(alone[name][0] == together[name][row] for name in SIGNALS)


def test_a_negation_that_is_turned_round_is_found_either_way() -> None:
    found = measured(["Edema.", "No edema.", "Edema."], ["No edema.", "Edema.", "Edema."])
    assert (found.stated_by_both, found.flips) == (3, pytest.approx(2 / 3))
    assert any("one asserts what the other denies" in said for said in warn(found))


def test_what_only_one_side_mentions_is_no_flip() -> None:
    assert measured(["Edema."], ["The heart is normal."]).flips == 0


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("A b. A b.", 1), ("A b.\nC d. a  B! A b?", 2), ("Normal. Normal.", 0)],
)
def test_repeated_sentences(text: str, count: int) -> None:
    assert repeated_sentences(text) == count


REFERENCE = [f"Study {i} shows one finding." for i in range(20)]


@pytest.mark.parametrize(
    ("generated", "said"),
    [
        ([f"Case {i} has it too." for i in range(20)], []),
        (REFERENCE, ["100% of the predictions are their reference, word for word"]),
        (["One and the same report."] * 20, ["Only 5% of the reports are distinct", "written for 100%"]),
        (
            [f"Case {i} is longer than what stands in it." for i in range(20)],
            ["longer than their references"],
        ),
        ([f"Case {i}." for i in range(20)], ["shorter than their references"]),
        ([f"So {i}. It is. It is." for i in range(20)], ["100% of the reports say a sentence twice"]),
        (
            ["", "nan", *(f"Case {i} has it too." for i in range(18))],
            ["1 predictions are empty", "1 predictions are just a word such as 'nan'"],
        ),
    ],
)
def test_what_is_said_of_a_system(generated: list[str], said: list[str]) -> None:
    warnings = warn(measured(generated, REFERENCE))
    assert len(warnings) == len(said)
    assert all(part in warning for part, warning in zip(said, warnings, strict=True))


def test_no_pair_commits_itself() -> None:
    signals = {name: np.zeros(2) for name in SIGNALS}
    found = summarise(signals, Texts(2, 2, 1), Texts(2, 2, 1))
    assert (found.flips, found.length_ratio) == (0, 0)
