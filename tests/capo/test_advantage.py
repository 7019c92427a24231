"""Eq. 1 and what may stand in its place, and the properties that training relies on."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from radflow.capo import class_weights, conditioned, dead_groups, decoupled_advantage, group_advantage


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.01, 100))
def test_advantage_has_mean_zero_and_ignores_a_shift(seed: int, scale: float) -> None:
    rewards = scale * torch.randn(3, 4, generator=torch.Generator().manual_seed(seed))
    advantage = group_advantage(rewards)
    assert advantage.mean(-1).abs().max() < 1e-4
    assert torch.allclose(advantage, group_advantage(rewards + 5), atol=1e-2)
    assert torch.equal(advantage.argsort(-1), rewards.argsort(-1))


def test_without_scaling_a_group_weighs_as_much_as_its_rewards_differ() -> None:
    rewards = torch.tensor([[1.0, 1.02], [1.0, 3.0]])
    assert group_advantage(rewards).abs().amax(-1).tolist() == pytest.approx([0.702, 0.707], abs=1e-2)
    assert group_advantage(rewards, scale=False).tolist() == [
        pytest.approx([-0.01, 0.01]),
        pytest.approx([-1.0, 1.0]),
    ]


def test_equal_rewards_give_zeros_and_are_counted() -> None:
    rewards = torch.tensor([[1.5, 1.5, 1.5], [0.0, 1.0, 2.0]])
    assert group_advantage(rewards)[0].tolist() == [0.0, 0.0, 0.0]
    assert dead_groups(rewards).tolist() == [True, False]


def test_a_failed_reward_is_never_zero() -> None:
    with pytest.raises(ValueError, match="finite"):
        group_advantage(torch.tensor([[1.0, float("nan")]]))
    with pytest.raises(ValueError, match="at least 2"):
        group_advantage(torch.ones(2, 1))


# ---- each term by itself ---------------------------------------------------------------------------------


def terms_of(*, spread: float) -> Tensor:
    """A term of ones and noughts, and one that differs by ``spread`` and says the opposite."""
    label = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    return torch.stack([label, 0.5 - spread * label])


@given(seed=st.integers(0, 2**32 - 1))
def test_decoupled_is_its_equation_by_hand(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    terms, weights = torch.rand(3, 2, 4, generator=g, dtype=torch.float64), torch.tensor([1.0, 0.5, 2.0])
    expected = torch.zeros(2, 4, dtype=torch.float64)
    for k in range(3):
        for p in range(2):
            row = terms[k, p].tolist()
            mean = sum(row) / 4
            std = (sum((r - mean) ** 2 for r in row) / 3) ** 0.5
            expected[p] += weights[k] * (terms[k, p] - mean) / (max(std, 0.3) + 1e-4)
    expected /= expected.std() + 1e-4
    assert torch.allclose(decoupled_advantage(terms, weights.double(), floor=0.3).sum(0), expected)


def test_a_term_of_hundredths_drowns_a_term_without_a_floor_and_not_with_one() -> None:
    free, floored = (decoupled_advantage(terms_of(spread=0.01), torch.ones(2), floor=f) for f in (0.0, 0.1))
    assert free[1].abs().max() > 0.95 * free[0].abs().max()
    assert floored[1].abs().max() < 0.2 * floored[0].abs().max()


def test_the_deviation_of_the_batch_leaves_a_quiet_group_quiet() -> None:
    term = torch.tensor([[[0.50, 0.50, 0.51, 0.51], [0.0, 0.0, 1.0, 1.0]]])
    group, batch = (decoupled_advantage(term, torch.ones(1), across=whose)[0] for whose in ("group", "batch"))
    assert group[0].abs().max() > 0.95 * group[1].abs().max()
    assert float(batch[0].abs().max()) == pytest.approx(0.01 * float(batch[1].abs().max()), rel=1e-3)


def test_a_skipped_term_is_left_out_and_never_0() -> None:
    terms = torch.tensor([[[0.2, 0.8, math.nan]], [[0.4, 0.4, 0.7]]])
    alone = decoupled_advantage(terms, torch.tensor([1.0, 0.0]))
    assert alone[0, 0, 2] == 0  # neither praised nor blamed ...
    as_if = decoupled_advantage(terms.nan_to_num(), torch.tensor([1.0, 0.0]))
    assert as_if[0, 0, 2] < -0.5  # ... where 0 would have been the worst
    assert alone[0, 0, 0] == -alone[0, 0, 1]  # nor does it move the mean of the others
    nothing = torch.full((2, 1, 3), math.nan)
    assert decoupled_advantage(nothing, torch.ones(2)).tolist() == [[[0.0] * 3]] * 2


def test_equal_rewards_give_zeros_in_every_form() -> None:
    terms = torch.ones(2, 3, 4)
    classes = torch.tensor([True, False, False])
    for options in ({}, {"floor": 0.1}, {"across": "batch"}, {"classes": classes}):
        assert (decoupled_advantage(terms, torch.ones(2), **options) == 0).all()


def test_decoupled_refuses_what_eq_1_refuses() -> None:
    with pytest.raises(ValueError, match="infinite"):
        decoupled_advantage(torch.tensor([[[1.0, math.inf]]]), torch.ones(1))
    with pytest.raises(ValueError, match="at least 2"):
        decoupled_advantage(torch.ones(1, 2, 1), torch.ones(1))


# ---- conditioned terms, balanced classes -----------------------------------------------------------------


def test_an_easy_term_counts_only_where_the_hard_one_holds() -> None:
    label = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    consistent = torch.tensor([[1.0, 1.0, -1.0, math.nan]])
    kept = conditioned(torch.stack([label, consistent]), label, torch.tensor([False, True]))
    assert torch.equal(kept[0], label)
    assert kept[1, 0, :3].tolist() == [-1.0, 1.0, -1.0]
    assert kept[1, 0, 3].isnan()


def test_a_completion_that_skipped_the_hard_term_failed_and_a_group_without_it_did_not() -> None:
    label = torch.tensor([[0.5, 0.5, math.nan], [math.nan] * 3])
    easy = torch.tensor([[0.1, 0.2, 0.9]]).repeat(2, 1)
    kept = conditioned(torch.stack([label, easy]), label, torch.tensor([False, True]))[1]
    assert kept.tolist() == [pytest.approx([0.1, 0.2, 0.1]), pytest.approx([0.1, 0.2, 0.9])]


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_both_classes_weigh_the_same(flags: list[bool]) -> None:
    abnormal = torch.tensor(flags)
    weights = class_weights(abnormal)
    assert float(weights.mean()) == pytest.approx(1)
    if len(set(flags)) == 2:
        assert float(weights[abnormal].sum()) == pytest.approx(float(weights[~abnormal].sum()))


def test_classes_whitened_apart_are_equally_loud() -> None:
    term = torch.tensor([[[0.0, 1.0, 0.0, 1.0]] + [[0.5, 0.5, 0.5, 0.51]] * 3])
    classes = torch.tensor([True, False, False, False])
    options = {"floor": 1.0, "classes": classes}
    advantage = decoupled_advantage(term, torch.ones(1), **options)[0]
    assert float(advantage[classes].std()) == pytest.approx(1, abs=1e-3)
    assert float(advantage[~classes].std()) == pytest.approx(1, abs=0.03)  # 1e-4 beside a deviation of 0.005
