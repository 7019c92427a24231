"""What is true about the policy shift, and that the paper's lemma is not (docs/theory.md)."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from radflow.capo import capo_loss, exact_shift, visited_shift

ONE = torch.ones(1, 1, dtype=torch.bool)


def test_the_visited_shift_estimates_the_exact_one() -> None:
    """|| pi - pi_old ||_1 = E_{a ~ pi_old} | ratio - 1 |, over many samples."""
    g = torch.Generator().manual_seed(0)
    old, new = torch.randn(1, 1, 7, generator=g), torch.randn(1, 1, 7, generator=g)
    exact = exact_shift(new, old, ONE)
    draws = torch.multinomial(old[0].softmax(-1), 200_000, replacement=True, generator=g)
    logp, logp_old = new[0].log_softmax(-1)[0, draws], old[0].log_softmax(-1)[0, draws]
    estimate = visited_shift(logp, logp_old, torch.ones(1, 200_000, dtype=torch.bool))
    assert float(estimate) == pytest.approx(float(exact), rel=0.01)


@given(seed=st.integers(0, 2**32 - 1), epsilon=st.floats(0.01, 0.5))
def test_ratios_that_truly_stay_in_the_range_bound_the_shift(seed: int, epsilon: float) -> None:
    """The premise that the lemma needs: every action's ratio, not only those in the batch."""
    g = torch.Generator().manual_seed(seed)
    old = torch.randn(6, generator=g).softmax(-1)
    tilt = (2 * torch.rand(6, generator=g) - 1) * epsilon / 2
    new = old * (1 + tilt - (old * tilt).sum())  # sums to 1; each ratio within epsilon of 1
    assert float((new / old - 1).abs().max()) <= epsilon + 1e-6
    assert float(exact_shift(new.log()[None, None], old.log()[None, None], ONE)) <= epsilon + 1e-6


def clipped_steps(
    optimizer: type[torch.optim.Optimizer], rate: float, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Ascend the clipped objective of one state, action 0 being good; ratio and shift after every step."""
    logits = torch.zeros(1, 1, 4, requires_grad=True)
    before = logits.detach().clone()
    taken = optimizer([logits], lr=rate)
    ratios, shifts = [], []
    for _ in range(6):
        logp = logits.log_softmax(-1)[..., 0]
        old = before.log_softmax(-1)[..., 0]
        loss, _ = capo_loss(logp, old, old, ONE, torch.ones(1), torch.full((1,), epsilon), beta=0.0)
        taken.zero_grad()
        loss.backward()
        taken.step()
        now = logits.detach()
        ratios.append((now.log_softmax(-1)[..., 0] - old).exp())
        shifts.append(exact_shift(now, before, ONE))
    return torch.cat(ratios).flatten(), torch.cat(shifts)


def test_clipping_does_not_bound_the_ratio_even_of_one_case() -> None:
    """At ratio 1 nothing clips: the first step goes as far as its length says, and nothing pulls it back."""
    ratios, shifts = clipped_steps(torch.optim.SGD, rate=1.0, epsilon=0.05)
    assert float(ratios[0]) > 1.05
    assert float(shifts[0]) > 0.05
    assert torch.equal(ratios[1:], ratios[:1].expand(5))


def test_momentum_carries_the_ratio_on_where_every_gradient_is_removed() -> None:
    ratios, shifts = clipped_steps(torch.optim.AdamW, rate=0.05, epsilon=0.05)
    outside = ratios > 1.05
    first = int(outside.nonzero()[0])
    assert first < 3  # from here on the gradient is exactly 0
    assert (ratios[first + 1 :] > ratios[first:-1]).all()
    assert float(shifts[-1]) > 2 * 0.05


def test_the_ratio_of_what_was_sampled_says_nothing_about_what_was_not() -> None:
    old, new = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.5, 0.5, 0.0])
    assert float(new[0] / old[0]) == 1  # had action 0 been drawn, no clip would bind
    assert float(exact_shift(new.log()[None, None], old.log()[None, None], ONE)) == 0.5


@given(seed=st.integers(0, 2**32 - 1))
def test_the_return_changes_no_more_than_the_shift_at_old_states_allows(seed: int) -> None:
    """|J - J_old| <= range / 2 * E_old [ sum_t || pi - pi_old ||_1 ], over all texts of 3 tokens."""
    g = torch.Generator().manual_seed(seed)
    tokens, length = range(3), 3
    states = [s for n in range(length) for s in itertools.product(tokens, repeat=n)]
    old = {s: torch.randn(3, generator=g, dtype=torch.float64).softmax(-1) for s in states}
    new = {s: (old[s].log() + torch.randn(3, generator=g, dtype=torch.float64)).softmax(-1) for s in states}
    reward = {
        text: float(5 * torch.rand((), generator=g) - 1) for text in itertools.product(tokens, repeat=length)
    }

    def chance(policy: dict[tuple[int, ...], Tensor], text: tuple[int, ...]) -> float:
        return float(torch.stack([policy[text[:t]][text[t]] for t in range(length)]).prod())

    def shift(text: tuple[int, ...]) -> float:
        return sum(float((new[text[:t]] - old[text[:t]]).abs().sum()) for t in range(length))

    change = sum((chance(new, text) - chance(old, text)) * value for text, value in reward.items())
    spread = max(reward.values()) - min(reward.values())
    bound = spread / 2 * sum(chance(old, text) * shift(text) for text in reward)
    assert abs(change) <= bound + 1e-12
