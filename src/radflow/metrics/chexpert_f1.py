"""CheXpert F1: do two chest reports assert the same of the 14 CheXpert observations?

Published tables differ in three choices that are seldom stated; here they are arguments. Ours by default: all
14 observations, uncertain counted as positive (as the f1chexbert package does), per report. The labels come
from the rule-based reader and say so in every table; CheXbert is a reader one may pass instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from radflow.metrics.label_f1 import CorpusF1, corpus_label_f1, label_f1
from radflow.metrics.pairs import Reader, read_pairs
from radflow.readers.labels import CHEXPERT_OBSERVATIONS

DEFAULT_READER = "chexpert-rules"

FIVE: tuple[str, ...] = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
"""The five observations of the CheXpert competition, the "CheXbert-5" of published tables."""


def chexpert_f1(
    generated: Sequence[str],
    reference: Sequence[str],
    reader: Reader | None = None,
    uncertain: str = "positive",
) -> Float[np.ndarray, " N"]:
    """F1 between the binarised 14-label vectors of each pair, in [0, 1]; both empty is 1.0. Higher is better.

    Args:
        generated: generated reports.
        reference: their references.
        reader: texts to labels; the default is ``chexpert-rules``.
        uncertain: ``"positive"`` or ``"negative"``: what the state -1 counts as.

    Raises:
        DataError: the lists differ in length.
    """
    ours, theirs = read_pairs(generated, reference, reader, DEFAULT_READER)
    return label_f1(ours, theirs, uncertain)


def chexpert_corpus_f1(
    generated: Sequence[str],
    reference: Sequence[str],
    reader: Reader | None = None,
    observations: Sequence[str] = CHEXPERT_OBSERVATIONS,
    uncertain: str = "positive",
) -> CorpusF1:
    """Micro, macro and per-class F1 over a corpus: what the CheXbert tables of the field report.

    Raises:
        DataError: the lists differ in length, or no observation is named.
    """
    ours, theirs = read_pairs(generated, reference, reader, DEFAULT_READER)
    return corpus_label_f1(ours, theirs, observations, uncertain)
