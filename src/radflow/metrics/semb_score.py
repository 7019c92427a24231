"""SembScore: cosine similarity of CheXbert report embeddings (Smit et al. 2020; Yu et al. 2023).

It needs the CheXbert weights. There is no offline stand-in: another encoder's cosine is another metric.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from radflow.errors import MissingFileError
from radflow.metrics.pairs import check_pairs

ReportEmbedder = Callable[[Sequence[str]], Float[np.ndarray, "N dim"]]


def semb_score(
    generated: Sequence[str], reference: Sequence[str], reader: ReportEmbedder | None = None
) -> Float[np.ndarray, " N"]:
    """Cosine between the [CLS] embeddings of each pair, in [-1, 1]; higher is better.

    Args:
        generated: generated reports.
        reference: their references.
        reader: texts to an array (N, dim): CheXbert's last-layer [CLS] vectors.

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
            'Pass an embedder made from them: score(..., readers={"semb_score": embed}).'
        )
    if not generated:
        return np.empty(0, dtype=np.float64)
    distinct = list(dict.fromkeys([*generated, *reference]))
    vectors = np.asarray(reader(distinct), dtype=np.float64)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    row = {text: index for index, text in enumerate(distinct)}
    ours, theirs = vectors[[row[t] for t in generated]], vectors[[row[t] for t in reference]]
    return (ours * theirs).sum(axis=1)
