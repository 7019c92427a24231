"""How much each token of a completion weighs in the policy gradient."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def token_weights(deciding: Bool[Tensor, "T"], extra: float) -> Float[Tensor, "T"]:
    """Weights of one completion's tokens, with mean 1: those that decide a label weigh ``1 + extra`` others.

        w_t = (1 + extra * d_t) / (1/|o| * sum_s (1 + extra * d_s)),   d_t = 1 where token t decides, else 0

    They are ours. Eq. 1 gives every token of a completion the same advantage, though most words of a report
    are the same in every report, and a few decide its labels. As the mean is 1, a completion has the
    advantage that it had, whatever its length and however many of its tokens decide; only its tokens share it
    otherwise. DiTPO (Lu et al. 2026, arXiv:2603.04022) also weighs the advantage by token, by rules or
    gradients of its own.

    Args:
        deciding: true on the tokens that decide a label.
        extra: at least 0; with 0 all weigh 1.

    Raises:
        ValueError: ``extra`` is negative.

    >>> import torch
    >>> token_weights(torch.tensor([True, False, False, False]), 1.0)
    tensor([1.6000, 0.8000, 0.8000, 0.8000])
    """
    if extra < 0:
        raise ValueError(f"expected extra to be at least 0, got {extra}")
    weights = 1 + extra * deciding.float()
    return weights / weights.mean()
