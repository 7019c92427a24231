"""The group-relative advantage (Eq. 1)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

STABILISER = 1e-4
"""Added to the standard deviation, as in TRL but not in Eq. 1: equal rewards give zeros, not NaN."""


def group_advantage(rewards: Float[Tensor, "P G"], *, scale: bool = True) -> Float[Tensor, "P G"]:
    """Normalise rewards within each group (Eq. 1): ``(r - mean) / (std + 1e-4)``.

    ``std`` is the sample standard deviation, divided by G - 1; the paper does not say which.

    Args:
        rewards: one row per study.
        scale: divide by the standard deviation, as Eq. 1 does. Without it (Liu et al. 2025, Dr. GRPO) a group
            whose reports differ in a comma no longer weighs as much as one where half contradict themselves.

    Raises:
        ValueError: a reward is not finite, or a group has fewer than two completions. A reward that is
            missing must be dealt with before; it is never 0.

    >>> group_advantage(torch.tensor([[0.0, 2.0], [1.0, 1.0]]))
    tensor([[-0.7071,  0.7071],
            [ 0.0000,  0.0000]])
    """
    if rewards.shape[-1] < 2:
        raise ValueError(f"expected at least 2 completions per group, got {rewards.shape[-1]}")
    if not torch.isfinite(rewards).all():
        raise ValueError("expected finite rewards; a failed reward must be retried or stop the run")
    centred = rewards - rewards.mean(dim=-1, keepdim=True)
    return centred / (rewards.std(dim=-1, keepdim=True) + STABILISER) if scale else centred


def dead_groups(rewards: Float[Tensor, "P G"]) -> Bool[Tensor, "P"]:
    """Which groups have equal rewards, and so teach nothing.

    >>> dead_groups(torch.tensor([[0.0, 2.0], [1.0, 1.0]]))
    tensor([False,  True])
    """
    return (rewards.amax(-1) - rewards.amin(-1)) <= 1e-8
