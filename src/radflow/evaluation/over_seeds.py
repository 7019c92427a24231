"""Intervals over several runs of one recipe: Student's t over seeds, and a bootstrap over patients.

Few seeds resampled vary less than seeds do: a bootstrap's 95 % interval over three seeds goes from the lowest
to the highest, and between those the truth lies in three cases of four. So the seeds enter by the variance of
their means, s^2 / n, and the patients by that of a bootstrap, v. Where all seeds have the same test studies
(a data set with its own split) one draw of patients serves all seeds, for a hard study is hard for each, and
the squared standard error is s^2 / n + v. Where each seed draws its own patients, s^2 / n holds their spread
too, and the larger of the two is taken. The degrees of freedom are Satterthwaite's (1946), with n - 1 for
s^2 / n and many for v; with fewer than two of them (two seeds that lie apart) there is no interval, for it
would be wider than the scale. Of one seed it is the bootstrap's, over patients.

Axes: ``S`` seeds, ``N`` studies, ``K`` observations, ``R`` resamples.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from radflow.evaluation.intervals import Interval
from radflow.metrics.naming import CORPUS

Array = np.ndarray
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


class OverSeeds:
    """Means over seeds, with intervals; all figures share every resample of the patients.

    Args:
        patients: of each seed, the patient of each test study.
        crossed: whether the test studies of all seeds are the same, in the same order.
        resamples: how many.
    """

    def __init__(self, patients: Sequence[Sequence[str]], *, crossed: bool, resamples: int) -> None:
        self._patients, self.crossed, self._resamples = patients, crossed, resamples

    def intervals(self, of: Figures) -> dict[Hashable, Interval]:
        """The mean over seeds of each figure with its 95 % interval; NaN where no seed has the figure.

        One seed's weights are in memory at a time.
        """
        seeds = range(len(self._patients))
        whole = [of(seed, np.ones((1, len(self._patients[seed])))) for seed in seeds]
        drawn = [of(seed, self._weights(seed)) for seed in seeds]
        return {
            name: interval(
                np.concatenate([found[name] for found in whole]),
                np.stack([found[name] for found in drawn]),
                crossed=self.crossed,
            )
            for name in whole[0]
        }

    def _weights(self, seed: int) -> Float[Array, "R N"]:
        """How often each study of a seed is in each resample of patients."""
        patients = self._patients[seed]
        index = {patient: i for i, patient in enumerate(dict.fromkeys(patients))}
        draw = np.random.default_rng([1, 0 if self.crossed else seed])
        counts = draw.multinomial(len(index), np.full(len(index), 1 / len(index)), size=self._resamples)
        return counts[:, [index[patient] for patient in patients]].astype(float)


def interval(means: Float[Array, " S"], drawn: Float[Array, "S R"], *, crossed: bool) -> Interval:
    """A mean over seeds with its 95 % interval; see the module.

    Args:
        means: of each seed; NaN where it has none.
        drawn: the same in each resample of patients.
        crossed: whether a resample has the same patients in every seed.

    >>> found = interval(np.array([0.1, 0.2, 0.3]), np.zeros((3, 5)), crossed=False)
    >>> round(found.high - found.mean, 4)  # 4.303 * 0.1 / sqrt(3)
    0.2484
    """
    known = ~np.isnan(means)
    means, drawn, size = means[known], drawn[known], int(known.sum())
    if not size:
        return Interval(mean=math.nan)
    mean = float(means.mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of resamples without such studies
        over_patients = np.nanmean(drawn, axis=0)
    if np.isnan(over_patients).all():
        return Interval(mean=mean)
    if size == 1:
        low, high = np.nanpercentile(over_patients, [2.5, 97.5])
        return Interval(mean=mean, low=float(low), high=float(high))
    of_seeds, of_patients = means.var(ddof=1) / size, np.nanvar(over_patients)
    square = of_seeds + of_patients if crossed else max(of_seeds, of_patients)
    freedom = (size - 1) * (square / of_seeds) ** 2 if of_seeds else math.inf
    if freedom < _FREEDOM[0]:
        return Interval(mean=mean)
    reach = float(student(freedom) * np.sqrt(square))
    return Interval(mean=mean, low=mean - reach, high=mean + reach)


_FREEDOM = (2, 3, 4, 5, 6, 8, 12, 30, math.inf)
_STUDENT = (4.303, 3.182, 2.776, 2.571, 2.447, 2.306, 2.179, 2.042, 1.960)


def student(freedom: float) -> float:
    """The 97.5 % quantile of Student's t, within one percent, for at least two degrees of freedom.

    >>> [round(student(n), 3) for n in (2, 4, 10, float("inf"))]
    [4.303, 2.776, 2.23, 1.96]
    """
    return float(np.interp(-1 / freedom, [-1 / n for n in _FREEDOM], _STUDENT))
