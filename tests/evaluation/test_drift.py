import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.evaluation.drift import (
    SIGNALS,
    Drift,
    Texts,
    drift_warnings,
    measure_drift,
    read_signals,
    repeated_sentences,
)
from radflow.readers import load

LABELER = load("chexpert-rules")
REPORTS = ["No edema.", "Edema. Small left pleural effusion.", "", "nan", "The heart is normal."]


def measured(generated: list[str], reference: list[str]) -> Drift:
    signals = read_signals(generated, reference, LABELER)
    return measure_drift(signals, Texts.of(generated), Texts.of(reference))


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
    assert any("one asserts what the other denies" in said for said in drift_warnings(found))


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
    warnings = drift_warnings(measured(generated, REFERENCE))
    assert len(warnings) == len(said)
    assert all(part in warning for part, warning in zip(said, warnings, strict=True))


def test_no_pair_commits_itself() -> None:
    signals = {name: np.zeros(2) for name in SIGNALS}
    found = measure_drift(signals, Texts(2, 2, 1), Texts(2, 2, 1))
    assert (found.flips, found.length_ratio) == (0, 0)


def test_closed_form() -> None:
    read = {
        "clear": {"No Finding": 1},
        "clear ": {"No Finding": 1},
        "small left effusion": {"Pleural Effusion": 1, "Edema": 0},
        "edema": {"Edema": -1, "X": 1},
    }
    signals = read_signals(list(read), ["clear"] * 4, lambda texts: [read[text] for text in texts])
    drift = measure_drift(signals, Texts.of(read), Texts.of(["clear"] * 4))
    assert (drift.positives, drift.words, drift.distinct, drift.most_frequent) == (0.75, 1.5, 0.75, 0.5)
    assert (drift.reference_distinct, drift.reference_most_frequent) == (0.25, 1.0)
