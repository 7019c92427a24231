"""Shrink an update until no group has moved further than its clipping range.

The shift guard ends a group's own steps once it is past its range; the step that went past it stays, and
other groups go on moving the weights that all share. What the paper's lemma promises, a policy within the
range of each case, needs more: the way from the old weights to the new is halved until every group's measured
shift is within its epsilon, as TRPO's line search (Schulman et al. 2015, appendix C) does for the divergence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

HALVINGS = 10
"""After so many the update is undone."""


@torch.no_grad()
def bound_shift(weights: Sequence[Tensor], before: Sequence[Tensor], within: Callable[[], bool]) -> float:
    """Move ``weights`` back towards ``before`` until the policy is within its bounds.

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
