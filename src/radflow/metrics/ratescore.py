"""RaTEScore (Zhao et al. 2024, arXiv:2406.16845): how alike are the entities of two reports?

Each entity of one report is held to the most alike of the other. Its cosine is weighed by the two types, and
lowered where one is negated; what comes of both directions has a harmonic mean. Weights and arithmetic are
those of the published code's default, ``affinity_matrix="long"`` (MAGIC-AI4Med/RaTEScore, ``a970406``).

Its holes: a report without entities gives 0.5 whatever the other says, also where both have none; the weights
are not symmetric (exchanging the reports changes the score) and were fitted to human ratings, so a disease
held to a disease weighs 0.85 and an abnormality to a disease 0.003; two negations of different diseases are
alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from radflow.errors import MissingFileError
from radflow.metrics.pairs import read_pairs
from radflow.readers.networks.rate import Entities

_KINDS = ("ABNORMALITY", "ANATOMY", "DISEASE", "NON-ABNORMALITY", "NON-DISEASE")
_WEIGHTS = {  # of an entity of this kind, held to one of each of _KINDS
    "ABNORMALITY": (
        0.4276119164393705,
        0.6240929990607657,
        0.0034478181112993847,
        0.5431049700217344,
        0.27005425386213877,
    ),
    "ANATOMY": (
        0.7487824274337533,
        0.2856134859160784,
        0.4592143222158069,
        0.02097055139911715,
        0.00013736314126696204,
    ),
    "DISEASE": (
        0.8396510075734789,
        0.9950209388542061,
        0.8460555030578727,
        0.9820689020512646,
        0.3789136708096537,
    ),
    "NON-ABNORMALITY": (
        0.16546764653692908,
        0.018670610691852826,
        0.719397354576018,
        0.0009357166071730684,
        0.0927333564267591,
    ),
    "NON-DISEASE": (
        0.7759420231214385,
        0.1839139293714062,
        0.10073046076318157,
        0.03860183811876373,
        0.34065681486566446,
    ),
}
_WEIGHT = {(kind, other): w for kind, row in _WEIGHTS.items() for other, w in zip(_KINDS, row, strict=True)}
_NEGATED = 0.8716553966489615
_PRESENT, _ABSENT = frozenset(("DISEASE", "ABNORMALITY")), frozenset(("NON-DISEASE", "NON-ABNORMALITY"))
_NOTHING = 0.5

RateEntities = Callable[[Sequence[str]], Sequence[Entities]]


def ratescore(
    generated: Sequence[str], reference: Sequence[str], reader: RateEntities | None = None
) -> Float[np.ndarray, " N"]:
    """RaTEScore of each pair; higher is better. In [0, 1] for encoders whose terms never oppose each other.

    Args:
        generated: generated reports.
        reference: their references.
        reader: texts to entities: ``readers.load("ratescore:NER+ENCODER")``.

    Raises:
        DataError: the lists differ in length.
        MissingFileError: no reader was given.
    """
    if reader is None:
        raise MissingFileError(
            "ratescore needs two networks, RaTE-NER-Deberta and BioLORD-2023-C, which do not ship with "
            "radflow; got none. Name their folders: --metrics ratescore:NER+ENCODER"
        )
    ours, theirs = read_pairs(generated, reference, reader)
    return np.asarray([rate_score(a, b) for a, b in zip(ours, theirs, strict=True)], dtype=np.float64)


def rate_score(generated: Entities, reference: Entities) -> float:
    """RaTEScore of two reports that were read before.

    >>> effusion = Entities(vectors=np.array([[1.0, 0.0]]), types=("DISEASE",))
    >>> rate_score(effusion, effusion), rate_score(effusion, Entities(vectors=np.empty((0, 2)), types=()))
    (1.0, 0.5)
    >>> rate_score(effusion, effusion._replace(types=("NON-DISEASE",))) == _NEGATED
    True
    """
    if not (generated.types and reference.types):
        return _NOTHING
    alike = reference.vectors.astype(np.float64) @ generated.vectors.astype(np.float64).T
    one = _one_way(alike, reference.types, generated.types)
    other = _one_way(alike.T, generated.types, reference.types)
    return 2 * one * other / (one + other) if one + other else 0.0


def _one_way(alike: Float[np.ndarray, "A B"], types: Sequence[str], others: Sequence[str]) -> float:
    """Weighted mean, over entities, of the cosine to the most alike on the other side."""
    score = total = 0.0
    for kind, row in zip(types, alike, strict=True):
        best = int(row.argmax())
        other = others[best]
        weight = _WEIGHT[kind, other]
        opposed = (kind in _PRESENT and other in _ABSENT) or (kind in _ABSENT and other in _PRESENT)
        score += row[best] * weight * (_NEGATED if opposed else 1.0)
        total += weight
    return float(score / total)
