"""Carotid F1: the counterpart of CheXpert F1 for carotid ultrasound.

It compares what two reports assert over the fixed vector of carotid observations that the ``carotid-labels``
reader knows (plaque, its type, stenosis by degree, thickening, occlusion, each with its side).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from radflow.metrics.label_f1 import label_f1
from radflow.metrics.pairs import Reader, read_pairs

DEFAULT_READER = "carotid-labels"


def carotid_f1(
    generated: Sequence[str], reference: Sequence[str], reader: Reader | None = None
) -> Float[np.ndarray, " N"]:
    """F1 between the positives of each pair, in [0, 1]; both empty is 1.0. Higher is better.

    Args:
        generated: generated reports.
        reference: their references.
        reader: texts to labels; the default is ``carotid-labels``.

    Raises:
        DataError: the lists differ in length.

    >>> reader = lambda texts: [{"right plaque": int("plaque" in text)} for text in texts]
    >>> carotid_f1(["Soft plaque.", "Smooth wall."], ["Hard plaque.", "Hard plaque."], reader).tolist()
    [1.0, 0.0]
    """
    return label_f1(*read_pairs(generated, reference, reader, DEFAULT_READER))
