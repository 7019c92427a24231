"""The protocol by which IU X-Ray figures are published, as R2Gen's code has it (Chen et al., EMNLP 2020).

What that code does, beyond what the paper says:

- Findings alone, lower case, punctuation dropped, " . " between sentences (`tokens_of`);
- a word that the training reports have less than three times is ``<unk>`` **in the references too**;
- **references are cut** at 59 tokens, since one of the 60 places goes to the start token; reports at 60;
- BLEU over the corpus, ROUGE-L with beta 1.2, CIDEr: pycocoevalcap's, without its tokeniser.

The figures here equal pycocoevalcap 1.2 (tests/test_r2gen_protocol.py). They are of a corpus, not of a pair,
which is why they are not in `radflow.metrics`.
"""

from __future__ import annotations

import importlib.util
import math
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

UNKNOWN = "<unk>"
RARE = 3
"""A word with fewer occurrences in the training reports is unknown."""
LONGEST_REPORT, LONGEST_REFERENCE = 60, 59
ORDERS = (1, 2, 3, 4)
"""Of n-grams."""

Tokens = Sequence[str]

_LISTS = (
    *[("..", ".")] * 3,
    ("1. ", ""),
    *[(f". {number}. ", ". ") for number in range(2, 6)],
    *[(f" {number}. ", ". ") for number in range(2, 6)],
)
# R2Gen writes ":-\[" for three characters, which is the range from ":" to "["; so "-" stays.
_DROPPED = re.compile(r"[\"/\\'.,?;*!%^&_+()<=>@:\[\]{}]")


def tokens_of(findings: str) -> list[str]:
    """The words of a report after R2Gen's cleaning of IU X-Ray.

    >>> tokens_of("1. Heart size normal. 2. No T-spine fracture, XXXX.")
    ['heart', 'size', 'normal', '.', 'no', 't-spine', 'fracture', 'xxxx', '.']
    """
    for old, new in _LISTS:
        findings = findings.replace(old, new)
    sentences = [_DROPPED.sub("", sentence) for sentence in findings.strip().lower().split(". ")]
    return f"{' . '.join(sentences)} .".split()


def vocabulary_of(training: Iterable[Tokens]) -> frozenset[str]:
    """The words that occur at least `RARE` times in the training reports."""
    counts = Counter(word for report in training for word in report)
    return frozenset(word for word, count in counts.items() if count >= RARE)


def reference_tokens(tokens: Tokens, vocabulary: frozenset[str]) -> list[str]:
    """A reference as R2Gen scores against it: cut, with rare words unknown.

    >>> reference_tokens(["clear", "lungz", "."], frozenset({"clear", "."}))
    ['clear', '<unk>', '.']
    """
    return [word if word in vocabulary else UNKNOWN for word in tokens[:LONGEST_REFERENCE]]


def ngrams(tokens: Tokens, order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def bleu_statistics(generated: Sequence[Tokens], references: Sequence[Tokens]) -> np.ndarray:
    """What BLEU counts of each pair: matches of orders 1 to 4, n-grams of orders 1 to 4, both lengths.

    Rows add up: the BLEU of a corpus is that of the sum of its rows (`bleu`).

    >>> bleu_statistics([["no", "effusion", "."]], [["no", "large", "effusion", "."]]).tolist()
    [[3, 1, 0, 0, 3, 2, 1, 0, 3, 4]]
    """
    rows = [
        [
            *((ngrams(ours, order) & ngrams(theirs, order)).total() for order in ORDERS),
            *(max(len(ours) - order + 1, 0) for order in ORDERS),
            len(ours),
            len(theirs),
        ]
        for ours, theirs in zip(generated, references, strict=True)
    ]
    return np.array(rows, np.int64).reshape(-1, 2 * len(ORDERS) + 2)


def bleu(statistics: np.ndarray) -> np.ndarray:
    """BLEU-1 to BLEU-4 in [0, 1] (Papineni et al. 2002), of counts with `bleu_statistics`' columns last.

    >>> bleu(np.array([3, 1, 0, 0, 3, 2, 1, 0, 3, 4])).round(3).tolist()
    [0.717, 0.507, 0.0, 0.0]
    """
    hits, guesses, lengths = np.split(statistics, [4, 8], axis=-1)
    products = np.cumprod(hits / np.maximum(guesses, 1), axis=-1) ** (1 / np.array(ORDERS))
    ours, theirs = np.maximum(lengths[..., :1], 1e-9), lengths[..., 1:]
    return products * np.exp(np.minimum(0, 1 - theirs / ours))


def rouge_l(generated: Sequence[Tokens], references: Sequence[Tokens], beta: float = 1.2) -> float:
    """Mean F-measure of the longest common subsequence, in [0, 1] (Lin 2004).

    >>> round(rouge_l([["no", "effusion", "."]], [["no", "large", "effusion", "."]]), 3)
    0.836
    """
    scores = []
    for ours, theirs in zip(generated, references, strict=True):
        common = _common(ours, theirs)
        precision, recall = common / max(len(ours), 1), common / max(len(theirs), 1)
        weighted = recall + beta**2 * precision
        scores.append((1 + beta**2) * precision * recall / weighted if weighted else 0.0)
    return float(np.mean(scores))


def _common(ours: Tokens, theirs: Tokens) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(theirs) + 1)
    for word in ours:
        before = row
        row = [0]
        for place, other in enumerate(theirs):
            row.append(before[place] + 1 if word == other else max(before[place + 1], row[place]))
    return row[-1]


def cider(generated: Sequence[Tokens], references: Sequence[Tokens]) -> float:
    """CIDEr-D, 0 to 10, rarity from these references (Vedantam et al. 2015; sigma 6).

    For each order: the cosine of clipped TF-IDF vectors, damped by the difference in length.
    """
    scores = []
    for order in ORDERS:
        theirs = [ngrams(tokens, order) for tokens in references]
        found = Counter(gram for counts in theirs for gram in counts)
        scores.append(
            [
                _similarity(ngrams(tokens, order), reference, found, len(references))
                for tokens, reference in zip(generated, theirs, strict=True)
            ]
        )
    # pycocoevalcap counts the words of a text by its pairs of words, so the difference is the same.
    lengths = np.array(
        [max(len(a) - 1, 0) - max(len(b) - 1, 0) for a, b in zip(generated, references, strict=True)]
    )
    return float((10 * np.mean(scores, axis=0) * np.exp(-(lengths**2) / 72)).mean())


def _similarity(ours: Counter[Any], theirs: Counter[Any], found: Counter[Any], count: int) -> float:
    weight = {gram: math.log(count) - math.log(max(found[gram], 1)) for gram in ours | theirs}
    dot = sum(min(ours[gram], theirs[gram]) * theirs[gram] * weight[gram] ** 2 for gram in ours & theirs)
    norms = math.prod(
        math.sqrt(sum((n * weight[gram]) ** 2 for gram, n in side.items())) for side in (ours, theirs)
    )
    return dot / norms if norms else 0.0


def meteor(generated: Sequence[Tokens], references: Sequence[Tokens]) -> float | None:
    """METEOR 1.5, in [0, 1], by pycocoevalcap and Java; ``None`` where either is missing.

    No implementation without Java gives the same numbers: NLTK's lacks the paraphrases and the tuned weights.
    """
    if importlib.util.find_spec("pycocoevalcap") is None or shutil.which("java") is None:
        return None
    scorer = importlib.import_module("pycocoevalcap.meteor.meteor").Meteor()
    ours, theirs = ({n: [" ".join(t)] for n, t in enumerate(side)} for side in (generated, references))
    return float(scorer.compute_score(theirs, ours)[0])
