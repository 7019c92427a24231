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
