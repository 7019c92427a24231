"""BERTScore: greedy matching of contextual token embeddings (Zhang et al. 2020), F1, without IDF.

Two configurations, told apart in every table:

- ``bertscore (minilm)``, the offline default: all-MiniLM-L6-v2, not rescaled. It is nearly blind to negation;
  it is here so that something runs without a download.
- the ReXrank one, behind RadCliQ: ``distilroberta-base``, hidden layer 5, F1 rescaled with the published
  baseline ``OFFICIAL_BASELINE``. Pass ``readers.load("embeddings:<folder of distilroberta-base>@5")`` as
  ``reader`` and the baseline with it.

The reference package lets a word match the [CLS] and [SEP] of the other text too, without weighing them;
radflow's embedder leaves them out, so scores can differ slightly from bert-score's.

IDF is left out on purpose: weights taken from the references at hand make one pair's score depend on which
other pairs are scored with it, which a reward must never do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from radflow import readers
from radflow.metrics.pairs import check_pairs

DEFAULT_READER = "minilm"
OFFICIAL_MODEL = "distilroberta-base"
OFFICIAL_LAYER = 5
OFFICIAL_BASELINE = 0.8473319
"""F1 between random sentences under distilroberta-base layer 5, as published with bert-score."""

# Pairs embedded at a time: bounds the memory that token embeddings take, not the result.
_BATCH = 256
_SPACES = re.compile(r" +")


@runtime_checkable
class TokenEmbedder(Protocol):
    """Texts to contextual token embeddings."""

    def embed(self, texts: Sequence[str]) -> Sequence[np.ndarray]:
        """Return one float32 array (tokens, dim) a text, rows of length 1."""
        ...


def bertscore(
    generated: Sequence[str],
    reference: Sequence[str],
    reader: TokenEmbedder | None = None,
    baseline: float | None = None,
) -> Float[np.ndarray, " N"]:
    """BERTScore F1, one number a pair; higher is better.

    Args:
        generated: generated reports.
        reference: their references.
        reader: the token embedder; the default is the offline MiniLM.
        baseline: rescales to ``(F1 - baseline) / (1 - baseline)``. ``None`` takes the embedder's own
            ``baseline`` attribute where it has one, and no rescaling otherwise.

    Returns:
        F1 in [-1, 1] (in practice [0, 1]) before rescaling, at most 1 after it. Where one text has no
        tokens the F1 before rescaling is 0, as in bert-score.

    Raises:
        DataError: the lists differ in length.
        MissingDependencyError: the offline model's package is not installed.
    """
    check_pairs(generated, reference)
    if not generated:
        return np.empty(0, dtype=np.float64)
    embedder: Any = readers.load(DEFAULT_READER) if reader is None else reader
    if baseline is None:
        baseline = getattr(embedder, "baseline", None)
    scores = np.concatenate(
        [
            _score_batch(generated[start : start + _BATCH], reference[start : start + _BATCH], embedder)
            for start in range(0, len(generated), _BATCH)
        ]
    )
    return scores if baseline is None else (scores - baseline) / (1.0 - baseline)


def greedy_f1(
    generated: Float[np.ndarray, "tokens dim"], reference: Float[np.ndarray, "other_tokens dim"]
) -> float:
    """Harmonic mean of the best cosine of each generated token and of each reference token.

    Args:
        generated: unit rows.
        reference: unit rows.

    >>> x = np.eye(3, dtype=np.float32)
    >>> greedy_f1(x[:2], x[:1]).__round__(6)  # precision 1/2, recall 1
    0.666667
    >>> greedy_f1(x[:0], x)
    0.0
    """
    if not len(generated) or not len(reference):
        return 0.0
    similarity = generated.astype(np.float64) @ reference.astype(np.float64).T
    precision, recall = similarity.max(axis=1).mean(), similarity.max(axis=0).mean()
    total = precision + recall
    return float(2 * precision * recall / total) if total > 0 else 0.0


def _score_batch(generated: Sequence[str], reference: Sequence[str], embedder: TokenEmbedder) -> np.ndarray:
    ours = [_collapse(text) for text in generated]
    theirs = [_collapse(text) for text in reference]
    distinct = list(dict.fromkeys([*ours, *theirs]))
    vectors = dict(zip(distinct, embedder.embed(distinct), strict=True))
    return np.asarray([greedy_f1(vectors[a], vectors[b]) for a, b in zip(ours, theirs, strict=True)])


def _collapse(text: str) -> str:
    return _SPACES.sub(" ", text).strip()
