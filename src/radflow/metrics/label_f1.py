"""F1 between label vectors, per report and over a corpus: CheXpert F1, carotid F1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from radflow.errors import DataError
from radflow.metrics.pairs import Reader, check_pairs, read_pairs, set_f1

Labels = Mapping[str, int | None]
"""Observation to 1 (positive), 0 (negated), -1 (uncertain) or None (not mentioned)."""


@dataclass(frozen=True, kw_only=True)
class CorpusF1:
    """F1 over a corpus, each figure in [0, 1].

    Attributes:
        micro: over all (report, observation) cells together.
        macro: mean over observations; one that neither side ever asserts counts 0, as in scikit-learn with
            ``zero_division=0`` and in the published CheXbert tables.
        weighted: mean over observations, each by how many references assert it; 0 where none asserts any.
        per_report: mean over reports; one where neither side asserts anything counts 1, and NaN where there
            are no reports. scikit-learn's ``average="samples"`` with ``zero_division=1``.
        per_class: observation to F1.
    """

    micro: float
    macro: float
    weighted: float
    per_report: float
    per_class: Mapping[str, float]


def positives(labels: Labels, uncertain: str = "positive") -> frozenset[str]:
    """Binarise one report's labels (Eq. 7): the observations counted as present.

    Args:
        labels: one report's states.
        uncertain: ``"positive"`` or ``"negative"``: what -1 counts as.

    Raises:
        DataError: another word for ``uncertain``.

    >>> sorted(positives({"Edema": 1, "Pneumonia": -1, "Fracture": 0, "Atelectasis": None}))
    ['Edema', 'Pneumonia']
    >>> sorted(positives({"Edema": 1, "Pneumonia": -1}, uncertain="negative"))
    ['Edema']
    """
    if uncertain == "positive":
        return frozenset(name for name, state in labels.items() if state == 1 or state == -1)
    if uncertain == "negative":
        return frozenset(name for name, state in labels.items() if state == 1)
    raise DataError(f"Expected uncertain to be 'positive' or 'negative', got {uncertain!r}.")


def texts_label_f1(
    generated: Sequence[str], reference: Sequence[str], reader: Reader
) -> Float[np.ndarray, " N"]:
    """F1 between what two reports assert, in [0, 1]; both empty is 1.0. Higher is better.

    Args:
        generated: generated reports.
        reference: their references.
        reader: texts to labels.

    Raises:
        DataError: the lists differ in length.

    >>> reader = lambda texts: [{"right plaque": int("plaque" in text)} for text in texts]
    >>> texts_label_f1(["Soft plaque.", "Smooth wall."], ["Hard plaque.", "Hard plaque."], reader).tolist()
    [1.0, 0.0]
    """
    return label_f1(*read_pairs(generated, reference, reader))


def label_f1(
    generated: Sequence[Labels], reference: Sequence[Labels], uncertain: str = "positive"
) -> Float[np.ndarray, " N"]:
    """F1 between the positives of each pair, in [0, 1]; 1.0 where neither has any.

    The paper calls it macro F1 (Eq. 7). In a single report the F1 of one label is 0, 1 or undefined, so this
    is the F1 over the report's labels together; `corpus_label_f1` has the macro F1 of a corpus.

    Raises:
        DataError: the lists differ in length.

    >>> label_f1([{"Edema": 1}, {}], [{"Edema": 1, "Fracture": 1}, {"Edema": 0}]).round(3).tolist()
    [0.667, 1.0]
    """
    check_pairs(generated, reference)
    scores = [
        set_f1(positives(ours, uncertain), positives(theirs, uncertain), both_empty=1.0)
        for ours, theirs in zip(generated, reference, strict=True)
    ]
    return np.asarray(scores, dtype=np.float64)


def corpus_label_f1(
    generated: Sequence[Labels],
    reference: Sequence[Labels],
    observations: Sequence[str],
    uncertain: str = "positive",
) -> CorpusF1:
    """Micro, macro, weighted, per-report and per-class F1 over a corpus, for the named observations.

    Raises:
        DataError: the lists differ in length, or no observation is named.

    >>> corpus_label_f1([{"Edema": 1}, {"Edema": 1}], [{"Edema": 1}, {"Edema": 0}], ["Edema"]).micro
    0.6666666666666666
    """
    check_pairs(generated, reference)
    if not observations:
        raise DataError("Expected at least one observation to score, got none.")
    ours = _matrix(generated, observations, uncertain)
    theirs = _matrix(reference, observations, uncertain)
    support = theirs.sum(axis=0)
    hits, sizes = (ours & theirs).sum(axis=0), ours.sum(axis=0) + support
    per_class = 2 * hits / np.maximum(sizes, 1)
    asserted = ours.sum(axis=1) + theirs.sum(axis=1)
    per_report = np.where(asserted == 0, 1.0, 2 * (ours & theirs).sum(axis=1) / np.maximum(asserted, 1))
    return CorpusF1(
        micro=float(2 * hits.sum() / max(sizes.sum(), 1)),
        macro=float(per_class.mean()),
        weighted=float(per_class @ support / max(support.sum(), 1)),
        per_report=float(per_report.mean()) if len(per_report) else math.nan,
        per_class=dict(zip(observations, per_class.tolist(), strict=True)),
    )


def _matrix(labels: Sequence[Labels], observations: Sequence[str], uncertain: str) -> np.ndarray:
    rows = [
        [name in present for name in observations] for present in (positives(x, uncertain) for x in labels)
    ]
    return np.asarray(rows, dtype=bool).reshape(len(labels), len(observations))
