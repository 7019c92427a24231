"""The optimiser steps on one rollout: old, reference and current log-probabilities, and the CAPO loss.

The plain forward, one row a completion. Rows go through the model in passes of similar length, so that one
runaway completion does not pad all others; the gradient is that of the whole rollout.

The old log-probabilities are those of the first inner step, before anything moved: the policy that sampled is
the policy that is updated, and one pass is saved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Bool, Float
from torch import Tensor

from radflow import config
from radflow.capo import CapoStats, capo_loss
from radflow.errors import TrainingError
from radflow.policy import Group, Policy, PromptEncoder, completion_logprobs


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Sampled groups with what the loss needs. ``N = P * G`` rows in the order of the groups."""

    groups: Sequence[Group]
    rewards: Float[np.ndarray, "P G"]
    parts: Mapping[str, Float[np.ndarray, "P G"]]
    advantage: Float[Tensor, "N"]
    clip: Float[Tensor, "N"]
    critical: Bool[Tensor, "N"]


def length_passes(lengths: Sequence[int], rows: int) -> list[list[int]]:
    """Split row indices into passes of at most ``rows``, each of similar length.

    >>> length_passes([9, 2, 8, 1], 2)
    [[3, 1], [2, 0]]
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    return [order[i : i + rows] for i in range(0, len(order), rows)]


def update_policy(
    policy: Policy,
    model: torch.nn.Module,
    encoder: PromptEncoder,
    rollout: Rollout,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    knobs: config.Rft,
) -> tuple[list[float], CapoStats]:
    """Take all inner steps on one rollout.

    Args:
        policy: for its reference.
        model: the same model as ``accelerator`` prepared it; every pass goes through it.
        encoder: of the same policy.
        rollout: from the current weights.
        optimizer: prepared.
        accelerator: sums gradients over processes.
        knobs: the section ``rft``.

    Returns:
        the loss of each inner step, and the statistics of the last in the order of the rollout's rows.

    Raises:
        TrainingError: a loss is not finite.
    """
    prompts = [encoder(g.study) for g in rollout.groups for _ in g.completions]
    completions = [c.token_ids for g in rollout.groups for c in g.completions]
    passes = length_passes(
        [len(p.input_ids) + len(c) for p, c in zip(prompts, completions, strict=True)], knobs.rows_per_pass
    )

    def logprobs(rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        return completion_logprobs(
            model,
            [prompts[i] for i in rows],
            [completions[i] for i in rows],
            pad_id=policy.pad_id,
            temperature=knobs.temperature,
        )

    model.eval()  # no dropout: the ratio compares the same function before and after the update
    with torch.no_grad(), policy.as_reference():
        reference = [logprobs(rows)[0] for rows in passes]
    old: list[Tensor] = []
    losses: list[float] = []
    stats: list[CapoStats] = []
    for inner in range(knobs.inner_steps):
        total, stats = 0.0, []
        for k, rows in enumerate(passes):
            with nullcontext() if k == len(passes) - 1 else accelerator.no_sync(model):
                current, mask = logprobs(rows)
                if inner == 0:
                    old.append(current.detach())
                loss, part = capo_loss(
                    current,
                    old[k],
                    reference[k],
                    mask,
                    rollout.advantage[rows],
                    rollout.clip[rows],
                    beta=knobs.beta,
                    kl=knobs.kl,
                )
                share = len(rows) / len(completions)
                accelerator.backward(loss * share)
                total += loss.item() * share
                stats.append(part)
        if not np.isfinite(total):
            raise TrainingError(f"rft: the loss is {total}; lower rft.learning_rate")
        accelerator.clip_grad_norm_(model.parameters(), knobs.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return losses, _in_order(stats, passes)


def _in_order(parts: Sequence[CapoStats], passes: Sequence[Sequence[int]]) -> CapoStats:
    """Join the statistics of the passes, in the order of the rollout's rows."""
    back = torch.tensor([i for rows in passes for i in rows]).argsort()
    joined = {f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(CapoStats)}
    return CapoStats(**{name: column[back.to(column.device)] for name, column in joined.items()})
