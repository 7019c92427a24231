"""One rollout through `update_policy`: passes change nothing, clipping acts from the second inner step on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st

from radflow.capo import clip_range, group_advantage, token_weights
from radflow.config import Policy as PolicyKnobs
from radflow.config import Rft
from radflow.errors import TrainingError
from radflow.policy import Group, GroupForward, Policy, load_policy, sample_groups
from radflow.studies import Study
from radflow.training.rollout import Rollout
from radflow.training.update import (
    Update,
    given_logprobs,
    group_passes,
    past_range,
    reference_logprobs,
    update_policy,
)

SIZE = 4


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.integers(1, 900))
def test_passes_hold_every_group_once_smallest_first(sizes: list[int], budget: int) -> None:
    passes = group_passes(sizes, budget)
    flat = [i for part in passes for i in part]
    assert sorted(flat) == list(range(len(sizes)))
    assert [sizes[i] for i in flat] == sorted(sizes)
    assert all(len(part) == 1 or sum(sizes[i] for i in part) <= budget for part in passes)


class Listening(GroupForward):
    """Remembers which groups it saw with a gradient or without."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.seen: list[str] = []

    def __call__(self, groups: Sequence[Group]) -> tuple[torch.Tensor, torch.Tensor]:
        self.seen.extend(g.study.study_id for g in groups)
        return super().__call__(groups)


class Bench:
    """A fresh adapter, a rollout of it, and everything that an update wants."""

    def __init__(self, folder: Path, knobs: PolicyKnobs, studies: Sequence[Study], **rft: Any) -> None:
        torch.manual_seed(0)
        self.knobs = Rft.model_validate({"group_size": SIZE, **rft})
        self.policy: Policy = load_policy(folder, knobs, adapter="fresh")
        self.forward = GroupForward(self.policy, shared_prefix=self.knobs.shared_prefix)
        groups = sample_groups(
            self.policy,
            studies,
            group_size=SIZE,
            max_new_tokens=9,
            seeds=range(len(studies)),
        )
        rewards = torch.randn(len(studies), SIZE, generator=torch.Generator().manual_seed(2))
        critical = torch.tensor([bool(s.critical) for s in studies])
        self.rollout = Rollout(
            groups=groups,
            rewards=rewards.numpy(),
            parts={},
            advantage=group_advantage(rewards).flatten(),
            shares={},
            clip=clip_range(critical).repeat_interleave(SIZE),
            critical=critical.repeat_interleave(SIZE),
        )

    @property
    def trainable(self) -> list[torch.nn.Parameter]:
        return [p for p in self.policy.model.parameters() if p.requires_grad]

    @property
    def weights(self) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in self.trainable])

    def update(self, optimizer: type[torch.optim.Optimizer] = torch.optim.SGD, **more: Any) -> Update:
        reference = reference_logprobs(self.policy, self.forward, self.rollout.groups, 10_000)
        return update_policy(
            self.policy.model,
            self.forward,
            self.rollout,
            reference,
            optimizer(self.trainable, lr=self.knobs.learning_rate),  # type: ignore[call-arg]
            Accelerator(cpu=True),
            self.knobs,
            max_tokens=9,
            **more,
        )


@pytest.fixture
def bench(folder: Path, knobs: PolicyKnobs, studies: list[Study]) -> Callable[..., Bench]:
    return lambda **rft: Bench(folder, knobs, studies, **rft)


def test_the_size_of_a_pass_changes_nothing(bench: Callable[..., Bench]) -> None:
    whole = bench(learning_rate=0.5, shift_guard="off")
    parts = bench(learning_rate=0.5, shift_guard="off", tokens_per_pass=1)  # a pass a group
    all_in_one, one_by_one = whole.update(), parts.update()
    assert torch.allclose(whole.weights, parts.weights, atol=1e-5)
    assert one_by_one.losses == pytest.approx(all_in_one.losses, abs=1e-5)
    assert torch.allclose(one_by_one.stats.kl, all_in_one.stats.kl, atol=1e-5)
    assert torch.allclose(one_by_one.stats.shift, all_in_one.stats.shift, atol=1e-4)


def test_with_the_shared_prefix_and_without_it_is_the_same_update(bench: Callable[..., Bench]) -> None:
    shared, plain = bench(learning_rate=0.5), bench(learning_rate=0.5, shared_prefix=False)
    losses = shared.update().losses
    assert plain.update().losses == pytest.approx(losses, abs=1e-5)
    assert torch.allclose(shared.weights, plain.weights, atol=1e-5)


class Watching(torch.optim.SGD):
    """Keeps the gradient of the first step."""

    first: torch.Tensor | None = None

    def step(self, *how: Any) -> None:  # ty: ignore[invalid-method-override]
        if Watching.first is None:
            Watching.first = torch.cat([p.grad.flatten() for p in self.param_groups[0]["params"]])
        super().step(*how)


@pytest.mark.parametrize("how", [{}, {"shared_prefix": False}, {"tokens_per_pass": 1}, {"ratio": "sequence"}])
@pytest.mark.parametrize("normaliser", ["completion", "constant"])
def test_weighed_tokens_share_the_advantage_out(
    bench: Callable[..., Bench], how: dict[str, Any], normaliser: str
) -> None:
    """At ratio 1 and without a divergence: the gradient of 1/N sum_i A_i/|o_i| sum_t w_it log pi(o_it)."""
    made = bench(learning_rate=0.0001, max_grad_norm=1e9, normaliser=normaliser, **how)
    completions = [c for g in made.rollout.groups for c in g.completions]
    chance = torch.Generator().manual_seed(4)
    deciding = [torch.rand(len(c.token_ids), generator=chance) > 0.6 for c in completions]
    made.rollout = replace(made.rollout, weights=[token_weights(row, 4.0) for row in deciding])
    values, mask = made.forward(made.rollout.groups)
    objective = torch.zeros(())
    for i, (row, inside) in enumerate(zip(values, mask, strict=True)):
        length = len(deciding[i]) if normaliser == "completion" else 9
        weights = 1 + 4.0 * deciding[i].float()
        weights = weights * len(weights) / weights.sum()
        objective = objective - made.rollout.advantage[i] * (weights * row[inside]).sum() / length
    expected = torch.autograd.grad(objective / len(completions), made.trainable)
    Watching.first = None
    made.update(Watching)
    assert Watching.first is not None
    torch.testing.assert_close(
        Watching.first, torch.cat([g.flatten() for g in expected]), atol=1e-6, rtol=1e-4
    )


def test_checkpointed_activations_give_the_same_update(bench: Callable[..., Bench]) -> None:
    from radflow.policy.load import checkpoint_activations

    kept, again = bench(learning_rate=0.5), bench(learning_rate=0.5, gradient_checkpointing=True)
    checkpoint_activations(again.policy)
    losses = kept.update().losses
    assert again.update().losses == pytest.approx(losses, abs=1e-5)
    assert torch.allclose(kept.weights, again.weights, atol=1e-5)


def test_the_first_inner_step_is_on_policy(bench: Callable[..., Bench]) -> None:
    """At ratio 1 Eq. 8 is minus the mean advantage, which is 0 in every group; no divergence has grown."""
    assert bench(inner_steps=2, learning_rate=0.5).update().losses[0] == pytest.approx(0.0, abs=1e-6)


def test_a_large_step_is_clipped_more_on_critical_cases(bench: Callable[..., Bench]) -> None:
    stepped = bench(inner_steps=2, learning_rate=3.0, shift_guard="off")
    clipped, critical = stepped.update().stats.clip_fraction, stepped.rollout.critical
    assert clipped[critical].mean() > clipped[~critical].mean() >= 0


def test_a_group_past_its_range_takes_no_further_step(bench: Callable[..., Bench]) -> None:
    """The first of three groups may not move at all; the others go on, and it is not computed again."""
    made = bench(inner_steps=4, learning_rate=0.3, tokens_per_pass=1)
    narrow = torch.full((3 * SIZE,), 0.99)
    narrow[:SIZE] = 1e-6
    made.rollout = replace(made.rollout, clip=narrow)
    made.forward = Listening(made.policy)
    update = made.update()
    assert update.stopped.tolist() == [True] * SIZE + [False] * 2 * SIZE
    assert len(update.losses) == 4
    counts = [made.forward.seen.count(g.study.study_id) for g in made.rollout.groups]
    # One look is the reference's. The second inner step found that the first group had moved.
    assert counts == [1 + 2, 1 + 4, 1 + 4]


def test_where_all_groups_are_stopped_the_weights_rest(bench: Callable[..., Bench]) -> None:
    """AdamW would move on its momentum alone."""
    two = bench(inner_steps=2, learning_rate=0.5, epsilon=0.001)
    many = bench(inner_steps=9, learning_rate=0.5, epsilon=0.001)
    for run in (two, many):
        update = run.update(optimizer=torch.optim.AdamW)
        assert update.stopped.all()
        assert len(update.losses) == 2  # the second saw the shift and took no step
    assert torch.equal(two.weights, many.weights)


@pytest.mark.parametrize("rate", [0.02, 0.7])
def test_a_bounded_update_leaves_every_group_within_its_range(
    bench: Callable[..., Bench], rate: float
) -> None:
    made = bench(inner_steps=3, learning_rate=rate, shift_guard="bound")
    free = bench(inner_steps=3, learning_rate=rate)
    update, unbounded = made.update(), free.update()

    def outside(bench: Bench, old: Sequence[torch.Tensor]) -> bool:
        return past_range(bench.forward, bench.rollout, list(old), 10_000)

    assert not outside(made, update.old)
    assert outside(free, unbounded.old) == (update.kept < 1)
    assert 0 < update.kept <= 1
    assert (rate > 0.1) == (update.kept < 1)


def test_a_loss_that_is_not_a_number_stops_the_run(bench: Callable[..., Bench]) -> None:
    broken = bench()
    with torch.no_grad():
        broken.trainable[0].fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"the loss is .*; lower rft\.learning_rate"):
        broken.update()


def test_given_log_probabilities_stand_in_the_order_of_the_rows(bench: Callable[..., Bench]) -> None:
    made = bench()
    groups: Sequence[Group] = made.rollout.groups
    lengths = [len(c.token_ids) for g in groups for c in g.completions]
    at_once = given_logprobs(made.forward, groups, 10_000)
    one_by_one = given_logprobs(made.forward, groups, 1)
    assert [len(row) for row in at_once] == [len(row) for row in one_by_one] == lengths
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(at_once, one_by_one, strict=True))
