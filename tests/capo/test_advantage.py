"""Eq. 1, and the properties that training relies on."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radflow.capo import dead_groups, group_advantage


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
