"""The importance ratio that the objective clips, and the estimate of the KL divergence."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Level = Literal["token", "sequence"]


def importance_ratio(
    logprobs: Float[Tensor, "N T"],
    old_logprobs: Float[Tensor, "N T"],
    mask: Bool[Tensor, "N T"],
    level: Level = "token",
) -> Float[Tensor, "N T"] | Float[Tensor, "N 1"]:
    """How much more likely the policy makes what the old policy wrote.

    Args:
        logprobs: of the written tokens under the policy, in nats.
        old_logprobs: under the policy that wrote them.
        mask: true on the tokens that count. The others have ratio 1 and no gradient, whatever they hold.
        level: ``token``: ``pi(o_t) / pi_old(o_t)``, one per token (Eq. 2). ``sequence``: their geometric mean
            ``(pi(o) / pi_old(o)) ** (1 / |o|)``, one per completion (Zheng et al. 2025, GSPO, Eq. 7).

    >>> logprobs, old, mask = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.2, -2.0]]), torch.ones(1, 2) > 0
    >>> importance_ratio(logprobs, old, mask)
    tensor([[1.2214, 1.0000]])
    >>> importance_ratio(logprobs, old, mask, "sequence")
    tensor([[1.1052]])
    """
    # Silenced before exp rather than after: infinity times zero would spoil the gradient.
    log_ratio = (logprobs - old_logprobs).masked_fill(~mask, 0.0)
    if level == "sequence":
        log_ratio = log_ratio.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)
    return torch.exp(log_ratio)


def k3_divergence(
    logprobs: Float[Tensor, "N T"], ref_logprobs: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"]
) -> Float[Tensor, "N T"]:
    """Schulman's k3 estimate of KL(policy || reference) at each token, in nats, at least 0.

    ``exp(d) - d - 1`` with ``d = ref_logprobs - logprobs``; 0 where the mask is false.

    >>> k3_divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([[True, True]]))
    tensor([[0.0000, 0.7183]])
    """
    to_ref = (ref_logprobs - logprobs).masked_fill(~mask, 0.0)
    return torch.exp(to_ref) - to_ref - 1
