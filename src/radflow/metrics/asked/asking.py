"""Metrics that a language model is asked for: what GREEN and CRIMSON share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from radflow.errors import MissingFileError
from radflow.metrics.pairs import check_pairs


@runtime_checkable
class PairReader(Protocol):
    """Asks about pairs (reference, generated) and gives one score for each; it raises rather than guess."""

    name: str

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return one score per pair, in order."""
        ...


def ask_pairs(
    metric: str, named: str, generated: Sequence[str], reference: Sequence[str], reader: PairReader | None
) -> Float[np.ndarray, " N"]:
    """One score per pair.

    Raises:
        DataError: the lists differ in length.
        MissingFileError: no reader was given; ``named`` says how the command names one.
    """
    check_pairs(generated, reference)
    if reader is None:
        raise MissingFileError(
            f"{metric} is what a language model answers, and none ships with radflow; got none. Name one: "
            f"--metrics {named}"
        )
    return np.asarray(reader(list(zip(reference, generated, strict=True))), dtype=np.float64)
