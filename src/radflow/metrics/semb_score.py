"""SembScore: cosine similarity of CheXbert report embeddings (Smit et al. 2020; Yu et al. 2023).

It needs the CheXbert weights: ``readers.load("chexbert:<folder>")``. There is no offline stand-in: another
encoder's cosine is another metric.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from radflow.errors import MissingFileError
from radflow.metrics.pairs import check_pairs


@runtime_checkable
class Embeds(Protocol):
    """A reader that gives report vectors beside labels, as CheXbert does."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 (N, dim)."""
        ...


ReportEmbedder = Embeds | Callable[[Sequence[str]], Float[np.ndarray, "N dim"]]


def semb_score(
    generated: Sequence[str], reference: Sequence[str], reader: ReportEmbedder | None = None
) -> Float[np.ndarray, " N"]:
    """Cosine between the [CLS] embeddings of each pair, in [-1, 1]; higher is better.

    Args:
        generated: generated reports.
        reference: their references.
        reader: CheXbert, or any function from texts to its last-layer [CLS] vectors, an array (N, dim).

    Raises:
        DataError: the lists differ in length.
        MissingFileError: no reader was given.

    >>> embed = lambda texts: np.asarray([[len(text), 1.0] for text in texts])
    >>> semb_score(["edema"], ["edema"], reader=embed).round(6).tolist()
    [1.0]
    """
    check_pairs(generated, reference)
    if reader is None:
        raise MissingFileError(
            "semb_score needs CheXbert's weights (chexbert.pth), which do not ship with radflow; got none. "
            'Pass score(..., readers={"semb_score": radflow.readers.load("chexbert:<folder>")}).'
        )
    if not generated:
        return np.empty(0, dtype=np.float64)
    distinct = list(dict.fromkeys([*generated, *reference]))
    embed = reader.embed if isinstance(reader, Embeds) else reader
    vectors = np.asarray(embed(distinct), dtype=np.float64)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    row = {text: index for index, text in enumerate(distinct)}
    ours, theirs = vectors[[row[t] for t in generated]], vectors[[row[t] for t in reference]]
    return np.clip((ours * theirs).sum(axis=1), -1.0, 1.0)  # rounding must not leave the range
