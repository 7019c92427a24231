"""Eq. 1, 8 and 9 against sums written out by hand, and the properties that the facts promise."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.capo import capo_loss, clip_range, dead_groups, exact_shift, group_advantage, visited_shift


def by_hand(logp, old, ref, mask, adv, eps, beta, kl):
    """Eq. 8, a token at a time, in plain Python."""
    rows = []
    for i in range(len(adv)):
        tokens = [t for t in range(len(mask[i])) if mask[i][t]]
        total = 0.0
        for t in tokens:
            ratio = math.exp(logp[i][t] - old[i][t])
            clipped = min(max(ratio, 1 - eps[i]), 1 + eps[i]) * adv[i]
            difference = ref[i][t] - logp[i][t]
            divergence = math.exp(difference) - difference - 1
            if kl == "outside":
                total += min(ratio * adv[i], clipped) - beta * divergence
            else:
                total += min(ratio * adv[i], clipped - beta * divergence)
        rows.append(total / len(tokens))
    return -sum(rows) / len(rows)


@pytest.mark.parametrize("kl", ["outside", "literal"])
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_loss_equals_equation_8_by_hand(kl: str, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    old, ref = (torch.randn(4, 6, generator=g, dtype=torch.float64) - 2 for _ in range(2))
    logp = old + 0.3 * torch.randn(4, 6, generator=g, dtype=torch.float64)
    lengths = torch.randint(1, 7, (4,), generator=g)
    mask = torch.arange(6) < lengths[:, None]
    adv = torch.randn(4, generator=g, dtype=torch.float64)
    eps = torch.tensor([0.05, 0.2, 0.05, 0.2], dtype=torch.float64)
    loss, _ = capo_loss(logp, old, ref, mask, adv, eps, beta=0.04, kl=kl)
    expected = by_hand(*(x.tolist() for x in (logp, old, ref, mask, adv, eps)), 0.04, kl)
    assert float(loss) == pytest.approx(expected, abs=1e-12)


def test_the_two_forms_agree_at_ratio_one() -> None:
    logp, ref = torch.randn(3, 5), torch.randn(3, 5)
    arguments = (logp, logp, ref, torch.ones(3, 5, dtype=torch.bool), torch.randn(3), torch.full((3,), 0.2))
    outside, _ = capo_loss(*arguments, beta=0.5, kl="outside")
    literal, _ = capo_loss(*arguments, beta=0.5, kl="literal")
    assert float(outside) == pytest.approx(float(literal), rel=1e-6)


def test_critical_cases_are_clipped_where_normal_ones_are_not() -> None:
    logp = torch.full((2, 3), 0.1, requires_grad=True)  # ratio 1.105: past 0.05, within 0.2
    old = torch.zeros(2, 3)
    mask = torch.ones(2, 3, dtype=torch.bool)
    clip = clip_range(torch.tensor([True, False]))
    loss, stats = capo_loss(logp, old, old, mask, torch.ones(2), clip, beta=0.0)
    loss.backward()
    assert logp.grad is not None
    assert stats.clip_fraction.tolist() == [1.0, 0.0]
    assert logp.grad[0].abs().max() == 0
    assert logp.grad[1].abs().min() > 0


def test_without_an_update_no_clip_binds_and_nothing_shifts() -> None:
    logp = torch.randn(4, 5)
    mask = torch.ones(4, 5, dtype=torch.bool)
    _, stats = capo_loss(logp, logp, logp, mask, torch.randn(4), torch.full((4,), 0.05))
    assert stats.clip_fraction.sum() == 0
    assert stats.shift.sum() == 0
    assert stats.ratio_min.tolist() == stats.ratio_max.tolist() == [1.0] * 4


def test_padding_may_hold_anything() -> None:
    logp, old = torch.zeros(1, 3), torch.zeros(1, 3)
    mask = torch.tensor([[True, True, False]])
    spoilt = logp.clone()
    spoilt[0, 2] = 1e9
    clean, _ = capo_loss(logp, old, old, mask, torch.ones(1), torch.full((1,), 0.2))
    dirty, stats = capo_loss(spoilt, old, old, mask, torch.ones(1), torch.full((1,), 0.2))
    assert float(clean) == float(dirty)
    assert float(stats.ratio_max) == 1.0


def test_an_unknown_place_for_the_kl_is_refused() -> None:
    one = torch.zeros(1, 1)
    with pytest.raises(Exception, match="'outside'"):  # the shape checker of the tests may be first
        capo_loss(one, one, one, one == 0, torch.ones(1), torch.ones(1), kl="both")  # ty: ignore[invalid-argument-type]


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.01, 100))
@settings(deadline=None, max_examples=40)
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


def test_clip_range_is_equation_9() -> None:
    assert clip_range(torch.tensor([True, False]), 0.2, 4.0).tolist() == pytest.approx([0.05, 0.2])
    assert clip_range(torch.tensor([True, False]), 0.2, 1.0).tolist() == pytest.approx([0.2, 0.2])
    with pytest.raises(ValueError):
        clip_range(torch.tensor([True]), 1.5)
    with pytest.raises(ValueError):
        clip_range(torch.tensor([True]), 0.2, 0.5)


def test_the_visited_shift_estimates_the_exact_one() -> None:
    """|| pi - pi_old ||_1 = E_{a ~ pi_old} | ratio - 1 |, over many samples."""
    g = torch.Generator().manual_seed(0)
    old, new = torch.randn(1, 1, 7, generator=g), torch.randn(1, 1, 7, generator=g)
    exact = exact_shift(new, old, torch.ones(1, 1, dtype=torch.bool))
    draws = torch.multinomial(old[0].softmax(-1), 200_000, replacement=True, generator=g)
    logp, logp_old = new[0].log_softmax(-1)[0, draws], old[0].log_softmax(-1)[0, draws]
    estimate = visited_shift(logp, logp_old, torch.ones(1, 200_000, dtype=torch.bool))
    assert float(estimate) == pytest.approx(float(exact), rel=0.01)
