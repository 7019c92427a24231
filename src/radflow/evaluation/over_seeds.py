"""Intervals over several runs of one recipe: a hierarchical bootstrap over seeds, then patients.

Where all seeds have the same test studies (a data set with its own split) one draw of patients serves all
seeds, for a hard study is hard for each; where each seed draws its own patients, each has a draw of its own.
Of five seeds there are few resamples: read the ends as rough.

Axes: ``N`` studies, ``K`` observations, ``R`` resamples.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from radflow.evaluation.intervals import Interval
from radflow.metrics.naming import CORPUS

Array = np.ndarray
Drawn = dict[Hashable, Float[Array, " R"]]
Figures = Callable[[int, Float[Array, "R N"]], Mapping[Hashable, Float[Array, " R"]]]
"""The place of a seed, and how often each resample holds each of its studies, to figures of each resample."""


@dataclass(frozen=True, kw_only=True)
class SystemScores:
    """One system on the test studies of one seed.

    Attributes:
        columns: metric to a number per study; NaN is skipped.
        asserts: what each of its reports asserts.
        truth: what each reference asserts.
    """

    columns: Mapping[str, Float[Array, " N"]]
    asserts: Bool[Array, "N K"]
    truth: Bool[Array, "N K"]

    @np.errstate(invalid="ignore", divide="ignore")  # a mean over no studies is NaN
    def means(self, weights: Float[Array, "R N"]) -> dict[str, Float[Array, " R"]]:
        """Mean of each metric, the F1s over the corpus (`CORPUS`), and ``positives`` per report."""
        found = {}
        for name, values in self.columns.items():
            known = ~np.isnan(values)
            found[name] = weights[:, known] @ values[known] / weights[:, known].sum(axis=1)
        hits, support = weights @ (self.asserts & self.truth), weights @ self.truth
        sizes = weights @ self.asserts + support
        of_each = np.where(support > 0, 2 * hits / sizes, 0.0)
        macro = of_each.sum(axis=1) / (support > 0).sum(axis=1)
        micro = 2 * hits.sum(axis=1) / sizes.sum(axis=1)
        positives = weights @ self.asserts.sum(axis=1) / weights.sum(axis=1)
        return found | dict(zip(CORPUS, (macro, micro), strict=True)) | {"positives": positives}


class SeedBootstrap:
    """Resamples of seeds, then of patients, that all systems and figures share.

    Args:
        patients: of each seed, the patient of each test study.
        crossed: whether the test studies of all seeds are the same, in the same order.
        resamples: how many.
    """

    def __init__(self, patients: Sequence[Sequence[str]], *, crossed: bool, resamples: int) -> None:
        self._patients, self.crossed, self._resamples = patients, crossed, resamples
        size = len(patients)
        self._seeds = np.random.default_rng(0).integers(0, size, size=(resamples, size))

    def figures(self, of: Figures) -> tuple[dict[Hashable, float], Drawn]:
        """The mean over seeds of each figure, and the same in each resample.

        One seed's weights are in memory at a time. ``of`` may return figures of several systems, which then
        share every resample.
        """
        size = len(self._patients)
        whole = [of(seed, np.ones((1, len(p)))) for seed, p in enumerate(self._patients)]
        drawn = [
            [of(seed, self._weights(seed, slot)) for seed in range(size)]
            for slot in range(1 if self.crossed else size)
        ]
        places, means, resampled = np.arange(self._resamples), {}, {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of NaN alone, where no seed has such studies
            for name in whole[0]:
                columns = [np.stack([found[name] for found in row]) for row in drawn]
                picked = [columns[slot % len(columns)][self._seeds[:, slot], places] for slot in range(size)]
                means[name] = float(np.nanmean([found[name] for found in whole]))
                resampled[name] = np.nanmean(picked, axis=0)
        return means, resampled

    def _weights(self, seed: int, slot: int) -> Float[Array, "R N"]:
        """How often each study of a seed is in each resample of patients."""
        patients = self._patients[seed]
        index = {patient: i for i, patient in enumerate(dict.fromkeys(patients))}
        draw = np.random.default_rng([1, slot, 0 if self.crossed else seed])
        counts = draw.multinomial(len(index), np.full(len(index), 1 / len(index)), size=self._resamples)
        return counts[:, [index[patient] for patient in patients]].astype(float)


def interval(mean: float, drawn: Float[Array, " R"]) -> Interval:
    """A figure with its 95% percentile interval; NaN in a resample is left out.

    >>> interval(0.5, np.linspace(0, 1, 101))
    Interval(mean=0.5, low=0.025, high=0.975)
    """
    if np.isnan(drawn).all():
        return Interval(mean=mean)
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Interval(mean=mean, low=float(low), high=float(high))
