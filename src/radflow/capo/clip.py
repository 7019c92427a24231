"""The clipping range of each case (Eq. 9)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def clip_range(critical: Bool[Tensor, "P"], epsilon: float = 0.2, divisor: float = 4.0) -> Float[Tensor, "P"]:
    """``epsilon / divisor`` for critical cases, ``epsilon`` for the others.

    Args:
        critical: whether the reference report is critical, annotated before training.
        epsilon: the range of normal cases, in (0, 1). The paper does not give it; 0.2 is the field's.
        divisor: the paper's 4. With 1 every case has the same range: GRPO.

    >>> clip_range(torch.tensor([True, False]))
    tensor([0.0500, 0.2000])
    """
    if not 0 < epsilon < 1:
        raise ValueError(f"expected epsilon between 0 and 1, got {epsilon}")
    if divisor < 1:
        raise ValueError(f"expected a divisor of at least 1, got {divisor}")
    return torch.where(critical, epsilon / divisor, epsilon).to(torch.float32)
