"""BERTScore: greedy matching of contextual token embeddings (Zhang et al. 2020), F1, without IDF.

The number is the one bert-score 0.3.13 gives with ``idf=False``: every token is matched with its most similar
token of the other text, [CLS] and [SEP] among them, and the similarities of the words are averaged, those of
[CLS] and [SEP] left out. (bert-score lets a word match the zeros that pad a batch, too, so that a word whose
cosines are all negative may count 0 there, depending on its batch. BERT-type encoders hardly give such words;
ours are never padded.)

Two configurations, told apart in every table by :func:`radflow.metrics.metric_label`:

- ``BERTScore (minilm)``, the offline default: all-MiniLM-L6-v2, not rescaled. It is nearly blind to negation;
  it is here so that something runs without a download.
- ``BERTScore (distilroberta-base, layer 5, rescaled)``, ReXrank's, behind RadCliQ: pass
  ``Rescaled(embedder=readers.load("embeddings:distilroberta-base@5"), baseline=OFFICIAL_BASELINE)``.

IDF is left out on purpose: weights taken from the references at hand make one pair's score depend on which
other pairs are scored with it, which a reward must never do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from radflow import readers
from radflow.metrics.pairs import check_pairs, reader_name

DEFAULT_READER = "minilm"
OFFICIAL_MODEL = "distilroberta-base"
OFFICIAL_LAYER = 5
OFFICIAL_BASELINE = 0.8473319
"""F1 between random sentences under distilroberta-base layer 5, as published with bert-score."""

# Pairs embedded at a time: bounds the memory that token embeddings take, not the result.
_BATCH = 256
_SPACES = re.compile(r" +")


TokenVectors = tuple[Float[np.ndarray, "_ dim"], Bool[np.ndarray, " _"]]
"""Unit rows, and which of them are words and not special tokens."""


@runtime_checkable
class TokenEmbedder(Protocol):
    """Texts to contextual token embeddings."""

    def embed(self, texts: Sequence[str]) -> Sequence[TokenVectors]:
        """Return ``(vectors, is_word)`` per text: float32 (tokens, dim), unit rows, and bool (tokens,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Rescaled:
    """A token embedder together with the baseline that its BERTScore is rescaled by.

    Attributes:
        embedder: what embeds.
        baseline: BERTScore F1 between random sentences under it.
    """

    embedder: TokenEmbedder
    baseline: float

    @property
    def name(self) -> str:
        """For tables."""
        return f"{reader_name(self.embedder)}, rescaled"

    def embed(self, texts: Sequence[str]) -> Sequence[TokenVectors]:
        """As the embedder does."""
        return self.embedder.embed(texts)


def bertscore(
    generated: Sequence[str],
    reference: Sequence[str],
    reader: TokenEmbedder | None = None,
    baseline: float | None = None,
) -> Float[np.ndarray, " N"]:
    """BERTScore F1, one number per pair; higher is better.

    Args:
        generated: generated reports.
        reference: their references.
        reader: the token embedder; the default is the offline MiniLM.
        baseline: rescales to ``(F1 - baseline) / (1 - baseline)``. ``None`` takes the embedder's own
            ``baseline`` where it has one (:class:`Rescaled`), and no rescaling otherwise.

    Returns:
        F1 in [-1, 1] (in practice [0, 1]) before rescaling, at most 1 after it. Where one text has no
        words the F1 before rescaling is 0, as in bert-score.

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


def greedy_f1(generated: TokenVectors, reference: TokenVectors) -> float:
    """Harmonic mean of the best cosine of each generated word and of each reference word.

    A word is matched against all tokens of the other text, special ones too; only words are averaged.

    >>> x, word = np.eye(3, dtype=np.float32), np.array([True])
    >>> greedy_f1((x[:2], word.repeat(2)), (x[:1], word)).__round__(6)  # precision 1/2, recall 1
    0.666667
    >>> greedy_f1((x[:1], ~word), (x[:1], word))  # no words
    0.0
    """
    (ours, our_words), (theirs, their_words) = generated, reference
    if not our_words.any() or not their_words.any():
        return 0.0
    similarity = ours.astype(np.float64) @ theirs.astype(np.float64).T
    precision = similarity[our_words].max(axis=1).mean()
    recall = similarity[:, their_words].max(axis=0).mean()
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
