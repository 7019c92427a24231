"""R_imp (Eq. 6-7): is the diagnosis right? F1 between the labels of two Impressions.

The expert model is a label reader: CheXpert rules for chest, carotid labels for ultrasound. It gives states
where the paper's expert gives probabilities (Eq. 6). They are binarised, uncertain counting as positive.

The paper calls the F1 of Eq. 7 "macro F1", which is defined over a corpus. A reward belongs to one report, so
ours is the F1 between the two sets of positive labels. Where neither Impression asserts anything the two
agree, and the term is 1.0. Where either report has no Impression the term is skipped: ``None``, never 0.
Labels have no side; FindingMatch in their place does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from radflow import readers
from radflow.metrics import Reader, ReadOnce
from radflow.modality import attribute, modality_of
from radflow.reports import Report
from radflow.rewards.domain import trained_on


class ImpressionReward:
    """The impression term of one modality, with its readings remembered by text.

    Args:
        modality: decides the labeler.
        labeler: texts to what the metric reads; ``None`` loads the metric's.
        metric: another metric of :func:`~radflow.rewards.domain.trainable`; ``None`` is the F1 of labels.

    Raises:
        DataError: the modality is unknown, or the metric cannot be trained on.
    """

    def __init__(self, modality: str, labeler: Reader | None = None, metric: str | None = None) -> None:
        labels = trained_on(metric, modality) or modality_of(modality).labels
        self._measure = attribute(labels.target)
        self._read: ReadOnce[Any] = ReadOnce(readers.load(labels.reader) if labeler is None else labeler)

    def __call__(self, generated: Sequence[Report], reference: Sequence[Report]) -> list[float | None]:
        """F1 in [0, 1] for each pair, or ``None`` where the term is skipped."""
        rewards: list[float | None] = [None] * len(generated)
        pairs = list(zip(generated, reference, strict=True))
        scored = [
            i
            for i, (ours, theirs) in enumerate(pairs)
            if ours.impression is not None and theirs.impression is not None
        ]
        ours, theirs = ([pairs[i][side].impression or "" for i in scored] for side in (0, 1))
        for i, value in zip(scored, self._measure(ours, theirs, self._read).tolist(), strict=True):
            rewards[i] = value
        return rewards
