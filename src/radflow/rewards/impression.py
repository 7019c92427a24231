"""R_imp (Eq. 6-7): is the diagnosis right? F1 between the labels of two Impressions.

The expert model is a label reader: CheXpert rules for chest, carotid labels for ultrasound. It gives states
where the paper's expert gives probabilities (Eq. 6). They are binarised, uncertain counting as positive.

The paper calls the F1 of Eq. 7 "macro F1", which is defined over a corpus. A reward belongs to one report, so
ours is the F1 between the two sets of positive labels. Where neither Impression asserts anything the two
agree, and the term is 1.0. Where either report has no Impression the term is skipped: ``None``, never 0.
Labels have no side; FindingMatch in their place does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from radflow import readers
from radflow.metrics import Reader, ReadOnce
from radflow.modality import attribute, modality_of
from radflow.reports import Report
from radflow.rewards.domain import trained_on

Target = Literal["impression", "report"]


class ImpressionReward:
    """The impression term of one modality, with its readings remembered by text.

    Args:
        modality: decides the labeler.
        labeler: texts to what the metric reads; ``None`` loads the metric's.
        metric: another metric of :func:`~radflow.rewards.domain.trainable`; ``None`` is the F1 of labels.
        target: what is compared: the ``impression``, as in the paper, or the whole ``report``.

    Raises:
        DataError: the modality is unknown, or the metric cannot be trained on.
    """

    def __init__(
        self,
        modality: str,
        labeler: Reader | None = None,
        metric: str | None = None,
        target: Target = "impression",
    ) -> None:
        labels = trained_on(metric, modality) or modality_of(modality).labels
        self._measure = attribute(labels.target)
        self._read: ReadOnce[Any] = ReadOnce(readers.load(labels.reader) if labeler is None else labeler)
        self._target: Target = target

    def __call__(self, generated: Sequence[Report], reference: Sequence[Report]) -> list[float | None]:
        """F1 in [0, 1] for each pair, or ``None`` where the term is skipped."""
        return scored(
            generated, reference, self._target, lambda ours, theirs: self._measure(ours, theirs, self._read)
        )


def scored(
    generated: Sequence[Report],
    reference: Sequence[Report],
    target: Target,
    measure: Callable[[list[str], list[str]], Float[np.ndarray, "N"]],
) -> list[float | None]:
    """Measure the pairs that have what is compared; ``None`` for the others."""
    ours, theirs = (
        [report.canonical if target == "report" else report.impression for report in reports]
        for reports in (generated, reference)
    )
    pairs = [(o, t) for o, t in zip(ours, theirs, strict=True) if o is not None and t is not None]
    values = iter(measure([o for o, _ in pairs], [t for _, t in pairs]).tolist())
    return [None if o is None or t is None else next(values) for o, t in zip(ours, theirs, strict=True)]
