"""Macro and micro F1 over a corpus, with bootstrap intervals.

They are no means over studies, so each resample's figures are made anew: the counts of every unit (a patient,
or a study) stand in one matrix, a resample says how often it holds each unit, and the product of the two is
the counts of all resamples at once.

Axes: ``N`` studies, ``C`` the counts of `COUNTS`, ``K`` observations, ``R`` resamples, ``S`` the figures of
`radflow.metrics.naming.CORPUS`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float

from radflow.errors import DataError
from radflow.evaluation.intervals import Interval, check_settings, drawn_units, unit_of_study
from radflow.evaluation.scoring import SIDES, Columns, asserted
from radflow.metrics.corpus_f1 import f1_of_counts
from radflow.metrics.naming import CORPUS

Array = np.ndarray
Name = TypeVar("Name", bound=Hashable)

COUNTS = ("right", "written", "support")
"""Of each observation: asserted by both reports of a pair, by the generated one, by the reference."""


def label_counts(columns: Columns, generated: str = SIDES[0]) -> Float[Array, "N C K"]:
    """Count what each study's reports assert.

    Args:
        columns: as `radflow.evaluation.scoring.score_pairs` gives them, with the states of both sides.
        generated: the side that is compared with the references; ``template:generated`` is a baseline's.
    """
    written, support = (
        np.stack(list(asserted(columns, side).values()), axis=1) for side in (generated, SIDES[1])
    )
    return counts_of(written, support)


def counts_of(written: Bool[Array, "N K"], support: Bool[Array, "N K"]) -> Float[Array, "N C K"]:
    """The counts of each study: of what its generated report asserts, and its reference."""
    return np.stack([written & support, written, support], axis=1).astype(np.float64)


def corpus_figures(counts: Float[Array, "*corpora C K"]) -> Float[Array, "*corpora S"]:
    """Macro and micro F1 of the counts of a corpus, or of many; see `radflow.metrics.corpus_f1`."""
    return np.stack(f1_of_counts(*np.moveaxis(counts, -2, 0)), axis=-1)


def unit_counts(counts: Float[Array, "N C K"], clusters: Sequence[Hashable] | None) -> Float[Array, "U C K"]:
    """The counts of each unit of resampling, ``U`` of them.

    Raises:
        DataError: no studies, or not one cluster per study.
    """
    if not len(counts):
        raise DataError("Expected at least one study to resample, got none.")
    unit = unit_of_study(clusters, len(counts))
    totals = np.zeros((int(unit.max()) + 1, *counts.shape[1:]))
    np.add.at(totals, unit, counts)
    return totals


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """The figures of one system, or the difference of two on the same resamples.

    Attributes:
        figures: of all studies.
        resampled: of each resample.
    """

    figures: Float[Array, " S"]
    resampled: Float[Array, "R S"]

    def __sub__(self, other: Resampled) -> Resampled:
        return Resampled(figures=self.figures - other.figures, resampled=self.resampled - other.resampled)

    def intervals(self, confidence: float = 0.95) -> dict[str, Interval]:
        """Each figure with its percentile interval; one that does not exist is left out."""
        found = {}
        for name, figure, drawn in zip(CORPUS, self.figures, self.resampled.T, strict=True):
            if np.isfinite(figure):
                tail = 100 * (1 - confidence) / 2
                low, high = np.nanpercentile(drawn, [tail, 100 - tail])
                found[name] = Interval(mean=float(figure), low=float(low), high=float(high))
        return found


def resample_corpus(
    systems: Mapping[Name, Float[Array, "N C K"]],
    *,
    clusters: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[Name, Resampled]:
    """Bootstrap (Efron 1979) the F1s of some systems on the same studies: all get the same resamples.

    An observation counts in the macro F1 of a resample where one of its references asserts it.

    Args:
        systems: name to the counts of `label_counts`, all of the same studies in the same order.
        clusters: what each study belongs to (its patient); studies are resampled when not given.
        resamples: how many resamples.
        seed: of the draw.

    Raises:
        DataError: no studies, not one cluster per study, or no resample.

    >>> counts = np.array([[[1.0], [1.0], [1.0]], [[0.0], [0.0], [1.0]]])
    >>> resample_corpus({"sft": counts})["sft"].intervals()["corpus_macro_f1"].mean.__round__(3)
    0.667
    """
    check_settings(resamples, 0.95)
    if not systems:
        return {}
    by_unit = np.stack([unit_counts(counts, clusters) for counts in systems.values()], axis=1)
    totals, shape = by_unit.reshape(len(by_unit), -1), by_unit.shape[1:]
    blocks = []
    for drawn in drawn_units(len(totals), resamples, seed):
        places = drawn + len(totals) * np.arange(len(drawn))[:, None]
        times = np.bincount(places.ravel(), minlength=len(drawn) * len(totals)).reshape(drawn.shape)
        blocks.append(corpus_figures((times.astype(np.float64) @ totals).reshape(-1, *shape)))
    resampled = np.concatenate(blocks)
    return {
        name: Resampled(figures=corpus_figures(counts.sum(axis=0)), resampled=resampled[:, place])
        for place, (name, counts) in enumerate(systems.items())
    }
