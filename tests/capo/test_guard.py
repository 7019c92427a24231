"""The guard stops whole groups, weighs by tokens, and a stopped group stays where the last step left it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radflow.capo import capo_loss, clip_range, group_shift, shift_guard, visited_shift


@given(seed=st.integers(0, 2**32 - 1))
def test_the_shift_of_a_group_is_the_mean_over_all_its_tokens(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    logp, old = (torch.randn(6, 5, generator=g) for _ in range(2))
    tokens = torch.randint(1, 6, (6,), generator=g)
    mask = torch.arange(5) < tokens[:, None]
    found = group_shift(visited_shift(logp, old, mask), tokens, group_size=3)
    distances = ((logp - old).exp() - 1).abs()
    for group in (0, 1):
        rows = slice(3 * group, 3 * group + 3)
        assert float(found[group]) == pytest.approx(float(distances[rows][mask[rows]].mean()), rel=1e-4)


def test_a_group_goes_on_or_stops_as_a_whole() -> None:
    shift = torch.tensor([0.0, 0.3, 0.19, 0.2])
    clip = torch.tensor([0.05, 0.05, 0.2, 0.2])
    tokens = torch.ones(4, dtype=torch.long)
    assert shift_guard(shift, tokens, clip, group_size=2).tolist() == [False, False, True, True]
    assert shift_guard(shift, torch.tensor([9, 1, 1, 1]), clip, group_size=2).tolist() == [True] * 4
    at_the_bound = torch.full((2,), 0.25)
    assert shift_guard(at_the_bound, tokens[:2], at_the_bound, group_size=2).all()


def test_a_shift_that_is_not_a_number_stops_its_group() -> None:
    shift = torch.tensor([float("nan"), 0.0, float("inf"), 0.0, 0.0, 0.0])
    going = shift_guard(shift, torch.ones(6, dtype=torch.long), torch.full((6,), 0.2), group_size=2)
    assert going.tolist() == [False, False, False, False, True, True]


def test_half_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match="groups of 2, got 3"):
        group_shift(torch.zeros(3), torch.ones(3, dtype=torch.long), group_size=2)


@pytest.mark.parametrize("guarded", [False, True])
def test_alone_a_guarded_group_stays_within_one_step_of_its_epsilon(guarded: bool) -> None:
    """Two groups that share no weight, plain gradient steps; the critical one is pushed hard."""
    g = torch.Generator().manual_seed(0)
    logits = torch.zeros(4, 6, 8, requires_grad=True)
    chosen = torch.randint(8, (4, 6, 1), generator=g)
    mask, tokens = torch.ones(4, 6, dtype=torch.bool), torch.full((4,), 6)
    advantage, clip = torch.tensor([1.0, -1.0, 1.0, -1.0]), clip_range(torch.tensor([True, False]), 0.4)
    clip = clip.repeat_interleave(2)
    optimizer = torch.optim.SGD([logits], lr=2.0)
    keep, old = torch.ones(4, dtype=torch.bool), torch.full((4, 6), -torch.log(torch.tensor(8.0)).item())
    track = []
    for _ in range(30):
        now = logits.log_softmax(-1).gather(-1, chosen)[..., 0]
        shift = visited_shift(now.detach(), old, mask)
        track.append(group_shift(shift, tokens, group_size=2))
        if guarded:
            keep = keep & shift_guard(shift, tokens, clip, group_size=2)
        loss, _ = capo_loss(now, old, old - 1.0, mask, advantage, clip, beta=0.2, keep=keep)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    critical = torch.stack(track)[:, 0]
    crossed = int((critical > 0.1).nonzero()[0])
    if guarded:
        assert torch.equal(critical[crossed:], critical[crossed : crossed + 1].expand(30 - crossed))
    else:
        assert critical[-1] > critical[crossed] + 0.05
