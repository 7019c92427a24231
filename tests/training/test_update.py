"""One rollout through `update_policy`: passes change nothing, clipping acts from the second inner step on."""

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st

from radflow.capo import clip_range, group_advantage
from radflow.config import Policy as PolicyKnobs
from radflow.config import Rft
from radflow.policy import PromptEncoder, load_policy, sample_groups
from radflow.studies import Study
from radflow.training.update import Rollout, length_passes, update_policy


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.integers(1, 9))
def test_passes_hold_every_row_once_shortest_first(lengths: list[int], rows: int) -> None:
    passes = length_passes(lengths, rows)
    assert sorted(i for part in passes for i in part) == list(range(len(lengths)))
    assert all(len(part) <= rows for part in passes)
    flat = [lengths[i] for part in passes for i in part]
    assert flat == sorted(flat)


def run(folder: Path, policy_knobs: PolicyKnobs, studies: list[Study], **knobs: float):
    """Update a fresh adapter once; weights after it, losses and statistics."""
    torch.manual_seed(0)
    policy = load_policy(folder, policy_knobs, adapter="fresh")
    encoder = PromptEncoder(policy, instruction=policy_knobs.prompt)
    groups = sample_groups(policy, encoder, studies, group_size=4, max_new_tokens=9, seed=1)
    rewards = torch.randn(len(studies), 4, generator=torch.Generator().manual_seed(2))
    critical = torch.tensor([bool(s.critical) for s in studies])
    rollout = Rollout(
        groups=groups,
        rewards=rewards.numpy(),
        parts={},
        advantage=group_advantage(rewards).flatten(),
        clip=clip_range(critical).repeat_interleave(4),
        critical=critical.repeat_interleave(4),
    )
    settings = Rft.model_validate(knobs)
    trainable = [p for p in policy.model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=settings.learning_rate)
    accelerator = Accelerator(cpu=True)
    losses, stats = update_policy(policy, policy.model, encoder, rollout, optimizer, accelerator, settings)
    return torch.cat([p.detach().flatten() for p in trainable]), losses, stats


def test_the_size_of_a_pass_changes_nothing(folder: Path, knobs: PolicyKnobs, studies: list[Study]) -> None:
    whole, losses, stats = run(folder, knobs, studies, rows_per_pass=64, learning_rate=0.5)
    parts, split_losses, split_stats = run(folder, knobs, studies, rows_per_pass=3, learning_rate=0.5)
    assert torch.allclose(whole, parts, atol=1e-5)
    assert split_losses == pytest.approx(losses, abs=1e-5)
    assert torch.allclose(split_stats.kl, stats.kl, atol=1e-5)  # in the order of the rows, not of the passes
    assert torch.allclose(split_stats.shift, stats.shift, atol=1e-4)


def test_the_first_inner_step_is_on_policy(folder: Path, knobs: PolicyKnobs, studies: list[Study]) -> None:
    """At ratio 1 Eq. 8 is minus the mean advantage, which is 0 in every group; no divergence has grown."""
    _, losses, _ = run(folder, knobs, studies, inner_steps=2, learning_rate=0.5)
    assert losses[0] == pytest.approx(0.0, abs=1e-6)


def test_a_large_step_is_clipped_more_on_critical_cases(
    folder: Path, knobs: PolicyKnobs, studies: list[Study]
) -> None:
    _, _, stats = run(folder, knobs, studies, inner_steps=2, learning_rate=3.0)
    critical = torch.tensor([bool(s.critical) for s in studies]).repeat_interleave(4)
    assert float(stats.clip_fraction[critical].mean()) > 0
    assert float(stats.clip_fraction[critical].mean()) > float(stats.clip_fraction[~critical].mean())
