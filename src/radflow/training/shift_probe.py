"""The policy shift of an update, over the whole vocabulary, on a critical and a normal group."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from radflow.capo import exact_shift, visited_shift
from radflow.policy import Group, GroupForward


class ShiftProbe:
    """Remembers what the policy said before an update, and measures how far it moved.

    Args:
        forward: with the weights before the update.
        groups: of the rollout; the first critical one and the first normal one are taken.
    """

    def __init__(self, forward: GroupForward, groups: Sequence[Group]) -> None:
        self._forward = forward
        self._groups = {
            name: next((g for g in groups if bool(g.study.critical) == critical), None)
            for name, critical in (("critical", True), ("normal", False))
        }
        self._before = {name: forward.logits(g) for name, g in self._groups.items() if g is not None}

    def measure(self) -> dict[str, float]:
        """After the update: the L1 shift at the sampled states, exact and as the ratios estimate it."""
        row: dict[str, float] = {}
        for name, group in self._groups.items():
            exact = visited = math.nan
            if group is not None:
                before, after = self._before[name], self._forward.logits(group)
                ids = torch.tensor([i for c in group.completions for i in c.token_ids], device=after.device)
                states = torch.ones(1, len(ids), dtype=torch.bool, device=after.device)
                exact = float(exact_shift(after[None], before[None], states))
                visited = float(visited_shift(_picked(after, ids), _picked(before, ids), states))
            row[f"exact_shift_{name}"] = exact
            row[f"shift_after_{name}"] = visited
        return row


def _picked(logits: Float[Tensor, "K V"], ids: Int[Tensor, "K"]) -> Float[Tensor, "1 K"]:
    return logits.log_softmax(-1).gather(-1, ids[:, None]).T
