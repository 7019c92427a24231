"""Scores of a report's labels that do not pay for silence.

Label F1 gives 1 where neither report asserts anything. Most chest studies are normal, so the report that
always says "normal" scores well without looking. Here a hit is what counts:

    weighted_f_beta   F-beta over what is asserted, rare observations weighing more; a clean report of a
                      normal study earns a small constant, and less for each thing it invents
    marginal_gain     what a report adds to the macro F1 of a whole split, or takes from it

Both depend on their own report, its reference and constants, so a reward may be made of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


def rarity_weights(prevalence: Float[np.ndarray, "K"], exponent: float = 0.5) -> Float[np.ndarray, "K"]:
    """Weights of K observations, ``prevalence ** -exponent``, scaled to a mean of 1 over what is asserted.

    Args:
        prevalence: share of reports that assert each, in (0, 1]; what never occurs needs a smoothed share.
        exponent: 0 weighs all alike, 1 gives each observation the same part in the whole.

    >>> rarity_weights(np.array([0.4, 0.1])).round(2).tolist()
    [0.83, 1.67]
    """
    weights = prevalence**-exponent
    return weights * prevalence.sum() / (weights * prevalence).sum()


def weighted_f_beta(
    predicted: Bool[np.ndarray, "P K"],
    reference: Bool[np.ndarray, "P K"],
    weights: Float[np.ndarray, "K"],
    *,
    beta: float = 2.0,
    clean: float | Float[np.ndarray, "P"] = 0.0,
) -> Float[np.ndarray, "P"]:
    """F-beta of each report's assertions, in [0, 1].

    With ``W(X)`` the summed weights, G what the report asserts and R what its reference does::

        R not empty:  (1 + b^2) W(G & R) / ((1 + b^2) W(G & R) + b^2 W(R - G) + W(G - R))
        R empty:      clean / (1 + W(G))

    van Rijsbergen's F (1979): recall counts beta times as much as precision.

    Args:
        predicted: whether a report asserts an observation.
        reference: whether its reference does.
        weights: of the observations, above 0.
        beta: above 0.
        clean: what a report earns that invents nothing where there is nothing to find, in [0, 1].

    >>> reference = np.array([[True, False], [True, False], [False, False], [False, False]])
    >>> predicted = np.array([[True, True], [False, False], [False, False], [True, False]])
    >>> weighted_f_beta(predicted, reference, np.ones(2), clean=0.1).round(2).tolist()
    [0.83, 0.0, 0.1, 0.05]
    """
    hits, missed, invented = (
        (cells * weights).sum(axis=1)
        for cells in (predicted & reference, reference & ~predicted, predicted & ~reference)
    )
    gained = (1 + beta**2) * hits
    scores = gained / np.maximum(gained + beta**2 * missed + invented, np.finfo(float).tiny)
    return np.where(reference.any(axis=1), scores, clean / (1 + invented))


@dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """What a set of predictions got right and wrong, per observation.

    Attributes:
        hits: reports that assert it rightly.
        false_alarms: reports that assert it and their reference does not.
        misses: reports that leave it out.
        reports: how many were counted.
    """

    hits: Int[np.ndarray, "K"]
    false_alarms: Int[np.ndarray, "K"]
    misses: Int[np.ndarray, "K"]
    reports: int


def label_counts(predicted: Bool[np.ndarray, "P K"], reference: Bool[np.ndarray, "P K"]) -> LabelCounts:
    """Count a split.

    >>> counts = label_counts(np.array([[True], [True], [False]]), np.array([[True], [False], [True]]))
    >>> counts.hits.tolist(), counts.false_alarms.tolist(), counts.misses.tolist(), counts.reports
    ([1], [1], [1], 3)
    """
    return LabelCounts(
        hits=(predicted & reference).sum(axis=0),
        false_alarms=(predicted & ~reference).sum(axis=0),
        misses=(reference & ~predicted).sum(axis=0),
        reports=len(reference),
    )


def marginal_gain(
    predicted: Bool[np.ndarray, "P K"],
    reference: Bool[np.ndarray, "P K"],
    counts: LabelCounts,
    *,
    hit: float = 1.0,
    false_alarm: float = 1.0,
    miss: float = 1.0,
) -> Float[np.ndarray, "P"]:
    """What each report, counted beside a split, adds to the macro F1 of that split, in (-1, 1).

    ``x = n / K sum_k (F_k with the report - F_k)`` with n reports counted, squashed to ``x / (1 + |x|)``, so
    that one rare observation does not outvote all others. ``F_k = 2 TP / (2 TP + FP + FN)``, with one hit
    added to every TP: without it a false alarm costs nothing where no prediction was ever right. Silence is
    worth 0 on a normal study, and a miss on another. The counts stay as they are: no report changes what
    another is worth.

    Args:
        predicted: whether a report asserts an observation.
        reference: whether its reference does.
        counts: of the split, observation by observation.
        hit: weight of what a hit adds; at least 0, like the others.
        false_alarm: weight of what an invention takes.
        miss: weight of what an omission takes.

    >>> ones = np.ones(2, dtype=int)
    >>> counts = LabelCounts(hits=8 * ones, false_alarms=8 * ones, misses=8 * ones, reports=100)
    >>> reference = np.array([[True, False], [True, False], [False, False], [False, False]])
    >>> predicted = np.array([[True, False], [False, False], [False, False], [False, True]])
    >>> marginal_gain(predicted, reference, counts).round(2).tolist()
    [0.57, -0.43, 0.0, -0.43]
    """
    tp, fp, fn = counts.hits + 1, counts.false_alarms, counts.misses

    def f1(hits: np.ndarray, wrong: np.ndarray) -> np.ndarray:
        return 2 * hits / (2 * hits + wrong)

    now = f1(tp, fp + fn)
    found, wrong = f1(tp + 1, fp + fn) - now, f1(tp, fp + fn + 1) - now
    cells = (
        hit * found * (predicted & reference)
        + false_alarm * wrong * (predicted & ~reference)
        + miss * wrong * (reference & ~predicted)
    )
    x = counts.reports / len(now) * cells.sum(axis=1)
    return x / (1 + np.abs(x))
