"""Learning rates and the order of data, as functions of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

BUCKET = 50
"""Batches that are sorted by length together: padding stays small, and the order stays random."""


def warmup_cosine(step: int, *, steps: int, warmup: int, floor: float = 0.1) -> float:
    """The factor on the peak learning rate: linear warm-up, then a cosine down to ``floor``.

    >>> [round(warmup_cosine(s, steps=10, warmup=2), 2) for s in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.55, 0.1]
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def warmup_stable_decay(step: int, *, warmup: int, decay_from: int, steps: int) -> float:
    """The factor on the peak learning rate: linear warm-up, constant, then linear towards 0.

    When to decay need not be known at the start (Hu et al., arXiv:2404.06395; Haegele et al.,
    arXiv:2405.18392).

    >>> [round(warmup_stable_decay(s, warmup=2, decay_from=6, steps=10), 2) for s in (0, 1, 5, 6, 9)]
    [0.5, 1.0, 1.0, 0.8, 0.2]
    """
    if step < decay_from:
        return min(1.0, (step + 1) / max(1, warmup))
    return (steps - step) / (steps - decay_from + 1)


def epoch_batches(lengths: Sequence[int], batch_size: int, *, seed: int) -> list[list[int]]:
    """Split indices into batches of similar length, in random order; the last may be smaller.

    >>> sorted(i for batch in epoch_batches([3, 1, 2, 9, 8], 2, seed=0) for i in batch)
    [0, 1, 2, 3, 4]
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(lengths)).tolist()
    batches = []
    for start in range(0, len(order), BUCKET * batch_size):
        pool = sorted(order[start : start + BUCKET * batch_size], key=lambda i: lengths[i])
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def rollout_order(count: int, steps: int, batch_size: int, *, seed: int) -> list[list[int]]:
    """Which of ``count`` studies each rollout samples: pass after pass, each in its own random order.

    >>> [len(batch) for batch in rollout_order(5, 3, 4, seed=0)]
    [4, 4, 4]
    """
    generator = np.random.default_rng(seed)
    stream: list[int] = []
    while len(stream) < steps * batch_size:
        stream += generator.permutation(count).tolist()
    return [stream[i * batch_size : (i + 1) * batch_size] for i in range(steps)]
