"""R_domain (Eq. 5): medical correctness of the Findings.

RadGraph F1 for chest radiographs, KeyWordMatch for carotid ultrasound. Findings are compared with Findings.
Where the generated report or its reference has no sections, full text is compared with full text, so that a
completion without headers still meets its reference on equal terms. The paper reads with the RadGraph
network; by default we read by rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from radflow.errors import DataError
from radflow.metrics import Reader, ReadOnce, keyword_match_from_terms, radgraph_f1_from_graphs
from radflow.reports import Report

MEASURES: dict[str, tuple[str, Callable[..., np.ndarray]]] = {
    "chest-xray": ("radgraph-rules", radgraph_f1_from_graphs),
    "carotid-us": ("carotid-terms", keyword_match_from_terms),
}
"""Modality to (name of the reader, measure of two lists of its readings)."""


class DomainReward:
    """The domain term of one modality, with its readings remembered by text.

    Args:
        modality: ``chest-xray`` or ``carotid-us``.
        reader: texts to graphs (chest) or to term sets (ultrasound); ``None`` loads the modality's default.

    Raises:
        DataError: the modality is unknown.
    """

    def __init__(self, modality: str, reader: Reader | None = None) -> None:
        if modality not in MEASURES:
            raise DataError(f"Expected modality to be one of {', '.join(MEASURES)}; got {modality!r}.")
        default, self._measure = MEASURES[modality]
        if reader is None:
            from radflow import readers

            reader = readers.load(default)
        self._read: ReadOnce[Any] = ReadOnce(reader)

    def __call__(self, generated: Sequence[Report], reference: Sequence[Report]) -> Float[np.ndarray, " N"]:
        """RadGraph F1 (ReXrank flavour) or KeyWordMatch of each pair, in [0, 1]."""
        texts = [compared_texts(ours, theirs) for ours, theirs in zip(generated, reference, strict=True)]
        readings = self._read([text for pair in texts for text in pair])
        return self._measure(readings[0::2], readings[1::2])


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
