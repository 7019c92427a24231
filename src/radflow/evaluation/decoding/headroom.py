"""What a policy's samples hold that its greedy reports do not: the room that policy optimisation has.

Optimising a policy on its own samples makes the good ones more likely. Where the best of n samples, chosen
with the reference in hand, is no better than the greedy report, there is nothing to make more likely.

Axes: ``P`` studies, ``M`` reports of each, the greedy one first and then ``n`` samples, ``K`` observations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from radflow.errors import DataError
from radflow.evaluation.corpus import Resampled, counts_of, resample_corpus
from radflow.evaluation.decoding.consensus import VOTE, Consensus
from radflow.evaluation.intervals import Interval, bootstrap_intervals
from radflow.evaluation.notation import with_interval
from radflow.metrics.label_f1 import label_f1
from radflow.metrics.naming import corpus_labels
from radflow.metrics.pairs import ReadOnce
from radflow.modality import modality_of
from radflow.readers import assertions, labeler
from radflow.reports import parse_report
from radflow.rewards import HierarchicalReward
from radflow.studies import Study

VOTES = (0.2, 0.3, 0.4, 0.5)
"""Shares of the samples that must assert an observation, to choose `evaluation.vote_share` by."""
GREEDY, MEAN, BY_LABELS, BY_REWARD = "greedy", "mean of samples", "best by labels", "best by reward"


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What was found in all reports.

    Attributes:
        f1: label F1 with the reference.
        reward: total reward.
        asserted: observations, without those that sum up a report.
        support: the same of the references.
    """

    f1: Float[np.ndarray, "P M"]
    reward: Float[np.ndarray, "P M"]
    asserted: Bool[np.ndarray, "P M K"]
    support: Bool[np.ndarray, "P K"]


def measure_headroom(
    studies: Sequence[Study],
    greedy: Sequence[str],
    samples: Sequence[Sequence[str]],
    reward: HierarchicalReward,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Score the greedy reports of a policy, and what could be made of its samples.

    Args:
        studies: P studies of one modality.
        greedy: a report for each.
        samples: n sampled reports for each.
        reward: of the run.
        resamples: of the bootstrap over patients.
        seed: of the draw.

    Returns:
        ``decodings``: name to ``positives`` per report and, with intervals, the label F1 by its name, the F1s
        over the corpus, the ``reward``, and the ``gain`` of each over greedy on the same resamples.
        ``mean of samples`` is what a single sample is worth. The two ``best`` look at the reference, and take
        the first of equals.
        ``differ``: share of studies whose samples do not all assert the same.
        ``references``: positives per reference. ``labels``: printed names. ``conclusion``: one sentence.

    Raises:
        DataError: no study, or not the same number of samples for each.
    """
    if not studies or len({len(group) for group in samples}) != 1 or len(samples) != len(studies):
        raise DataError(
            f"Expected equally many samples of each of one or more studies, got {len(studies)} studies and "
            f"{sorted({len(group) for group in samples})} samples."
        )
    modality = studies[0].modality
    label = modality_of(modality).labels
    found = _read(studies, [[text, *group] for text, group in zip(greedy, samples, strict=True)], reward)
    taken = _taken(modality, found, samples)
    draw: dict[str, Any] = {"clusters": [s.patient_id for s in studies], "resamples": resamples, "seed": seed}
    columns, corpora = _columns(found, taken, label.metric), _corpora(found, taken, draw)
    decodings: dict[str, dict[str, Any]] = {}
    for name, places in taken.items():
        gain = {metric: values - columns[GREEDY][metric] for metric, values in columns[name].items()}
        figures = bootstrap_intervals(columns[name], **draw) | corpora[name].intervals()
        gains = bootstrap_intervals(gain, **draw) | (corpora[name] - corpora[GREEDY]).intervals()
        decodings[name] = {
            **{metric: asdict(interval) for metric, interval in figures.items()},
            "positives": float(np.take_along_axis(found.asserted.sum(-1), places, axis=1).mean()),
            "gain": {metric: asdict(interval) for metric, interval in gains.items()},
        }
    differ = float((found.asserted[:, 1:] != found.asserted[:, 1:2]).any(axis=(1, 2)).mean())
    best = Interval(**decodings[BY_LABELS]["gain"][label.metric])
    return {
        "decodings": decodings,
        "differ": differ,
        "references": float(found.support.sum(axis=1).mean()),
        "labels": {label.metric: label.label, **corpus_labels(label.label), "reward": "Reward"},
        "conclusion": conclusion(best, len(samples[0]), differ),
    }


def conclusion(gain: Interval, samples: int, differ: float) -> str:
    """What the gain of the best sample over greedy in label F1 means for RFT, in a sentence.

    >>> conclusion(Interval(mean=0.0, low=0.0, high=0.01), 16, 0.0).partition(":")[0]
    'Best of 16 by label F1 is not clearly better than greedy (0.000 [0.000, +0.010])'
    """
    said = with_interval(gain, gain=True)
    if gain.low > 0:
        return (
            f"Best of {samples} by label F1 is better than greedy ({said}), and the samples of {differ:.0%} "
            "of the studies differ in their labels: RFT has better reports to make more likely."
        )
    return (
        f"Best of {samples} by label F1 is not clearly better than greedy ({said}): where best of n is no "
        "better than greedy, no policy optimisation can help. Measure more studies, or train SFT for longer."
    )


def _read(studies: Sequence[Study], reports: Sequence[Sequence[str]], reward: HierarchicalReward) -> _Read:
    shape = (len(studies), len(reports[0]))
    read = ReadOnce(labeler(studies[0].modality))
    labels = read([parse_report(text).canonical for group in reports for text in group])
    reference = read([study.reference.canonical for study in studies])
    repeated = [row for row in reference for _ in range(shape[1])]
    return _Read(
        f1=label_f1(labels, repeated).reshape(shape),
        reward=np.array([[one.total for one in row] for row in reward.score_many(studies, reports)]),
        asserted=assertions(labels).reshape(*shape, -1),
        support=assertions(reference),
    )


def _taken(
    modality: str, found: _Read, samples: Sequence[Sequence[str]]
) -> dict[str, Int[np.ndarray, "P _"]]:
    """Which of each study's reports every decoding takes: one, or for the mean all samples."""
    votes = {f"vote of {share:.0%}": Consensus(modality, VOTE, share=share) for share in VOTES}
    choosers = {"consensus": Consensus(modality), **votes}
    ones = {
        BY_LABELS: found.f1[:, 1:].argmax(axis=1),
        BY_REWARD: found.reward[:, 1:].argmax(axis=1),
        **{name: np.array(choose(samples)) for name, choose in choosers.items()},
    }
    studies, count = len(samples), len(samples[0])
    return {
        GREEDY: np.zeros((studies, 1), dtype=int),
        MEAN: np.tile(np.arange(1, count + 1), (studies, 1)),
        **{name: 1 + chosen[:, None] for name, chosen in ones.items()},
    }


def _columns(
    found: _Read, taken: Mapping[str, Int[np.ndarray, "P _"]], metric: str
) -> dict[str, dict[str, Float[np.ndarray, " P"]]]:
    """Label F1 and reward of each study, for each decoding."""
    return {
        name: {
            key: np.take_along_axis(values, places, axis=1).mean(axis=1)
            for key, values in ((metric, found.f1), ("reward", found.reward))
        }
        for name, places in taken.items()
    }


def _corpora(
    found: _Read, taken: Mapping[str, Int[np.ndarray, "P _"]], draw: Mapping[str, Any]
) -> dict[str, Resampled]:
    """The F1s over the corpus of each decoding; of the mean, those of the n corpora of single samples."""
    rows = np.arange(len(found.support))
    counts = {
        (name, column): counts_of(found.asserted[rows, places[:, column]], found.support)
        for name, places in taken.items()
        for column in range(places.shape[1])
    }
    single = resample_corpus(counts, **draw)
    parts = {name: [single[name, column] for column in range(taken[name].shape[1])] for name in taken}
    return {
        name: Resampled(
            figures=np.mean([one.figures for one in some], axis=0),
            resampled=np.mean([one.resampled for one in some], axis=0),
        )
        for name, some in parts.items()
    }
