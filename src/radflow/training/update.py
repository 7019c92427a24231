"""The optimiser steps on one rollout: reference, old and current log-probabilities, and the CAPO loss.

Groups go through the model in passes of similar size, so that memory is bounded; the gradient is that of the
whole rollout. A group that has moved by more than its clipping range takes no further step (the shift guard),
and later passes do not compute it.

The old log-probabilities are those of the first inner step, before anything moved: the policy that sampled is
the policy that is updated, and one pass is saved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from radflow import config
from radflow.capo import CapoStats, capo_loss, shift_guard, visited_shift
from radflow.errors import TrainingError
from radflow.policy import Group, GroupForward, Policy
from radflow.training.rollout import Rollout

Rows = list[Float[Tensor, "_"]]
"""Log-probabilities of ragged completions, one tensor each."""

HALVINGS = 10
"""After so many the update is undone."""


@dataclass(frozen=True, kw_only=True)
class Update:
    """What the inner steps on one rollout did.

    Attributes:
        losses: one per inner step.
        grad_norms: before clipping, one per optimiser step.
        stats: of each row at the last inner step that it took part in.
        stopped: which rows the shift guard stopped.
        kept: the share of the update that the bound on the shift left, in [0, 1].
        old: log-probabilities under the policy that sampled, one row per completion.
    """

    losses: Sequence[float]
    grad_norms: Sequence[float]
    stats: CapoStats
    stopped: Bool[Tensor, "N"]
    kept: float
    old: Rows


def group_passes(sizes: Sequence[int], budget: int) -> list[list[int]]:
    """Split indices into passes of at most ``budget`` tokens, each of similar sizes; a larger one goes alone.

    >>> group_passes([9, 2, 8, 1], 10)
    [[3, 1], [2], [0]]
    """
    passes: list[list[int]] = []
    room = 0
    for i in sorted(range(len(sizes)), key=lambda i: sizes[i]):
        if sizes[i] > room:
            passes.append([])
            room = budget
        passes[-1].append(i)
        room -= sizes[i]
    return passes


@torch.no_grad()
def given_logprobs(forward: GroupForward, groups: Sequence[Group], budget: int) -> Rows:
    """Log-probabilities of the groups' completions under the present weights, in order of the rows."""
    size = len(groups[0].completions)
    rows: dict[int, Tensor] = {}
    for part in group_passes([forward.tokens(g) for g in groups], budget):
        values, mask = forward([groups[i] for i in part])
        rows |= zip(_rows(part, size), (v[m] for v, m in zip(values, mask, strict=True)), strict=True)
    return [rows[i] for i in range(len(rows))]


def reference_logprobs(policy: Policy, forward: GroupForward, groups: Sequence[Group], budget: int) -> Rows:
    """The same under the reference policy."""
    with policy.as_reference():
        return given_logprobs(forward, groups, budget)


def update_policy(
    model: nn.Module,
    forward: GroupForward,
    rollout: Rollout,
    reference: Rows,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    knobs: config.Rft,
    *,
    max_tokens: int,
) -> Update:
    """Take all inner steps on one rollout.

    Args:
        model: as ``accelerator`` prepared it.
        forward: through the same model.
        rollout: sampled and rewarded.
        reference: log-probabilities under the reference policy, one row per completion.
        optimizer: prepared.
        accelerator: sums gradients over processes.
        knobs: the section ``rft``.
        max_tokens: of a completion, for the constant normaliser.

    Raises:
        TrainingError: a loss is not finite.
    """
    _without_dropout(model, checkpointing=knobs.gradient_checkpointing)
    size, count = len(rollout.groups[0].completions), len(rollout.advantage)
    sizes = [forward.tokens(group) for group in rollout.groups]
    seen: dict[int, Tensor] = {}
    columns: dict[str, Tensor] = {}
    losses: list[float] = []
    grad_norms: list[float] = []
    going = torch.ones(count, dtype=torch.bool, device=rollout.advantage.device)
    trained = [p for p in model.parameters() if p.requires_grad]
    start = [p.detach().clone() for p in trained] if knobs.shift_guard == "bound" else []
    for inner in range(knobs.inner_steps):
        alive = [i for i in range(len(sizes)) if going[i * size]]
        if not _anyone(accelerator, bool(alive)):
            break
        # Where other processes go on, this one joins their sum of gradients with a pass that adds nothing.
        alive = alive or [int(np.argmin(sizes))]
        passes = group_passes([sizes[i] for i in alive], knobs.tokens_per_pass)
        total = 0.0
        for k, places in enumerate(passes):
            part = [alive[place] for place in places]
            rows = _rows(part, size)
            with nullcontext() if k == len(passes) - 1 else accelerator.no_sync(model):
                current, mask = forward([rollout.groups[i] for i in part])
                if inner == 0:
                    seen |= zip(
                        rows, (c[m] for c, m in zip(current.detach(), mask, strict=True)), strict=True
                    )
                before = _padded([seen[i] for i in rows], current)
                if knobs.shift_guard != "off":
                    shift = visited_shift(current.detach(), before, mask)
                    going[rows] &= shift_guard(shift, mask.sum(-1), rollout.clip[rows], group_size=size)
                loss, stats = capo_loss(
                    current,
                    before,
                    _padded([reference[i] for i in rows], current),
                    mask,
                    rollout.advantage[rows],
                    rollout.clip[rows],
                    beta=knobs.beta,
                    kl=knobs.kl,
                    clip_high=None if rollout.clip_high is None else rollout.clip_high[rows],
                    ratio=knobs.ratio,
                    normaliser=knobs.normaliser,
                    max_tokens=max_tokens,
                    keep=going[rows],
                    weights=_padded([rollout.weights[i] for i in rows], current) if rollout.weights else None,
                )
                share = len(rows) / count
                accelerator.backward(loss * share)
            total += loss.item() * share
            for field in fields(CapoStats):
                value = getattr(stats, field.name)
                columns.setdefault(field.name, value.new_zeros(count))[rows] = value
        # The guard stops rows that are not numbers, and hides them from the loss; the divergence shows them.
        if not (np.isfinite(total) and columns["kl"].isfinite().all()):
            raise TrainingError(f"rft: the loss is {total}; lower rft.learning_rate")
        losses.append(total)
        if not _anyone(accelerator, bool(going.any())):
            optimizer.zero_grad()  # nothing to learn from: AdamW would move on momentum alone
            break
        grad_norms.append(float(accelerator.clip_grad_norm_(model.parameters(), knobs.max_grad_norm)))
        optimizer.step()
        optimizer.zero_grad()
    sampled = [seen[i] for i in range(count)]

    def within() -> bool:
        over = past_range(forward, rollout, sampled, knobs.tokens_per_pass)
        return not _anyone(accelerator, over)

    kept = bound_shift(trained, start, within) if start else 1.0
    return Update(
        losses=losses,
        grad_norms=grad_norms,
        stats=CapoStats(**columns),
        stopped=~going,
        kept=kept,
        old=sampled,
    )


@torch.no_grad()
def bound_shift(weights: Sequence[Tensor], before: Sequence[Tensor], within: Callable[[], bool]) -> float:
    """Move ``weights`` back towards ``before`` until the policy is within its bounds.

    The shift guard ends a group's own steps once it is past its range; the step that went past it stays, and
    other groups go on moving the weights that all share. What the paper's lemma promises, a policy within the
    range of each case, needs more: the way from the old weights to the new is halved until every group's
    measured shift is within its epsilon, as TRPO's line search (Schulman et al. 2015, appendix C) does for
    the divergence.

    Args:
        weights: the trained weights after the update; changed in place.
        before: the same before it.
        within: whether every group's shift is within its range at the present weights. It must answer alike
            on all processes.

    Returns:
        the share of the update that stays: 1, 1/2, 1/4, ..., or 0.

    >>> weight = torch.tensor([0.8])
    >>> bound_shift([weight], [torch.tensor([0.0])], lambda: float(weight) <= 0.3), weight
    (0.25, tensor([0.2000]))
    """
    after = [weight.clone() for weight in weights]
    share = 1.0
    for _ in range(HALVINGS):
        if within():
            return share
        share /= 2
        for weight, old, new in zip(weights, before, after, strict=True):
            weight.copy_(old + share * (new - old))
    for weight, old in zip(weights, before, strict=True):
        weight.copy_(old)
    return 0.0


def past_range(forward: GroupForward, rollout: Rollout, old: Rows, budget: int) -> bool:
    """Whether some group's policy has moved by more than its clipping range."""
    size = len(rollout.groups[0].completions)
    now = given_logprobs(forward, rollout.groups, budget)
    tokens = torch.tensor([len(row) for row in now], device=rollout.clip.device)
    mask = torch.arange(int(tokens.max()), device=tokens.device) < tokens[:, None]
    current = pad_sequence(now, batch_first=True)
    shift = visited_shift(current, _padded(old, current), mask)
    return not bool(shift_guard(shift, tokens, rollout.clip, group_size=size).all())


def _without_dropout(model: nn.Module, *, checkpointing: bool) -> None:
    """The ratio compares the same function before and after the update, so nothing in it may be random.

    transformers checkpoints activations in training mode only; there the dropout layers are put to rest.
    """
    model.train(checkpointing)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()


def _rows(groups: Sequence[int], size: int) -> list[int]:
    """The rows of some groups."""
    return [group * size + i for group in groups for i in range(size)]


def _padded(rows: Sequence[Float[Tensor, "_"]], like: Float[Tensor, "N T"]) -> Float[Tensor, "N T"]:
    return pad_sequence([row.to(like) for row in rows], batch_first=True)


def _anyone(accelerator: Accelerator, here: bool) -> bool:
    """Whether any process has something left to do."""
    if accelerator.num_processes == 1:
        return here
    return bool(accelerator.gather(torch.tensor([here], device=accelerator.device)).any())
