"""Figures of a row over its seeds, and of one row minus another, from the scores of their studies."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from radflow.ablation.results import FLIPS, RESAMPLES, Difference
from radflow.evaluation.comparing.sign_flips import holm, paired_tests
from radflow.evaluation.files.scores import SystemScores
from radflow.evaluation.intervals import Interval
from radflow.evaluation.over_seeds import OverSeeds
from radflow.evaluation.over_seeds import SystemScores as Arrays
from radflow.metrics.naming import CORPUS

INVERSE = "inverse_radcliq_v1"
"""One over the mean of RadCliQ-v1, as the paper and ReXrank print it."""
POSITIVES = "positives"
"""Labels per report, of rows whose labels were read; no better direction."""
MADE_OF = {INVERSE: "radcliq_v1"}
"""Figures that are no means, to the metric that they are made of."""


@dataclass(frozen=True, kw_only=True)
class SeedScores:
    """One system of one run.

    Attributes:
        scores: of its evaluation.
        studies: the id, patient and a fingerprint of the reference of each study, in the order of the scores.
        critical: whether each study is critical.
        made: which images the reports were made of, and how they were decoded, in words.
    """

    scores: SystemScores
    studies: tuple[tuple[str, str, str], ...]
    critical: tuple[bool, ...]
    made: str = ""

    @property
    def patients(self) -> list[str]:
        """Of each study."""
        return [patient for _, patient, _ in self.studies]


def figures_of(seeds: Sequence[SeedScores]) -> dict[str, Interval]:
    """Metric to the mean over seeds, with its interval; `POSITIVES` where labels were read."""
    arrays = [_arrays(one.scores) for one in seeds]
    found = _known(over_seeds(seeds).intervals(lambda at, weights: _means(arrays[at], weights)))
    if not all(one.scores.asserted for one in seeds):
        found.pop(POSITIVES, None)
    return found


def positives_of_references(seeds: Sequence[SeedScores]) -> float | None:
    """Labels per reference, the mean over all seeds and studies; ``None`` where none were read."""
    counts = [len(reference) for one in seeds for _, reference in one.scores.asserted.values()]
    return float(np.mean(counts)) if counts else None


def differences_of(first: Sequence[SeedScores], second: Sequence[SeedScores]) -> dict[str, Difference]:
    """Metric to first minus second; both have the same seeds, with the same test studies."""
    p = _p_values(first, second, crossed=over_seeds(first).crossed)
    return {
        name: Difference(found=found, p=p.get(MADE_OF.get(name, name), math.nan))
        for name, found in gaps_of(first, second).items()
    }


def gaps_of(
    first: Sequence[SeedScores], second: Sequence[SeedScores], *, critical: bool = False
) -> dict[str, Interval]:
    """Metric to first minus second, with its interval; ``critical`` counts no other studies.

    Both have the same seeds, with the same test studies.
    """
    mine, theirs = ([_arrays(one.scores) for one in seeds] for seeds in (first, second))
    counted = [np.array(one.critical) if critical else np.ones(len(one.studies)) for one in first]

    def minus(at: int, weights: Float[np.ndarray, "R N"]) -> dict[Any, Float[np.ndarray, " R"]]:
        ours, others = (_means(seeds[at], weights * counted[at]) for seeds in (mine, theirs))
        return {name: ours[name] - others[name] for name in ours if name in others}

    return _known(over_seeds(first).intervals(minus))


def corrected(rows: Sequence[Mapping[str, Difference]]) -> list[dict[str, Difference]]:
    """The same with p values corrected for all tests of all rows, by Holm's method."""
    places = [(at, name) for at, row in enumerate(rows) for name in row]
    adjusted = holm(np.array([rows[at][name].p for at, name in places], dtype=float))
    found = [dict(row) for row in rows]
    for (at, name), p in zip(places, adjusted.tolist(), strict=True):
        found[at][name] = replace(found[at][name], p_holm=p)
    return found


def over_seeds(seeds: Sequence[SeedScores]) -> OverSeeds:
    """For a row's seeds; the resamples of rows that have the same studies are equal."""
    crossed = all(one.studies == seeds[0].studies for one in seeds)
    return OverSeeds([one.patients for one in seeds], crossed=crossed, resamples=RESAMPLES)


def _known(found: Mapping[Hashable, Interval]) -> dict[str, Interval]:
    return {str(name): one for name, one in found.items() if math.isfinite(one.mean)}


def _means(seed: Arrays, weights: Float[np.ndarray, "R N"]) -> dict[Any, Float[np.ndarray, " R"]]:
    found: dict[Any, Float[np.ndarray, " R"]] = dict(seed.means(weights))
    for name, source in MADE_OF.items():
        if source in found:
            mean = found[source]
            found[name] = np.where(mean > 0, 1 / np.where(mean > 0, mean, 1.0), np.nan)
    return found


def _arrays(scores: SystemScores) -> Arrays:
    said = [scores.asserted[study] for study in scores.values] if scores.asserted else []
    observations = sorted({name for both in said for side in both for name in side})

    def table(side: int) -> np.ndarray:
        rows = [[name in both[side] for name in observations] for both in said] or [[]] * len(scores.values)
        return np.array(rows, dtype=bool).reshape(len(scores.values), len(observations))

    return Arrays(
        columns={
            name: np.array([row.get(name, math.nan) for row in scores.values.values()])
            for name in scores.metrics
            if name not in CORPUS
        },
        asserts=table(0),
        truth=table(1),
    )


def _p_values(
    first: Sequence[SeedScores], second: Sequence[SeedScores], *, crossed: bool
) -> dict[str, float]:
    """By metric; where the seeds share patients, what a patient has of all seeds is flipped together."""
    names = [n for n in first[0].scores.metrics if n not in CORPUS and n in second[0].scores.metrics]
    rows, units = [], []
    for at, (ours, theirs) in enumerate(zip(first, second, strict=True)):
        for study, patient in zip(ours.scores.values, ours.patients, strict=True):
            mine, other = ours.scores.values[study], theirs.scores.values[study]
            rows.append([mine.get(n, math.nan) - other.get(n, math.nan) for n in names])
            units.append(patient if crossed else f"{at} {patient}")
    tests = paired_tests(np.array(rows, dtype=float), units, resamples=FLIPS)
    return dict(zip(names, tests.p.tolist(), strict=True))
