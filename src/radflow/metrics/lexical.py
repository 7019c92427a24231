"""Word overlap: BLEU-2, BLEU-4 and ROUGE-L.

BLEU follows the ReXrank / CXR-Report-Metric protocol: their tokens, one reference, brevity penalty, and the
smoothing that NLTK calls ``method1`` with epsilon 0.1. A corpus figure is the mean over reports, never a
corpus BLEU. ROUGE-L is the F-measure of Google's ``rouge-score`` with its default of no stemming; RadEval
stems (Porter), so its ROUGE-L is a little higher than ours and than most published tables.

Left out: several references per report, and corpus-level BLEU.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from radflow.metrics.pairs import check_pairs

SMOOTHING_EPSILON = 0.1
"""What NLTK's ``method1`` adds to an n-gram precision without a match."""

# Enough for the references of many groups in flight; a report is a few hundred bytes.
_CACHED_REFERENCES = 8192

_ROUGE_TOKEN = re.compile(r"[a-z0-9]+")


def bleu2(generated: Sequence[str], reference: Sequence[str]) -> Float[np.ndarray, " N"]:
    """Sentence BLEU with weights (1/2, 1/2), one number per pair, in [0, 1]; higher is better.

    Raises:
        DataError: the two lists differ in length.

    >>> bleu2(["No pleural effusion."], ["No pleural effusion."]).tolist()
    [1.0]
    >>> bleu2(["No effusion."], ["Clear lungs"]).tolist()
    [0.0]
    """
    return _sentence_bleus(generated, reference, order=2)


def bleu4(generated: Sequence[str], reference: Sequence[str]) -> Float[np.ndarray, " N"]:
    """Sentence BLEU with weights (1/4, 1/4, 1/4, 1/4), one number per pair, in [0, 1]; higher is better.

    Raises:
        DataError: the two lists differ in length.

    >>> bleu4(["The heart is normal in size ."], ["The heart is normal in size."]).tolist()
    [1.0]
    """
    return _sentence_bleus(generated, reference, order=4)


def rouge_l(generated: Sequence[str], reference: Sequence[str]) -> Float[np.ndarray, " N"]:
    """ROUGE-L F-measure over lower-case alphanumeric words, no stemming, in [0, 1]; higher is better.

    Raises:
        DataError: the two lists differ in length.

    >>> rouge_l(["the heart is enlarged"], ["The heart is mildly enlarged."]).round(3).tolist()
    [0.889]
    """
    check_pairs(generated, reference)
    scores = [_rouge_l(text, target) for text, target in zip(generated, reference, strict=True)]
    return np.asarray(scores, dtype=np.float64)


def rexrank_tokens(text: str) -> list[str]:
    """Split as the ReXrank reference script does: full stops are tokens, commas and newlines are not.

    >>> rexrank_tokens("No effusion, no edema.")
    ['no', 'effusion,', 'no', 'edema', '.']
    """
    return list(filter(None, text.lower().replace(".", " .").split(" ")))


def lcs_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, by Hyyro's bit-vector recurrence (2004).

    One big-integer step per token of ``second`` in place of a row of the quadratic table: for reports of a
    hundred words about thirty times faster than the table, with the same answer.

    >>> lcs_length("a b c b d a b".split(), "b d c a b a".split())
    4
    """
    positions: dict[str, int] = {}
    for index, token in enumerate(first):
        positions[token] = positions.get(token, 0) | (1 << index)
    row = (1 << len(first)) - 1
    mask = row
    for token in second:
        matches = row & positions.get(token, 0)
        row = ((row + matches) | (row - matches)) & mask
    return len(first) - row.bit_count()


def _sentence_bleus(generated: Sequence[str], reference: Sequence[str], order: int) -> np.ndarray:
    check_pairs(generated, reference)
    scores = [_sentence_bleu(text, target, order) for text, target in zip(generated, reference, strict=True)]
    return np.asarray(scores, dtype=np.float64)


def _sentence_bleu(generated: str, reference: str, order: int) -> float:
    tokens = rexrank_tokens(generated)
    reference_length, reference_counts = _reference_ngrams(reference, order)
    logs = []
    for n in range(1, order + 1):
        matched = _matched(_ngrams(tokens, n), reference_counts[n - 1])
        if n == 1 and matched == 0:
            return 0.0
        total = max(1, len(tokens) - n + 1)
        logs.append(math.log((matched or SMOOTHING_EPSILON) / total) / order)
    return _brevity_penalty(len(tokens), reference_length) * math.exp(math.fsum(logs))


def _matched(ngrams: Iterable[Hashable], counts: Mapping[Hashable, int]) -> int:
    """How many n-grams match, each at most as often as the reference has it."""
    left = dict(counts)
    left_of = left.get  # bound once: this loop is most of what BLEU costs
    matched = 0
    for ngram in ngrams:
        count = left_of(ngram)
        if count:
            left[ngram] = count - 1
            matched += 1
    return matched


def _ngrams(tokens: Sequence[str], n: int) -> Iterable[Hashable]:
    return tokens if n == 1 else zip(*(tokens[i:] for i in range(n)), strict=False)


@lru_cache(maxsize=_CACHED_REFERENCES)
def _reference_ngrams(reference: str, order: int) -> tuple[int, tuple[Counter, ...]]:
    tokens = rexrank_tokens(reference)
    return len(tokens), tuple(Counter(_ngrams(tokens, n)) for n in range(1, order + 1))


def _brevity_penalty(length: int, reference_length: int) -> float:
    return 1.0 if length > reference_length else math.exp(1 - reference_length / length)


@lru_cache(maxsize=_CACHED_REFERENCES)
def _rouge_tokens(text: str) -> tuple[str, ...]:
    return tuple(_ROUGE_TOKEN.findall(text.lower()))


def _rouge_l(generated: str, reference: str) -> float:
    words, target = _rouge_tokens(generated), _rouge_tokens(reference)
    common = lcs_length(target, words)
    return 2 * common / (len(words) + len(target)) if common else 0.0
