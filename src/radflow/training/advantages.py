"""From the rewards of a rollout to its advantages, as the section ``rft`` of the recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from radflow import config
from radflow.capo import class_weights, conditioned, decoupled_advantage, group_advantage
from radflow.capo.advantage import STABILISER

LABELS = "impression"
"""The term that others are conditioned on: whether the diagnosis is right."""


@dataclass(frozen=True, kw_only=True)
class Advantages:
    """Advantages of P studies with G completions each, and what they are made of.

    Attributes:
        values: of each completion.
        shares: what each term of the reward contributes to them; over the terms they add up.
    """

    values: Float[Tensor, "P G"]
    shares: Mapping[str, Float[Tensor, "P G"]]


def rollout_advantages(
    rewards: Float[np.ndarray, "P G"],
    parts: Mapping[str, Float[np.ndarray, "P G"]],
    weights: Mapping[str, float],
    knobs: config.Rft,
    abnormal: Bool[np.ndarray, "P"] | None = None,
) -> Advantages:
    """The advantages that ``rft.advantage`` names, with the options beside it.

    ``sum`` normalises the total reward. A skipped term is missing in it, which counts like 0 beside
    completions that have the term. ``decoupled`` normalises each term among the completions that have it, and
    a completion that skipped it is neither praised nor blamed for it.

    Args:
        rewards: the total of each completion.
        parts: each term of it; NaN where it was skipped.
        weights: of each term in the total.
        knobs: the section ``rft``.
        abnormal: whether each study's reference asserts something, where the classes are balanced.
    """
    terms = torch.tensor(np.stack(list(parts.values())))
    worth = torch.tensor([weights[term] for term in parts], dtype=terms.dtype)
    totals = torch.tensor(rewards)
    if knobs.conditioned:
        easy = torch.tensor([term in knobs.conditioned for term in parts])
        kept = conditioned(terms, terms[list(parts).index(LABELS)], easy)
        totals = totals + ((kept - terms).nan_to_num() * worth[:, None, None]).sum(0)
        terms = kept
    classes = None if abnormal is None else torch.tensor(abnormal)
    if knobs.advantage == "decoupled":
        shares = decoupled_advantage(
            terms, worth, floor=knobs.deviation_floor, across=knobs.deviation, classes=classes
        )
        values = shares.sum(0)
    else:
        values = group_advantage(totals.float(), scale=knobs.scale_rewards)
        shares = terms.nan_to_num() * worth[:, None, None]
        shares = shares - shares.mean(-1, keepdim=True)
        if knobs.scale_rewards:
            shares = shares / (totals.std(-1, keepdim=True) + STABILISER)
    if classes is not None:
        values, shares = (x * class_weights(classes).to(x.dtype)[:, None] for x in (values, shares))
    return Advantages(values=values.float(), shares=dict(zip(parts, shares, strict=True)))
