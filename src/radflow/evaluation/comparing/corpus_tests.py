"""Two systems by their F1s over a corpus: interval and p value of the difference.

No sign can be flipped, since the figures are no means over studies. Instead the reports of the two systems
are exchanged within whole units and both figures made anew: approximate randomisation (Noreen 1989,
*Computer-Intensive Methods for Testing Hypotheses*; Yeh 2000, arXiv:cs/0008005, for F1).

Axes: as in `radflow.evaluation.corpus`; ``U`` units.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from radflow.evaluation.comparing.sign_flips import TIE, exchanges
from radflow.evaluation.corpus import Resampled, corpus_figures, resample_corpus, unit_counts

Array = np.ndarray


@dataclass(frozen=True, kw_only=True)
class CorpusTests:
    """What the figures over a corpus say about two systems.

    Attributes:
        first: figures of the first system.
        second: of the second.
        difference: second minus first, on the same resamples.
        spread: standard error of the difference times the square root of the number of units. For a mean that
            is the standard deviation of the pairs' differences.
        p: two-sided p value of no difference; NaN where a figure does not exist.
        units: patients, or studies.
    """

    first: Float[Array, " S"]
    second: Float[Array, " S"]
    difference: Resampled
    spread: Float[Array, " S"]
    p: Float[Array, " S"]
    units: int


def corpus_tests(
    first: Float[Array, "N C K"],
    second: Float[Array, "N C K"],
    clusters: Sequence[Hashable],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> CorpusTests:
    """Test the differences of two systems on the same studies against 0.

    Args:
        first: counts of the first system.
        second: of the second; the same references stand behind both.
        clusters: what each study belongs to.
        resamples: of the bootstrap, and of the exchanges where they are not enumerated.
        seed: of both draws.

    Raises:
        DataError: no studies, not one cluster per study, or no resample.
    """
    found = resample_corpus(
        {"first": first, "second": second}, clusters=clusters, resamples=resamples, seed=seed
    )
    difference = found["second"] - found["first"]
    ours, theirs = unit_counts(first, clusters), unit_counts(second, clusters)
    with np.errstate(invalid="ignore"):
        spread = np.nanstd(difference.resampled, axis=0) * np.sqrt(len(ours))
    return CorpusTests(
        first=found["first"].figures,
        second=found["second"].figures,
        difference=difference,
        spread=spread,
        p=exchange_p(ours, theirs, resamples=resamples, seed=seed),
        units=len(ours),
    )


def exchange_p(
    first: Float[Array, "U C K"], second: Float[Array, "U C K"], *, resamples: int = 10_000, seed: int = 0
) -> Float[Array, " S"]:
    """Two-sided p value of no difference, by exchanging the systems within units.

    Exact and drawn exchanges, and how they are counted, are those of
    `radflow.evaluation.comparing.sign_flips.sign_flip_p`.

    >>> right = np.array([[[1.0], [1.0], [1.0]]] * 3)
    >>> silent = np.array([[[0.0], [0.0], [1.0]]] * 3)
    >>> exchange_p(silent, right).tolist()
    [0.25, 0.25]
    """
    shape = first.shape[1:]
    half, middle = (second - first).reshape(len(first), -1) / 2, (second + first).sum(axis=0) / 2
    observed = np.abs(corpus_figures(second.sum(axis=0)) - corpus_figures(first.sum(axis=0))) - TIE
    blocks, exact = exchanges(len(first), resamples, seed)
    reached = np.zeros(observed.shape)
    for signs in blocks:
        moved = (signs @ half).reshape(-1, *shape)
        reached += (np.abs(corpus_figures(middle + moved) - corpus_figures(middle - moved)) >= observed).sum(
            axis=0
        )
    p = reached / 2 ** len(first) if exact else (1 + reached) / (1 + resamples)
    return np.where(np.isnan(observed), np.nan, p)
