"""R_domain (Eq. 5): medical correctness of the Findings.

RadGraph F1 for chest radiographs, KeyWordMatch for carotid ultrasound, or another metric that reads by
rules, as FindingMatch, which sees sides and denials. Findings are compared with Findings. Where the
generated report or its reference has no sections, full text is compared with full text, so that a
completion without headers still meets its reference on equal terms. The paper reads with the RadGraph
network; by default we read by rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from radflow import readers
from radflow.errors import DataError
from radflow.metrics import METRICS, Reader, ReadOnce
from radflow.modality import Compared, attribute, modality_of
from radflow.reports import Report


class DomainReward:
    """The domain term of one modality, with its readings remembered by text.

    Args:
        modality: decides the metric of content, and its reader.
        reader: texts to what the metric reads; ``None`` loads the metric's.
        metric: one of :func:`trainable`; ``None`` takes the modality's.

    Raises:
        DataError: the modality is unknown, or the metric cannot be trained on.
    """

    def __init__(self, modality: str, reader: Reader | None = None, metric: str | None = None) -> None:
        content = trained_on(metric, modality) or modality_of(modality).content
        self._measure = attribute(content.target)
        self._read: ReadOnce[Any] = ReadOnce(readers.load(content.reader) if reader is None else reader)

    def __call__(self, generated: Sequence[Report], reference: Sequence[Report]) -> Float[np.ndarray, " N"]:
        """The metric of each pair, in [0, 1]."""
        texts = [compared_texts(ours, theirs) for ours, theirs in zip(generated, reference, strict=True)]
        return self._measure([ours for ours, _ in texts], [theirs for _, theirs in texts], self._read)


def compared_texts(generated: Report, reference: Report) -> tuple[str, str]:
    """The two texts that the domain term compares: both Findings, or both full texts.

    >>> ours = Report(text="Clear.", findings=None, impression=None)
    >>> theirs = Report(text="Findings: Clear. Impression: Normal.", findings="Clear.", impression="Normal.")
    >>> compared_texts(ours, theirs)
    ('Clear.', 'Findings: Clear. Impression: Normal.')
    """
    if generated.findings is None or reference.findings is None:
        return generated.text, reference.text
    return generated.findings, reference.findings


def trainable(modality: str) -> tuple[str, ...]:
    """The metrics that a term of the reward can be: by rules, in [0, 1], of this modality.

    >>> trainable("chest-xray")
    ('radgraph_f1', 'chexpert_f1', 'finding_match')
    """
    return tuple(
        name
        for name, metric in METRICS.items()
        if metric.modality == modality
        and metric.reader
        and not metric.requires
        and metric.range == (0.0, 1.0)
    )


def trained_on(metric: str | None, modality: str) -> Compared | None:
    """The metric of a name as a term of the reward; ``None`` for none.

    Raises:
        DataError: it is none of :func:`trainable`.

    >>> trained_on("finding_match", "chest-xray").reader
    'chest-facts'
    """
    if metric is None:
        return None
    if metric not in trainable(modality):
        raise DataError(
            f"Expected a metric for the reward of {modality} among {', '.join(trainable(modality))}; "
            f"got {metric!r}."
        )
    known = METRICS[metric]
    return Compared(metric=metric, label=known.label, target=known.target, reader=known.reader or "")
