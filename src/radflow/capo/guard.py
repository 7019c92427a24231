"""The shift guard: a group whose policy has moved past its epsilon takes no further steps of its own.

What it promises, and what not, is in docs/theory.md. In short: a stopped group adds no gradient any more, so
alone in its rollout it ends at most one optimiser step past its epsilon. Groups beside it still move the
weights that it shares.
"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor


def group_shift(
    shift: Float[Tensor, "N"], tokens: Int[Tensor, "N"], *, group_size: int
) -> Float[Tensor, "P"]:
    """Mean ``|ratio - 1|`` over all tokens of a group's completions.

    Args:
        shift: the mean of each completion (`CapoStats.shift`).
        tokens: how many tokens each has (`CapoStats.tokens`): a long completion visits more states.
        group_size: G; the rows stand group by group.

    >>> import torch
    >>> group_shift(torch.tensor([0.1, 0.4, 0.0, 0.0]), torch.tensor([2, 1, 5, 5]), group_size=2)
    tensor([0.2000, 0.0000])
    """
    if group_size < 1 or len(shift) % group_size:
        raise ValueError(f"expected a whole number of groups of {group_size}, got {len(shift)} completions")
    sums, counts = (shift * tokens).view(-1, group_size), tokens.view(-1, group_size)
    return sums.sum(-1) / counts.sum(-1).clamp(min=1)


def shift_guard(
    shift: Float[Tensor, "N"], tokens: Int[Tensor, "N"], clip: Float[Tensor, "N"], *, group_size: int
) -> Bool[Tensor, "N"]:
    """Which completions go on: those of groups whose shift is within their epsilon.

    It is the ``keep`` of `capo_loss`. A shift that is not a number stops its group.

    Args:
        shift: mean ``|ratio - 1|`` of each completion at the current weights.
        tokens: how many tokens each has.
        clip: the epsilon of each completion's case.
        group_size: G; the rows stand group by group, and a group goes on or stops as a whole.

    >>> import torch
    >>> shift, tokens = torch.tensor([0.1, 0.1, 0.1, 0.1]), torch.tensor([3, 3, 3, 3])
    >>> shift_guard(shift, tokens, torch.tensor([0.05, 0.05, 0.2, 0.2]), group_size=2)
    tensor([False, False,  True,  True])
    """
    within = group_shift(shift, tokens, group_size=group_size) <= clip.view(-1, group_size)[:, 0]
    return within.repeat_interleave(group_size)
