"""The CAPO objective (Eq. 8), to be read beside the paper.

    J = E [ 1/G sum_i 1/|o_i| sum_t  min( r_it A_i , clip(r_it, 1 - eps_i, 1 + eps_i) A_i ) - beta KL_it ]

    r_it     logprobs - old_logprobs, exponentiated (Eq. 2)
    A_i      the group-relative advantage of completion i (Eq. 1)
    eps_i    the clipping range of its case (Eq. 9)
    KL_it    Schulman's k3 estimator, exp(ref - logp) - (ref - logp) - 1

As printed, Eq. 8 has the KL term inside the minimum, next to the clipped branch: ``kl="literal"``. Off-policy
that drops the KL wherever the unclipped branch is the smaller, so the default puts it outside. Both are the
same at ratio 1. With one epsilon for all cases this is GRPO, Eq. 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from radflow.capo.shift import visited_shift


@dataclass(frozen=True, kw_only=True)
class CapoStats:
    """What one evaluation of the objective did, a row a completion, detached.

    Attributes:
        clip_fraction: share of the completion's tokens whose gradient the clip removed.
        ratio_min: smallest ratio over the completion's tokens.
        ratio_max: largest.
        kl: mean k3 estimate of KL(policy || reference) a token, in nats.
        shift: mean ``|ratio - 1|`` a token; its expectation is the L1 distance of the policies.
    """

    clip_fraction: Float[Tensor, "N"]
    ratio_min: Float[Tensor, "N"]
    ratio_max: Float[Tensor, "N"]
    kl: Float[Tensor, "N"]
    shift: Float[Tensor, "N"]


def capo_loss(
    logprobs: Float[Tensor, "N T"],
    old_logprobs: Float[Tensor, "N T"],
    ref_logprobs: Float[Tensor, "N T"],
    mask: Bool[Tensor, "N T"],
    advantage: Float[Tensor, "N"],
    clip: Float[Tensor, "N"],
    *,
    beta: float = 0.04,
    kl: Literal["outside", "literal"] = "outside",
) -> tuple[Float[Tensor, ""], CapoStats]:
    """The loss (minus Eq. 8) and what happened in it.

    Args:
        logprobs: log-probabilities of the sampled tokens under the policy; the gradient flows here.
        old_logprobs: under the policy that sampled them.
        ref_logprobs: under the reference policy.
        mask: true on the tokens of each completion, its end token included; padding is false.
        advantage: one number a completion.
        clip: one clipping range a completion, the same for all completions of a case.
        beta: weight of the KL term.
        kl: ``outside`` the minimum, or ``literal`` as printed.

    Returns:
        The loss, a mean over tokens within each completion and then over completions (TRL's
        ``loss_type="grpo"``), and the statistics.

    >>> one = torch.zeros(2, 3)
    >>> loss, stats = capo_loss(one, one, one, one == 0, torch.tensor([1.0, -1.0]), torch.tensor([0.2, 0.2]))
    >>> float(loss), stats.clip_fraction
    (-0.0, tensor([0., 0.]))
    """
    if kl not in ("outside", "literal"):
        raise ValueError(f"expected kl to be 'outside' or 'literal', got {kl!r}")
    keep = mask.to(logprobs.dtype)
    tokens = keep.sum(-1).clamp(min=1)

    def token_mean(x: Float[Tensor, "N T"]) -> Float[Tensor, "N"]:
        return (x * keep).sum(-1) / tokens

    # Padding may hold anything, infinities too, so it is silenced before exp rather than after.
    ratio = torch.exp((logprobs - old_logprobs).masked_fill(~mask, 0.0))
    to_ref = (ref_logprobs - logprobs).masked_fill(~mask, 0.0)
    divergence = torch.exp(to_ref) - to_ref - 1

    a, eps = advantage[:, None], clip[:, None]
    free = ratio * a
    clipped = torch.clamp(ratio, 1 - eps, 1 + eps) * a
    if kl == "outside":
        objective = torch.minimum(free, clipped) - beta * divergence
    else:
        objective = torch.minimum(free, clipped - beta * divergence)
    loss = -token_mean(objective).mean()

    with torch.no_grad():
        bound = ((ratio > 1 + eps) & (a > 0)) | ((ratio < 1 - eps) & (a < 0))
        stats = CapoStats(
            clip_fraction=token_mean(bound.to(keep.dtype)),
            ratio_min=ratio.masked_fill(~mask, 1.0).amin(-1),
            ratio_max=ratio.masked_fill(~mask, 1.0).amax(-1),
            kl=token_mean(divergence.detach()),
            shift=visited_shift(logprobs, old_logprobs, mask),
        )
    return loss, stats
