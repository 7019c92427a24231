"""Scores to picks: pure functions of numbers, flags and knobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from radflow import config


def normalise(values: Float[np.ndarray, "P"], how: str) -> Float[np.ndarray, "P"]:
    """Put a metric on [0, 1] over the split, by its range or by rank (ties share their mean rank).

    >>> normalise(np.array([2.0, 4.0, 3.0]), "minmax")
    array([0. , 1. , 0.5])
    >>> normalise(np.array([2.0, 9.0, 2.0]), "rank")
    array([0.25, 1.  , 0.25])
    """
    if how == "minmax":
        spread = values.max() - values.min()
        return (values - values.min()) / spread if spread > 0 else np.zeros_like(values)
    if how != "rank":
        raise ValueError(f"expected 'minmax' or 'rank', got {how!r}")
    if len(values) == 1:
        return np.zeros(1)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    first = np.cumsum(counts) - counts
    return (first + (counts - 1) / 2)[inverse] / (len(values) - 1)


def composite_score(
    metrics: Mapping[str, Float[np.ndarray, "P"]], weights: Mapping[str, float], how: str
) -> Float[np.ndarray, "P"]:
    """The score s_i of section 4.1: the weighted mean of the normalised metrics, in [0, 1]."""
    total = sum(weights[name] for name in metrics)
    if total <= 0:
        raise ValueError("expected a positive weight for at least one metric")
    parts = [weights[name] / total * normalise(values, how) for name, values in metrics.items()]
    return np.sum(parts, axis=0)


def spread(values: Float[np.ndarray, "P G"]) -> Float[np.ndarray, "P"]:
    """How far the samples of each study differ in the label metric: their standard deviation, in [0, 0.5].

    It is 0 where all are right and where all are wrong: there the group's advantages (Eq. 1) carry nothing of
    the label term. Rounded, so that the order of the samples makes no difference.

    >>> spread(np.array([[0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]])).tolist()
    [0.5, 0.0]
    """
    return values.std(axis=1).round(6)


def pick(
    scores: Float[np.ndarray, "P"],
    critical: Sequence[bool],
    knobs: config.Exploration,
    *,
    seed: int,
) -> list[int]:
    """Indices of the studies to keep, those that decide first.

    Args:
        scores: of the greedy report (low: hard); for ``learnable`` the spread of the label metric. Studies
            without any spread are not kept, even if fewer are left than were asked for.
        critical: whether each study is.
        knobs: strategy, how many, and in which proportion.
        seed: of the strategy ``random``, and of the order among equal spreads.

    >>> knobs = config.Exploration(strategy="learnable", keep_percent=50)
    >>> pick(np.array([0.0, 0.4, 0.1, 0.5]), [False, False, True, True], knobs, seed=0)
    [3, 1]
    """
    order = np.argsort(scores, kind="stable")
    if knobs.threshold is not None:
        return [int(i) for i in order if scores[i] < knobs.threshold]
    count = len(scores) if knobs.strategy == "all" else max(1, round(len(scores) * knobs.keep_percent / 100))
    drawn = np.random.default_rng(seed).permutation(len(scores))
    if knobs.strategy == "random":
        return drawn[:count].tolist()
    if knobs.strategy == "learnable":
        order = drawn[np.argsort(-scores[drawn], kind="stable")]
        return _mixed(order[scores[order] > 0], np.asarray(critical, dtype=bool), count, knobs.critical_share)
    if knobs.strategy == "balanced":
        return _mixed(order, np.asarray(critical, dtype=bool), count, knobs.critical_share)
    return order[:count].tolist()


def _mixed(
    order: Int[np.ndarray, "K"], critical: Bool[np.ndarray, "P"], count: int, share: float | None
) -> list[int]:
    """The first critical and the first normal ones of an order, ``count`` in all, or what there is."""
    wanted = round(count * (critical.mean() if share is None else share))
    flags = critical[order]
    kept = {*order[flags][:wanted].tolist(), *order[~flags][: count - wanted].tolist()}
    return [int(i) for i in order if int(i) in kept]
