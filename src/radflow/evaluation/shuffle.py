"""The shuffled-images control: give every study the pictures of another one.

A model that looks at its pictures scores lower for it; one that ignores them does not notice.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from radflow.errors import DataError


def derangement(n: int, seed: int = 0) -> Int[np.ndarray, " n"]:
    """A permutation of ``range(n)`` that leaves nothing in its place, uniform among all such.

    Drawn by rejection: a random permutation has no fixed point with probability 1/e, so under three tries.

    Args:
        n: at least 2.
        seed: of the draw.

    Raises:
        DataError: ``n`` is below 2, where there is none.

    >>> derangement(2).tolist()
    [1, 0]
    """
    if n < 2:
        raise DataError(f"Expected at least 2 studies to shuffle images among, got {n}.")
    generator = np.random.default_rng(seed)
    while True:
        order = generator.permutation(n)
        if (order != np.arange(n)).all():
            return order
