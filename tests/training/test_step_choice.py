import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from radflow.training.step_choice import choose_step, said_of_step, why_kept

f1s = st.lists(st.floats(0, 1), min_size=3, max_size=3)
rewards = st.lists(st.floats(-1, 4), min_size=3, max_size=3)


@given(st.lists(st.tuples(rewards, f1s), min_size=1, max_size=8))
def test_the_kept_step_gained_reward_and_kept_its_labels(outcomes) -> None:
    validations = [
        {"step": 2 * i, "rewards": reward, "label_f1s": labels} for i, (reward, labels) in enumerate(outcomes)
    ]
    chosen = next(v for v in validations if v["step"] == choose_step(validations))
    if chosen is not validations[0]:
        for name, sign in (("rewards", 1), ("label_f1s", -1)):
            change = np.subtract(chosen[name], validations[0][name])
            assert change.mean() >= sign * change.std(ddof=1) / math.sqrt(3)


def test_of_equal_steps_the_first_is_kept() -> None:
    start = {"rewards": [1.0, 1.0], "label_f1s": [0.5, 0.5]}
    better = {"rewards": [2.0, 2.0], "label_f1s": [0.5, 0.5]}
    assert choose_step([{"step": s, **start} for s in (0, 2, 4)]) == 0
    assert choose_step([{"step": 0, **start}, *({"step": s, **better} for s in (2, 4))]) == 2


def test_a_gain_within_its_error_is_luck() -> None:
    start = {"step": 0, "rewards": [1.0] * 4, "label_f1s": [0.5] * 4}
    assert choose_step([start, start | {"step": 2, "rewards": [9.0, 0.0, 0.0, 0.0]}]) == 0
    assert choose_step([start, start | {"step": 2, "rewards": [1.2, 1.1, 1.0, 1.1]}]) == 2


def test_one_validation_study_has_no_spread() -> None:
    start = {"step": 0, "rewards": [1.0], "label_f1s": [0.5]}
    assert choose_step([start, {"step": 2, "rewards": [2.0], "label_f1s": [0.49]}]) == 0
    assert choose_step([start, {"step": 2, "rewards": [2.0], "label_f1s": [0.5]}]) == 2


def test_each_step_says_why_it_is_kept_or_not() -> None:
    start = {"step": 0, "rewards": [1.0] * 4, "label_f1s": [0.5] * 4}
    better = start | {"step": 2, "rewards": [1.2, 1.1, 1.0, 1.1]}
    blind = start | {"step": 4, "rewards": [3.0] * 4, "label_f1s": [0.2, 0.3, 0.2, 0.3]}
    good = start | {"step": 6, "rewards": [1.05] * 4}
    said = [said_of_step([start, better, blind, good][:i]) for i in (1, 2, 3, 4)]
    assert said[0] == "the start"
    assert said[1].endswith(": best so far")
    assert said[2].endswith(": label F1 fell by more than its standard error")
    assert said[3].endswith(": step 2 has a higher reward")


def test_the_choice_says_why() -> None:
    start = {"step": 0, "rewards": [1.0] * 4, "label_f1s": [0.5] * 4}
    assert why_kept([start]) == "no other step was validated"
    worse = start | {"step": 2, "rewards": [0.5] * 4}
    assert why_kept([start, worse]).startswith("step 2, the best of the others, may not be kept: the reward")
    better = start | {"step": 4, "rewards": [2.0] * 4}
    assert "reward +1.000" in why_kept([start, worse, better])


# ---- by diagnosis ----------------------------------------------------------------------------------------

SEEN = {
    "step": 0,
    "rewards": [1.0] * 4,
    "label_f1s": [0.5] * 4,
    "macro_f1": 0.1,
    "positives": 0.8,
    "reference_positives": 0.5,
}


def diagnosed(*others, within=0.2):
    validations = [SEEN, *({**SEEN, "step": 2 * i, **other} for i, other in enumerate(others, start=1))]
    return choose_step(validations, "diagnosis", within), why_kept(validations, "diagnosis", within)


def test_by_diagnosis_the_step_with_the_highest_macro_f1_is_kept():
    kept, why = diagnosed({"macro_f1": 0.2, "positives": 0.5}, {"macro_f1": 0.3, "positives": 0.45})
    assert kept == 4
    assert why.startswith("the highest validation macro F1 of the steps that kept reward and positives")
    assert "macro F1 0.300, 0.45 positives per report" in why


def test_by_diagnosis_no_reward_has_to_be_gained_and_none_may_be_lost():
    assert diagnosed({"macro_f1": 0.2, "positives": 0.5})[0] == 2
    kept, why = diagnosed({"macro_f1": 0.2, "positives": 0.5, "rewards": [0.9, 0.8, 0.9, 0.8]})
    assert (kept, why) == (
        0,
        "step 2, the best of the others, may not be kept: the reward fell by more than its standard error",
    )


def test_by_diagnosis_a_silent_step_is_not_kept_and_one_that_is_closer_than_step_0_is():
    kept, why = diagnosed({"macro_f1": 0.3, "positives": 0.1})
    assert kept == 0
    assert why.endswith("may not be kept: 0.10 positives per report, where the references have 0.50")
    assert diagnosed({"macro_f1": 0.3, "positives": 0.75})[0] == 2  # outside 0.4 to 0.6; step 0 is at 0.8
    assert diagnosed({"macro_f1": 0.3, "positives": 0.85})[0] == 0
    assert diagnosed({"macro_f1": 0.3, "positives": 0.85}, within=0.8)[0] == 2


def test_by_diagnosis_where_no_reference_asserts_anything_step_0_stays():
    unseen = {name: value for name, value in SEEN.items() if name != "macro_f1"}
    assert choose_step([unseen, unseen | {"step": 2, "rewards": [9.0] * 4}], "diagnosis") == 0
