"""R_imp (Eq. 6-7): is the diagnosis right? F1 between the labels of two Impressions.

The expert model is a label reader: CheXpert rules for chest, carotid labels for ultrasound. It gives states
where the paper's expert gives probabilities (Eq. 6). They are binarised, uncertain counting as positive.

The paper calls the F1 of Eq. 7 "macro F1", which is defined over a corpus. A reward belongs to one report, so
ours is the F1 between the two sets of positive labels. Where neither Impression asserts anything the two
agree, and the term is 1.0. Where either report has no Impression the term is skipped: ``None``, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from radflow import readers
from radflow.metrics import Reader, ReadOnce, label_f1
from radflow.metrics.label_f1 import Labels
from radflow.reports import Report


class ImpressionReward:
    """The impression term of one modality, with its readings remembered by text.

    Args:
        modality: decides the labeler.
        labeler: texts to labels; ``None`` loads the modality's.

    Raises:
        DataError: the modality is unknown.
    """

    def __init__(self, modality: str, labeler: Reader | None = None) -> None:
        self._read: ReadOnce[Labels] = ReadOnce(readers.labeler(modality) if labeler is None else labeler)

    def __call__(self, generated: Sequence[Report], reference: Sequence[Report]) -> list[float | None]:
        """F1 in [0, 1] for each pair, or ``None`` where the term is skipped."""
        rewards: list[float | None] = [None] * len(generated)
        pairs = list(zip(generated, reference, strict=True))
        scored = [
            i
            for i, (ours, theirs) in enumerate(pairs)
            if ours.impression is not None and theirs.impression is not None
        ]
        labels = self._read([report.impression or "" for i in scored for report in pairs[i]])
        for i, value in zip(scored, label_f1(labels[0::2], labels[1::2]).tolist(), strict=True):
            rewards[i] = value
        return rewards
