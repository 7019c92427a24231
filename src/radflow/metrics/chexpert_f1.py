"""CheXpert F1: do two chest reports assert the same of the 14 CheXpert observations?

Published tables differ in three choices that are seldom stated: per report or over a corpus, 14 observations
or 5, uncertain counted as positive or as negative. :func:`chexpert_f1` is per report over all 14, uncertain
as positive (as the f1chexbert package does); :func:`corpus_chexpert_f1` gives every form by name. The
labels come from the rule-based reader and say so in every table; CheXbert is a reader one may pass instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from radflow.metrics.label_f1 import Labels, corpus_label_f1, label_f1
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


def corpus_chexpert_f1(
    generated: Sequence[str], reference: Sequence[str], reader: Reader | None = None
) -> Mapping[str, float]:
    """CheXpert F1 over a corpus in every form that published tables use, each named by its choices.

    Args:
        generated: generated reports.
        reference: their references.
        reader: texts to labels; the default is ``chexpert-rules``.

    Returns:
        ``{average}_f1_{observations}_uncertain_{state}`` to F1 in [0, 1], sixteen of them: average ``micro``,
        ``macro``, ``weighted`` or ``per_report`` (see :class:`~radflow.metrics.label_f1.CorpusF1`); all
        ``14`` observations or the ``5`` of :data:`FIVE`; uncertain as ``positive`` or ``negative``.
        ``per_report`` is NaN where there are no pairs.

    Raises:
        DataError: the lists differ in length.

    >>> reader = lambda texts: [{"Edema": -1 if "May" in text else 1} for text in texts]
    >>> scores = corpus_chexpert_f1(["May be edema."], ["Edema."], reader)
    >>> scores["micro_f1_5_uncertain_positive"], scores["micro_f1_5_uncertain_negative"]
    (1.0, 0.0)
    """
    return corpus_forms(*read_pairs(generated, reference, reader, DEFAULT_READER))


def corpus_forms(ours: Sequence[Labels], theirs: Sequence[Labels]) -> Mapping[str, float]:
    """What :func:`corpus_chexpert_f1` gives, from labels that were read before.

    Raises:
        DataError: the lists differ in length.
    """
    scores = {}
    for observations in (CHEXPERT_OBSERVATIONS, FIVE):
        for uncertain in ("positive", "negative"):
            corpus = corpus_label_f1(ours, theirs, observations, uncertain)
            choices = f"f1_{len(observations)}_uncertain_{uncertain}"
            scores[f"micro_{choices}"] = corpus.micro
            scores[f"macro_{choices}"] = corpus.macro
            scores[f"weighted_{choices}"] = corpus.weighted
            scores[f"per_report_{choices}"] = corpus.per_report
    return scores
