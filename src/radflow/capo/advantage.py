"""Advantages: from rewards to how much more or less likely each completion shall become.

    group_advantage       (r - mean) / std of the summed reward, per group      Eq. 1 of the paper
    decoupled_advantage   the same for each term by itself, summed, whitened    GDPO (2601.05242)

Eq. 1 lets the term of the largest spread speak alone: where consistency is +1 or -1 and the others differ by
hundredths, the advantage is that of consistency. Three options go with both:

    conditioned           an easy term earns nothing where a hard one failed
    class_weights         both classes of studies weigh the same in a batch

A term that was skipped is NaN. What becomes of it stands at each function.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

STABILISER = 1e-4
"""Added to the standard deviation, as in TRL but not in Eq. 1: equal rewards give zeros, not NaN."""


def group_advantage(rewards: Float[Tensor, "P G"], *, scale: bool = True) -> Float[Tensor, "P G"]:
    """Normalise rewards within each group (Eq. 1): ``(r - mean) / (std + 1e-4)``.

    ``std`` is the sample standard deviation, divided by G - 1; the paper does not say which.

    Args:
        rewards: one row per study.
        scale: divide by the standard deviation, as Eq. 1 does. Without it (Liu et al. 2025, Dr. GRPO) a group
            whose reports differ in a comma no longer weighs as much as one where half contradict themselves.

    Raises:
        ValueError: a reward is not finite, or a group has fewer than two completions. A reward that is
            missing must be dealt with before; it is never 0.

    >>> group_advantage(torch.tensor([[0.0, 2.0], [1.0, 1.0]]))
    tensor([[-0.7071,  0.7071],
            [ 0.0000,  0.0000]])
    """
    if rewards.shape[-1] < 2:
        raise ValueError(f"expected at least 2 completions per group, got {rewards.shape[-1]}")
    if not torch.isfinite(rewards).all():
        raise ValueError("expected finite rewards; a failed reward must be retried or stop the run")
    centred = rewards - rewards.mean(dim=-1, keepdim=True)
    return centred / (rewards.std(dim=-1, keepdim=True) + STABILISER) if scale else centred


def decoupled_advantage(
    terms: Float[Tensor, "K P G"],
    weights: Float[Tensor, "K"],
    *,
    floor: float = 0.0,
    across: Literal["group", "batch"] = "group",
    classes: Bool[Tensor, "P"] | None = None,
) -> Float[Tensor, "K P G"]:
    """What each of K terms contributes to the advantage; the advantage is their sum over the terms.

    In each group ``z_k = (r_k - mean) / (max(std_k, floor) + 1e-4)``. Then ``A = sum_k w_k z_k``, divided by
    its own standard deviation over the batch plus 1e-4. Without a floor this is GDPO (2601.05242) and TRL's
    ``multi_objective_aggregation="normalize_then_sum"``; the mean over the batch, which both subtract, is 0
    but for rounding. The batch is that of this process.

    A term that was skipped (NaN) is left out of its group's mean and deviation, and contributes 0 to that
    completion: what the term's average in the group contributes. So dropping a section is not punished here;
    another term must do it.

    Args:
        terms: rewards, a table per term with a row per study; NaN where a term was skipped.
        weights: of each term, at least 0.
        floor: the least deviation that a term is divided by, in the term's own units: a term whose group
            differs by 0.01 does not speak as loud as one that differs by 0.5.
        across: whose deviation: of the ``group``, or of all values of the term in the ``batch`` (mean of the
            group and deviation of the batch, as Liu et al. 2025, 2508.08221).
        classes: whether each study is abnormal, where normal and abnormal studies are whitened apart.

    Raises:
        ValueError: a group has fewer than two completions, or a reward is infinite.

    >>> label, style = [[0.0, 0.0, 1.0, 1.0]], [[0.51, 0.50, 0.50, 0.49]]
    >>> terms = torch.tensor([label, style])
    >>> decoupled_advantage(terms, torch.ones(2)).std(-1)
    tensor([[1.3141],
            [1.2984]])
    >>> decoupled_advantage(terms, torch.ones(2), floor=0.1).std(-1)
    tensor([[1.0591],
            [0.0864]])
    """
    if terms.shape[-1] < 2:
        raise ValueError(f"expected at least 2 completions per group, got {terms.shape[-1]}")
    if terms.isinf().any():
        raise ValueError("expected finite rewards, or NaN where a term was skipped; got an infinite one")
    known = ~terms.isnan()
    centred, spread = _centred(terms, known, dim=(2,))
    if across == "batch":
        _, spread = _centred(terms, known, dim=(1, 2))
    scores = centred / (spread.clamp(min=floor) + STABILISER) * weights[:, None, None]
    divisor = torch.ones_like(scores[0])
    everyone = torch.ones(terms.shape[1], dtype=torch.bool, device=terms.device)
    for some in (everyone,) if classes is None else (classes, ~classes):
        _, spread = _centred(scores.sum(0)[some], known.any(0)[some], dim=(0, 1))
        divisor[some] = spread + STABILISER
    return scores / divisor


def conditioned(
    terms: Float[Tensor, "K P G"], on: Float[Tensor, "P G"], easy: Bool[Tensor, "K"]
) -> Float[Tensor, "K P G"]:
    """Terms that count only where a harder one is at or above its group's mean.

    A completion below it earns on each easy term the least that any of its group earns there. GDPO
    (2601.05242), which conditions easy rewards on hard ones, gives 0; but consistency is -1 or +1, and its 0
    is no failure.

    Args:
        terms: rewards, a table per term with a row per study. NaN, a term that was skipped, stays NaN.
        on: the harder term. A completion that skipped it counts as below the mean of those that have it; a
            group without it keeps its easy terms as they are.
        easy: which terms are easy.

    >>> label, style = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, -1.0]])
    >>> conditioned(torch.stack([label, style]), label, torch.tensor([False, True]))[1]
    tensor([[-1., -1.]])
    """
    failed = ~(on >= on.nanmean(dim=-1, keepdim=True)) & (~on.isnan()).any(-1, keepdim=True)
    least = terms.nan_to_num(nan=torch.inf).amin(-1, keepdim=True)
    return torch.where(failed & easy[:, None, None] & ~terms.isnan(), least, terms)


def class_weights(abnormal: Bool[Tensor, "P"]) -> Float[Tensor, "P"]:
    """Weights of studies that let both classes weigh the same in a mean, however many each has; mean 1.

    ``P / (C n_c)`` with ``n_c`` studies of the class among P, and C classes that occur (scikit-learn's
    ``class_weight="balanced"``). Where one class alone occurs nothing changes.

    >>> class_weights(torch.tensor([True, False, False, False])).round(decimals=2)
    tensor([2.0000, 0.6700, 0.6700, 0.6700])
    """
    counts = torch.stack([(~abnormal).sum(), abnormal.sum()])
    return len(abnormal) / (counts.count_nonzero() * counts[abnormal.long()])


def _centred(values: Tensor, known: Bool[Tensor, "..."], dim: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Differences from the mean of what is known, 0 elsewhere; and the sample standard deviation."""
    count = known.sum(dim, keepdim=True)
    values = values.masked_fill(~known, 0.0)
    centred = (values - values.sum(dim, keepdim=True) / count.clamp(min=1)).masked_fill(~known, 0.0)
    return centred, (centred.square().sum(dim, keepdim=True) / (count - 1).clamp(min=1)).sqrt()


def dead_groups(rewards: Float[Tensor, "P G"]) -> Bool[Tensor, "P"]:
    """Which groups have equal rewards, and so teach nothing.

    >>> dead_groups(torch.tensor([[0.0, 2.0], [1.0, 1.0]]))
    tensor([False,  True])
    """
    return (rewards.amax(-1) - rewards.amin(-1)) <= 1e-8
