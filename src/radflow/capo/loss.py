"""The CAPO objective (Eq. 8), to be read beside the paper.

    J = E [ 1/G sum_i 1/|o_i| sum_t  min( r_it A_i , clip(r_it, 1 - eps_i, 1 + eps_i) A_i ) - beta KL_it ]

    r_it     logprobs - old_logprobs, exponentiated (Eq. 2)
    A_i      the group-relative advantage of completion i (Eq. 1)
    eps_i    the clipping range of its case (Eq. 9)
    KL_it    Schulman's k3 estimator, exp(ref - logp) - (ref - logp) - 1

As printed, Eq. 8 has the KL term inside the minimum, next to the clipped branch: ``kl="literal"``. Off-policy
that drops the KL wherever the unclipped branch is the smaller, so the default puts it outside. Both are the
same at ratio 1. With one epsilon for all cases this is GRPO, Eq. 3.

What later work changed is an option, each with the epsilon of the case:

    clip_high               1 + eps_high above, 1 - eps below          DAPO (Yu et al. 2025), Clip-Higher
    ratio="sequence"        one per completion: its tokens' mean       GSPO (Zheng et al. 2025), Eq. 5 and 7
    normaliser="constant"   1/L for every completion, not 1/|o_i|      Dr. GRPO (Liu et al. 2025), section 3.2

    weights                 A_it = w_it A_i for A_i, with w of mean 1   ours, `token_weights`

Weights share a completion's advantage out among its tokens. The KL term has none, so that no token is free to
leave the reference. With the sequence ratio the clip acts on the completion as before, and the gradient is
shared out as by GSPO-token (Zheng et al. 2025, section 4.3): a token's ratio has the value of the sequence's
and its own gradient.

Dr. GRPO also leaves the standard deviation out of the advantage: ``group_advantage(..., scale=False)``. DAPO
also drops groups whose rewards are equal: `dead_groups` names them.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from radflow.capo.ratio import Level, importance_ratio, k3_divergence
from radflow.capo.stats import CapoStats, capo_stats


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
    clip_high: Float[Tensor, "N"] | None = None,
    ratio: Level = "token",
    normaliser: Literal["completion", "constant"] = "completion",
    max_tokens: int | None = None,
    keep: Bool[Tensor, "N"] | None = None,
    weights: Float[Tensor, "N T"] | None = None,
) -> tuple[Float[Tensor, ""], CapoStats]:
    """The loss (minus Eq. 8) and what happened in it.

    It is a mean over rows, so it may be evaluated on some rows at a time: weighed by their share of all rows,
    the parts add up to the whole, with every option.

    Args:
        logprobs: log-probabilities of the sampled tokens under the policy; the gradient flows here.
        old_logprobs: under the policy that sampled them.
        ref_logprobs: under the reference policy.
        mask: true on the tokens of each completion, its end token included; padding is false.
        advantage: one number per completion.
        clip: one clipping range per completion, the same for all completions of a case.
        beta: weight of the KL term.
        kl: ``outside`` the minimum, or ``literal`` as printed.
        clip_high: the range above 1, one per completion, where it differs from ``clip``.
        ratio: what is clipped: the ratio of each ``token``, or of the whole completion, length-normalised
            (``sequence``).
        normaliser: what a completion's sum over tokens is divided by: its own length (``completion``, TRL's
            ``loss_type="grpo"``), or ``max_tokens`` for all (``constant``, TRL's ``"dr_grpo"``).
        max_tokens: the most tokens a completion can have; for ``constant`` only.
        keep: false for completions whose group `shift_guard` has stopped. They add nothing to the loss or its
            gradient, the KL term included; they still count in the mean over rows.
        weights: of each token's advantage, at least 0 and with mean 1 over each completion (`token_weights`);
            padding may hold anything finite. All 1 when not given.

    Returns:
        The loss and the statistics.

    Raises:
        ValueError: an option has a value that is not listed, or ``constant`` lacks ``max_tokens``.

    >>> one = torch.zeros(2, 3)
    >>> loss, stats = capo_loss(one, one, one, one == 0, torch.tensor([1.0, -1.0]), torch.tensor([0.2, 0.2]))
    >>> float(loss), stats.clip_fraction
    (-0.0, tensor([0., 0.]))
    """
    _check(kl, ratio, normaliser)
    live = mask if keep is None else mask & keep[:, None]
    r = importance_ratio(logprobs, old_logprobs, live, ratio)
    if weights is not None and ratio == "sequence":
        r = r.detach() * importance_ratio(logprobs, logprobs.detach(), live)  # GSPO-token
    divergence = k3_divergence(logprobs, ref_logprobs, live)

    a, low = advantage[:, None] if weights is None else advantage[:, None] * weights, 1 - clip[:, None]
    high = 1 + (clip if clip_high is None else clip_high)[:, None]
    free, clipped = r * a, torch.clamp(r, low, high) * a
    if kl == "outside":
        objective = torch.minimum(free, clipped) - beta * divergence
    else:
        clipped = clipped - beta * divergence
        objective = torch.minimum(free, clipped)

    length = mask.sum(-1).clamp(min=1) if normaliser == "completion" else _constant(mask, max_tokens)
    loss = -((objective * live).sum(-1) / length).mean()

    removed = (clipped < free) & (a != 0)
    stats = capo_stats(
        logprobs,
        old_logprobs,
        ref_logprobs,
        mask,
        clipped_low=removed & (r < low),
        clipped_high=removed & (r > high),
    )
    return loss, stats


def _constant(mask: Bool[Tensor, "N T"], max_tokens: int | None) -> Int[Tensor, "N"]:
    if max_tokens is None or max_tokens < mask.shape[1]:
        raise ValueError(
            f"expected max_tokens to be the most tokens a completion can have, got {max_tokens} for rows of "
            f"{mask.shape[1]}; normaliser='constant' divides by it"
        )
    return mask.new_full((len(mask),), max_tokens, dtype=torch.long)


def _check(kl: str, ratio: str, normaliser: str) -> None:
    if kl not in ("outside", "literal"):
        raise ValueError(f"expected kl to be 'outside' or 'literal', got {kl!r}")
    if ratio not in ("token", "sequence"):
        raise ValueError(f"expected ratio to be 'token' or 'sequence', got {ratio!r}")
    if normaliser not in ("completion", "constant"):
        raise ValueError(f"expected normaliser to be 'completion' or 'constant', got {normaliser!r}")
