"""What one evaluation of the objective did, measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from radflow.capo.ratio import importance_ratio, k3_divergence
from radflow.capo.shift import visited_shift


@dataclass(frozen=True, kw_only=True)
class CapoStats:
    """What one evaluation of the objective did, a row per completion, detached.

    Rows that the shift guard has stopped are measured like the others, except that no clip acts on them.

    Attributes:
        clip_fraction: share of the completion's tokens whose policy gradient the clip removed; with the
            sequence ratio, 1 where it removed the completion's.
        clip_fraction_low: the part of it below ``1 - clip``.
        clip_fraction_high: the part of it above ``1 + clip_high``.
        ratio_min: smallest ratio over the completion's tokens, whatever the level of the objective's ratio.
        ratio_max: largest.
        kl: mean k3 estimate of KL(policy || reference) per token, in nats.
        shift: mean ``|ratio - 1|`` per token; its expectation is the L1 distance of the policies.
        tokens: how many tokens the completion has; `shift_guard` weighs by it.
    """

    clip_fraction: Float[Tensor, "N"]
    clip_fraction_low: Float[Tensor, "N"]
    clip_fraction_high: Float[Tensor, "N"]
    ratio_min: Float[Tensor, "N"]
    ratio_max: Float[Tensor, "N"]
    kl: Float[Tensor, "N"]
    shift: Float[Tensor, "N"]
    tokens: Int[Tensor, "N"]


@torch.no_grad()
def capo_stats(
    logprobs: Float[Tensor, "N T"],
    old_logprobs: Float[Tensor, "N T"],
    ref_logprobs: Float[Tensor, "N T"],
    mask: Bool[Tensor, "N T"],
    clipped_low: Bool[Tensor, "N #T"],
    clipped_high: Bool[Tensor, "N #T"],
) -> CapoStats:
    """Measure; the arguments are those of `capo_loss`, and where its clip removed the gradient."""
    tokens = mask.sum(-1)

    def token_mean(x: Tensor) -> Float[Tensor, "N"]:
        return (x * mask).sum(-1).to(logprobs.dtype) / tokens.clamp(min=1)

    ratio = importance_ratio(logprobs, old_logprobs, mask)
    return CapoStats(
        clip_fraction=token_mean(clipped_low | clipped_high),
        clip_fraction_low=token_mean(clipped_low),
        clip_fraction_high=token_mean(clipped_high),
        ratio_min=ratio.masked_fill(~mask, torch.inf).amin(-1),
        ratio_max=ratio.masked_fill(~mask, -torch.inf).amax(-1),
        kl=token_mean(k3_divergence(logprobs, ref_logprobs, mask)),
        shift=visited_shift(logprobs, old_logprobs, mask),
        tokens=tokens,
    )
