"""Temporal Entity F1: do two reports use the same words of change? No weights, no knowledge of what changed.

The words are those of Bannur et al. 2023 (BioViL-T, arXiv:2301.04558); the score is that of Libra (Zhang et
al. 2024, arXiv:2411.19378), as its ``temporal_f1.py`` and RadEval 2.2 compute it, but for one step: they also
take the words that Stanza's radiology NER marks, which the search below finds too, unless punctuation other
than ``.,:;()-`` joins two words ("stable/unchanged": the search sees one word).

Its holes: two reports without any such word score 1, "no change" equals "change", "unchanged" differs from
"stable", and whose change it is does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from radflow.metrics.pairs import check_pairs

_WORDS = """
bigger change cleared constant decrease decreased decreasing elevated elevation enlarged enlargement
enlarging expanded greater growing improved improvement improving increase increased increasing
larger new persistence persistent persisting progression progressive reduced removal resolution
resolved resolving smaller stability stable stably unchanged unfolded worse worsen worsened
worsening unaltered
"""
WORDS = frozenset(_WORDS.split())
_EPSILON = 1e-10
_BLANKS = re.compile(r"\n+|[_-]+")
_DROPPED = re.compile(r"[^\w\s.,:;()-]")
_WORD = re.compile(rf"\b(?:{'|'.join(sorted(WORDS, key=len, reverse=True))})\b")


def temporal_words(text: str) -> frozenset[str]:
    """The words of change in a report.

    >>> sorted(temporal_words("New opacity; the effusion is un-changed, the heart ENLARGED."))
    ['enlarged', 'new']
    """
    return frozenset(_WORD.findall(_DROPPED.sub("", _BLANKS.sub(" ", text)).lower()))


def temporal_f1(generated: Sequence[str], reference: Sequence[str]) -> Float[np.ndarray, " N"]:
    """Temporal Entity F1 of each pair, in [0, 1]; higher is better.

    Precision and recall have 1e-10 on both sides of the fraction, so nothing in common is not quite 0; a
    reference without a word of change is 1 where the report has none either, else 1e-10.

    Raises:
        DataError: the lists differ in length.

    >>> temporal_f1(["Stable effusion.", "Clear.", "New mass."], ["Stable, improved.", "Clear.", "Mass."])
    array([6.66666667e-01, 1.00000000e+00, 1.00000000e-10])
    """
    check_pairs(generated, reference)
    scores = [
        _score(temporal_words(ours), temporal_words(theirs))
        for ours, theirs in zip(generated, reference, strict=True)
    ]
    return np.asarray(scores, dtype=np.float64)


def _score(ours: frozenset[str], theirs: frozenset[str]) -> float:
    if not theirs:
        return _EPSILON if ours else 1.0
    hits = len(ours & theirs) + _EPSILON
    precision, recall = hits / (len(ours) + _EPSILON), hits / (len(theirs) + _EPSILON)
    return 2 * precision * recall / (precision + recall + _EPSILON)
