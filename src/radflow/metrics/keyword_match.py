"""KeyWordMatch: the paper's metric for ultrasound text, where RadGraph does not apply.

The paper extracts key medical terms with a private labeler and measures their overlap. Ours is the F1 between
the two sets of normalised key terms, with synonyms folded and a negated term kept apart from an asserted one.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
from jaxtyping import Float

from radflow.metrics.pairs import Reader, check_pairs, read_pairs, set_f1

DEFAULT_READER = "carotid-terms"


def keyword_match(
    generated: Sequence[str], reference: Sequence[str], reader: Reader | None = None
) -> Float[np.ndarray, " N"]:
    """F1 between the sets of key terms of each pair, in [0, 1]; both empty is 1.0. Higher is better.

    Args:
        generated: generated reports.
        reference: their references.
        reader: texts to sets of terms; the default is ``carotid-terms``.

    Raises:
        DataError: the lists differ in length.

    >>> words = lambda texts: [frozenset(text.split()) for text in texts]
    >>> keyword_match(["soft plaque"], ["hard plaque"], reader=words).tolist()
    [0.5]
    """
    return keyword_match_from_terms(*read_pairs(generated, reference, reader, DEFAULT_READER))


def keyword_match_from_terms(
    generated: Sequence[Set[str]], reference: Sequence[Set[str]]
) -> Float[np.ndarray, " N"]:
    """KeyWordMatch of term sets that were read before.

    >>> keyword_match_from_terms([{"plaque"}, set()], [{"plaque"}, set()]).tolist()
    [1.0, 1.0]
    """
    check_pairs(generated, reference)
    scores = [set_f1(ours, theirs, both_empty=1.0) for ours, theirs in zip(generated, reference, strict=True)]
    return np.asarray(scores, dtype=np.float64)
