"""R_imp without pay for silence: the same place in Eq. 4, another number.

    "f1"         F1 of what the two Impressions assert, 1 where neither does: the paper's, `ImpressionReward`
    "f_beta"     recall counts more, rare observations count more, and a clean report of a normal study earns
                 ``silence`` instead of 1                                          `metrics.weighted_f_beta`
    "marginal"   what the report adds to the macro F1 of the training split        `metrics.marginal_gain`

A report of a normal study earns ``silence`` in proportion to the denials of the reference that it makes too:
a report that says nothing at all has earned nothing. From each, ``inventions * m / (1 + m)`` is taken off,
where m counts the findings beyond the labels that the report states and its reference does not. Constants of
the split (prevalences, counts) are told at construction and never change: a reward does not depend on its
batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from radflow import config, readers
from radflow.errors import DataError
from radflow.metrics import ReadOnce
from radflow.metrics.finding_match import same_finding
from radflow.metrics.label_gain import (
    LabelCounts,
    label_counts,
    marginal_gain,
    rarity_weights,
    weighted_f_beta,
)
from radflow.modality import modality_of
from radflow.readers.facts import facts
from radflow.readers.labels import SUMMARIES, assertions
from radflow.reports import Report
from radflow.rewards.impression import scored


class DiagnosisReward:
    """R_imp as the section ``reward`` of the recipe says.

    Args:
        modality: decides the reader of labels, and of findings.
        knobs: the section ``reward``; ``labels`` is ``f_beta`` or ``marginal``.
        prevalence: observation to the share of training references that assert it, for ``f_beta``; ``None``
            weighs all alike.
        counts: of the training split's predictions, in the order of the labels, for ``marginal``.

    Raises:
        DataError: the modality is unknown, or the constants of the split are missing or of other labels.
    """

    def __init__(
        self,
        modality: str,
        knobs: config.Reward,
        *,
        prevalence: Mapping[str, float] | None = None,
        counts: LabelCounts | None = None,
    ) -> None:
        self._knobs, self._modality, self._counts = knobs, modality, counts
        self._read = ReadOnce(readers.load(modality_of(modality).labels.reader))
        names = [name for name in self._read([""])[0] if name not in SUMMARIES]
        self._named = " | ".join(names).lower()
        if prevalence is not None and set(prevalence) != set(names):
            raise DataError(
                f"Expected the prevalence of each of {', '.join(names)}; got {', '.join(prevalence)}."
            )
        if knobs.labels == "marginal" and (counts is None or len(counts.hits) != len(names)):
            raise DataError(
                f"Expected counts of {len(names)} labels over the training split for reward.labels = "
                f"'marginal'; got {None if counts is None else len(counts.hits)}."
            )
        shares = np.array([1.0 if prevalence is None else prevalence[name] for name in names])
        self._weights = rarity_weights(shares, knobs.rarity)

    def __call__(self, generated: Sequence[Report], reference: Sequence[Report]) -> list[float | None]:
        """One number per pair, or ``None`` where a section to be read is missing in one of the two."""
        return scored(generated, reference, self._knobs.target, self._values)

    def _values(self, ours: Sequence[str], theirs: Sequence[str]) -> Float[np.ndarray, "N"]:
        if not ours:
            return np.zeros(0)
        knobs, said, wanted = self._knobs, self._read(ours), self._read(theirs)
        predicted, reference = assertions(said), assertions(wanted)
        if knobs.labels == "marginal":
            assert self._counts is not None
            scores = marginal_gain(
                predicted,
                reference,
                self._counts,
                hit=knobs.hit,
                false_alarm=knobs.false_alarm,
                miss=knobs.miss,
            )
        else:
            clean = knobs.silence * denied_too(said, wanted)
            scores = weighted_f_beta(predicted, reference, self._weights, beta=knobs.beta, clean=clean)
        if knobs.inventions:
            count = np.array([self._invented(*pair) for pair in zip(ours, theirs, strict=True)])
            scores = scores - knobs.inventions * count / (1 + count)
        return scores

    def _invented(self, ours: str, theirs: str) -> int:
        """How many findings beyond the labels one report asserts and the other does not."""
        stated = [f for f in facts(theirs, self._modality) if f.state]
        beyond = [f for f in facts(ours, self._modality) if f.state and f.finding.lower() not in self._named]
        return len({f.finding for f in beyond if not any(same_finding(f, other) for other in stated)})


def denied_too(
    ours: Sequence[Mapping[str, int | None]], theirs: Sequence[Mapping[str, int | None]]
) -> Float[np.ndarray, "N"]:
    """Share of the observations that a reference denies which the report denies as well; 1 where none is."""

    def denied(rows: Sequence[Mapping[str, int | None]]) -> Bool[np.ndarray, "N K"]:
        return np.array([[state == 0 for state in row.values()] for row in rows])

    mine, wanted = denied(ours), denied(theirs)
    return np.where(wanted.any(axis=1), (mine & wanted).sum(axis=1) / np.maximum(wanted.sum(axis=1), 1), 1.0)


def label_prevalence(references: Sequence[Report], modality: str) -> dict[str, float]:
    """Share of reports that assert each observation, ``(n + 1) / (N + 2)``: none is 0.

    >>> from radflow.reports import parse_report
    >>> label_prevalence([parse_report("Edema."), parse_report("No edema.")], "chest-xray")["Edema"]
    0.5
    """
    labels = readers.labeler(modality)([report.canonical for report in references])
    names = [name for name in labels[0] if name not in SUMMARIES]
    shares = (assertions(labels).sum(axis=0) + 1) / (len(labels) + 2)
    return dict(zip(names, shares.tolist(), strict=True))


def prediction_counts(
    predicted: Sequence[Report], references: Sequence[Report], modality: str
) -> LabelCounts:
    """What predictions of a split got right and wrong, label by label."""
    ours, theirs = (
        assertions(readers.labeler(modality)([report.canonical for report in reports]))
        for reports in (predicted, references)
    )
    return label_counts(ours, theirs)
