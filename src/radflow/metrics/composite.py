"""RadCliQ of report texts: the four metrics behind it, each from its official model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from radflow.errors import MissingFileError
from radflow.metrics.bertscore import (
    OFFICIAL_BASELINE,
    OFFICIAL_LAYER,
    OFFICIAL_MODEL,
    TokenEmbedder,
    bertscore,
)
from radflow.metrics.lexical import bleu2
from radflow.metrics.pairs import Reader, reader_name
from radflow.metrics.radcliq import radcliq
from radflow.metrics.radgraph_f1 import radgraph_f1
from radflow.metrics.semb_score import ReportEmbedder, semb_score


@dataclass(frozen=True, kw_only=True)
class RadCliqReaders:
    """The three official networks RadCliQ was fitted on.

    Attributes:
        graphs: texts to RadGraph graphs, the original ``radgraph`` model.
        tokens: distilroberta-base, hidden layer 5, unit token embeddings.
        reports: texts to CheXbert [CLS] embeddings.
    """

    graphs: Reader
    tokens: TokenEmbedder
    reports: ReportEmbedder

    @property
    def name(self) -> str:
        """The three of them, for tables."""
        return "; ".join(reader_name(reader) for reader in (self.graphs, self.tokens, self.reports))


def radcliq_v0(
    generated: Sequence[str], reference: Sequence[str], reader: RadCliqReaders | None = None
) -> Float[np.ndarray, " N"]:
    """RadCliQ-v0, one number per pair; lower is better.

    Raises:
        DataError: the lists differ in length.
        MissingFileError: the official networks were not given.
    """
    return _radcliq(generated, reference, reader, "v0")


def radcliq_v1(
    generated: Sequence[str], reference: Sequence[str], reader: RadCliqReaders | None = None
) -> Float[np.ndarray, " N"]:
    """RadCliQ-v1, one number per pair; lower is better.

    Raises:
        DataError: the lists differ in length.
        MissingFileError: the official networks were not given.
    """
    return _radcliq(generated, reference, reader, "v1")


def _radcliq(
    generated: Sequence[str],
    reference: Sequence[str],
    reader: RadCliqReaders | None,
    version: str,
) -> np.ndarray:
    if reader is None:
        raise MissingFileError(
            f"radcliq_{version} was fitted on the official RadGraph, {OFFICIAL_MODEL} (layer "
            f"{OFFICIAL_LAYER}) and CheXbert networks, which do not ship with radflow; got none. Pass all: "
            f'readers={{"radcliq_{version}": RadCliqReaders(graphs=..., tokens=..., reports=...)}}. '
            "There is no stand-in: with other models the number would not be RadCliQ."
        )
    return radcliq(
        radgraph_f1(generated, reference, reader.graphs),
        bertscore(generated, reference, reader.tokens, baseline=OFFICIAL_BASELINE),
        semb_score(generated, reference, reader.reports),
        bleu2(generated, reference),
        version,
    )
