"""Macro and micro F1 of a whole split from two tables of labels, to watch a policy by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Real

from radflow.errors import DataError


class Corpus(NamedTuple):
    """What `corpus_f1` gives.

    Attributes:
        macro: mean of the F1 of each observation that occurs in the references, in [0, 1]; NaN where none
            does.
        micro: F1 over all cells of the table together, in [0, 1]; NaN where neither table asserts anything.
        positives: mean number of observations that a predicted report asserts, at least 0.
    """

    macro: float
    micro: float
    positives: float


def corpus_f1(predicted: Bool[np.ndarray, "P K"], reference: Bool[np.ndarray, "_ _"]) -> Corpus:
    """F1 of ``P`` reports and ``K`` observations over the corpus; silence on an abnormal study is a miss.

    ``F1_k = 2 TP_k / (2 TP_k + FP_k + FN_k)``. Macro is their mean (Opitz and Burst 2019, "Macro F1 and Macro
    F1", averaged F1) over the observations that at least one reference asserts: the others have no recall.
    A false alarm on one of those counts in micro alone. It is scikit-learn's ``f1_score`` with
    ``labels`` those observations and ``zero_division=0``; `corpus_label_f1`, for published tables, takes the
    mean over a fixed list of observations instead.

    Args:
        predicted: whether a predicted report asserts an observation.
        reference: whether its reference does; of the same shape.

    Raises:
        DataError: the tables differ in shape, or have no row.

    >>> reference = np.array([[True, False, False], [False, True, False], [False, False, False]])
    >>> corpus_f1(reference, reference)
    Corpus(macro=1.0, micro=1.0, positives=0.6666666666666666)
    >>> corpus_f1(np.zeros_like(reference), reference)  # always normal
    Corpus(macro=0.0, micro=0.0, positives=0.0)
    """
    if predicted.shape != reference.shape or not len(reference):
        raise DataError(
            f"Expected two tables of labels of the same shape, with a row per report; got {predicted.shape} "
            f"predicted and {reference.shape} of the references. Pair them by study id first."
        )
    right, written, support = (table.sum(axis=0) for table in (predicted & reference, predicted, reference))
    macro, micro = f1_of_counts(right, written, support)
    return Corpus(macro=float(macro), micro=float(micro), positives=float(predicted.sum(axis=1).mean()))


def f1_of_counts(
    right: Real[np.ndarray, "*corpora K"],
    written: Real[np.ndarray, "*corpora K"],
    support: Real[np.ndarray, "*corpora K"],
) -> tuple[Float[np.ndarray, "*corpora"], Float[np.ndarray, "*corpora"]]:
    """Macro and micro F1 of many corpora at once, as `corpus_f1` has them, from counts per observation.

    Args:
        right: reports that assert it as their reference does.
        written: reports that assert it.
        support: references that do.

    >>> macro, micro = f1_of_counts(np.array([1, 0]), np.array([2, 1]), np.array([1, 0]))
    >>> round(float(macro), 3), round(float(micro), 3)
    (0.667, 0.5)
    """
    occurs = support > 0
    f1 = np.where(occurs, 2 * right / np.maximum(written + support, 1), 0.0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN that is meant
        macro = f1.sum(axis=-1) / occurs.sum(axis=-1)
        micro = 2 * right.sum(axis=-1) / (written + support).sum(axis=-1)
    return np.asarray(macro), np.asarray(micro)
