"""RadCliQ: a linear model fitted to radiologists' error counts on top of four other metrics.

Source: Yu et al., "Evaluating progress in automatic chest X-ray radiology report generation", Patterns 2023;
the coefficients are those of its published models. **Lower is better**: the score predicts the number of
errors a radiologist would find, standardised for v1. It is defined on the official RadGraph, distilroberta
BERTScore and CheXbert numbers only; on stand-ins it would be another quantity under the same name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from radflow.errors import DataError, MissingFileError
from radflow.metrics.bertscore import (
    OFFICIAL_BASELINE,
    OFFICIAL_LAYER,
    OFFICIAL_MODEL,
    TokenEmbedder,
    bertscore,
)
from radflow.metrics.lexical import bleu2
from radflow.metrics.pairs import Reader, reader_name
from radflow.metrics.radgraph_f1 import radgraph_f1
from radflow.metrics.semb_score import ReportEmbedder, semb_score

Scores = float | int | ArrayLike  # ArrayLike alone leaves plain numbers to the numeric tower

FEATURES = ("radgraph", "bertscore", "semb", "bleu2")
"""The order of every vector below."""


@dataclass(frozen=True, kw_only=True)
class RadCliqModel:
    """A published linear model: ``intercept + coefficients . (x - mean) / scale``."""

    mean: tuple[float, float, float, float]
    scale: tuple[float, float, float, float]
    coefficients: tuple[float, float, float, float]
    intercept: float


MODELS: dict[str, RadCliqModel] = {
    "v0": RadCliqModel(
        mean=(0.5398376019082272, 0.6312549595000001, 0.7716797866672277, 0.4607372064809605),
        scale=(0.3018344440559102, 0.22466950746141123, 0.24750333805236252, 0.30336670936092264),
        coefficients=(-0.4796252644863446, -0.6762170542369337, -0.46366575161751994, 0.2165861905287535),
        intercept=1.641666666666666,
    ),
    "v1": RadCliqModel(
        mean=(0.5379231241355762, 0.6175725628125001, 0.7647942121140658, 0.44738335396242174),
        scale=(0.3028258411486429, 0.22430938459304575, 0.2539439110169773, 0.2989271671041838),
        coefficients=(
            -0.37708368261038905,
            -0.37030009974480316,
            -0.25261621789593225,
            4.315048405024756e-12,
        ),
        intercept=2.466552561323256e-10,
    ),
}


def radcliq(
    radgraph: Scores,
    bertscore: Scores,
    semb: Scores,
    bleu2: Scores,
    version: str = "v1",
) -> Float[np.ndarray, "*shape"]:
    """Combine four metrics of the same pairs into RadCliQ, elementwise; lower is better, no fixed range.

    As a per-report reward use ``-radcliq(..., version="v1")``: v1 crosses 0, so the reciprocal of one
    report's score means nothing (see :func:`inverse_radcliq_v1`).

    Args:
        radgraph: RadGraph F1, ReXrank flavour, official model.
        bertscore: distilroberta-base layer 5, no IDF, rescaled.
        semb: cosine of CheXbert embeddings.
        bleu2: BLEU-2.
        version: ``"v1"`` (what ReXrank publishes) or ``"v0"``.

    Raises:
        DataError: unknown version, or shapes that do not broadcast.

    >>> radcliq(1, 1, 1, 1).round(10).item(), radcliq(0, 0, 0, 0).round(10).item()
    (-1.4406902828, 2.4501430833)
    >>> radcliq(1, 1, 1, 1, version="v0").round(10).item()
    -0.2421334229
    """
    if version not in MODELS:
        raise DataError(f"Expected RadCliQ version 'v0' or 'v1', got {version!r}.")
    model = MODELS[version]
    values = (radgraph, bertscore, semb, bleu2)
    try:
        features = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values))
    except ValueError as error:
        shapes = ", ".join(f"{n} {np.shape(v)}" for n, v in zip(FEATURES, values, strict=True))
        raise DataError(f"Expected four arrays over the same pairs, got {shapes}.") from error
    # Term by term rather than as a matrix product: BLAS sums in another order for another batch size.
    score = np.full(features[0].shape, model.intercept)
    for feature, mean, scale, weight in zip(
        features, model.mean, model.scale, model.coefficients, strict=True
    ):
        score = score + weight * (feature - mean) / scale
    return np.asarray(score)  # zero-dimensional sums come out of NumPy as scalars


def inverse_radcliq_v1(scores: ArrayLike) -> float:
    """The published "1/RadCliQ-v1": one over the corpus mean, not the mean of reciprocals; higher is better.

    Args:
        scores: RadCliQ-v1 of each pair.

    Returns:
        a positive number, or NaN where there is none: for a mean of 0 or below (reports close to their
        references: an exact match has -1.44), where the reciprocal would rank the better system lower; for
        no scores; and where a score is NaN. Give the mean itself then.

    >>> inverse_radcliq_v1([1.0, 4.0])
    0.4
    >>> inverse_radcliq_v1([-1.44, -0.2])
    nan
    """
    values = np.asarray(scores, dtype=np.float64)
    mean = float(values.mean()) if values.size else math.nan
    return 1.0 / mean if mean > 0 else math.nan


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
