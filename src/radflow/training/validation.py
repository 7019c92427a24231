"""How a policy does on the validation split: greedy reports, their reward and label F1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from radflow.config import Recipe
from radflow.metrics import score
from radflow.modality import MODALITIES
from radflow.policy import Policy, greedy_texts
from radflow.readers import label_vector, labeler
from radflow.reports import parse_report
from radflow.studies import Study
from radflow.training.rollout import RewardModel


@dataclass(frozen=True, kw_only=True)
class Validation:
    """How the policy does on validation studies, greedily.

    Attributes:
        rewards: total reward of each study.
        label_f1s: label F1 of each study.
        figures: means for the log: words, positives, share of distinct reports.
    """

    rewards: Sequence[float]
    label_f1s: Sequence[float]
    figures: Mapping[str, float]


def validate_policy(
    policy: Policy, recipe: Recipe, studies: Sequence[Study], reward: RewardModel
) -> Validation:
    """Write one report per study and score it."""
    texts = list(greedy_texts(policy, recipe, studies))
    modality = studies[0].modality
    label = MODALITIES[modality].labels.metric
    pairs = [parse_report(text).canonical for text in texts], [s.reference.canonical for s in studies]
    return Validation(
        rewards=[row[0].total for row in reward.score_many(studies, [[text] for text in texts])],
        label_f1s=score(*pairs, [label])[label].tolist(),
        figures={
            "words": float(np.mean([len(t.split()) for t in texts])),
            "positives": float(label_vector(labeler(modality)(texts)).sum(axis=1).mean()),
            "distinct": len(set(texts)) / len(texts),
        },
    )
