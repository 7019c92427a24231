"""What the training stages need to know about reports and may not compute themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from radflow.metrics import score
from radflow.modality import MODALITIES
from radflow.readers import label_vector, labeler
from radflow.reports import parse_report
from radflow.rewards import HierarchicalReward
from radflow.studies import Study
from radflow.training.rft import Validation


def label_vectors(studies: Sequence[Study]) -> list[list[float]]:
    """Binary label vectors of the reference reports, for the auxiliary loss of SFT."""
    labels = labeler(studies[0].modality)([s.reference.canonical for s in studies])
    return label_vector(labels).astype(float).tolist()


def describe(studies: Sequence[Study]) -> dict[str, Any]:
    """Figures of a set of studies, from their reference reports, for the account of Target Exploration."""
    texts = [s.reference.canonical for s in studies]
    labels = labeler(studies[0].modality)(texts)
    vectors = label_vector(labels)
    return {
        "critical_share": float(np.mean([bool(s.critical) for s in studies])),
        "words": float(np.mean([len(t.split()) for t in texts])),
        "positives": float(vectors.sum(axis=1).mean()),
        "labels": dict(zip(labels[0], vectors.mean(axis=0).tolist(), strict=True)),
    }


def measure(texts: Sequence[str], studies: Sequence[Study], reward: HierarchicalReward) -> Validation:
    """Reward and label F1 of one report per study, and what the reports are like, for RFT's validations."""
    modality = studies[0].modality
    rewards = reward.score_many(studies, [[text] for text in texts])
    label = MODALITIES[modality].labels.metric
    f1 = score([parse_report(t).canonical for t in texts], [s.reference.canonical for s in studies], [label])[
        label
    ]
    return Validation(
        rewards=[row[0].total for row in rewards],
        label_f1s=f1.tolist(),
        figures={
            "words": float(np.mean([len(t.split()) for t in texts])),
            "positives": float(label_vector(labeler(modality)(texts)).sum(axis=1).mean()),
            "distinct": len(set(texts)) / len(texts),
        },
    )
