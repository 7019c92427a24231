"""Rewards: one module per term, and ``hierarchical.py`` adds them up (Eq. 4-7). Text in, no tensors."""

from radflow.rewards.diagnosis import DiagnosisReward, label_prevalence, prediction_counts
from radflow.rewards.from_recipe import reward_of
from radflow.rewards.hierarchical import PARTS, HierarchicalReward, Reward

__all__ = [
    "PARTS",
    "DiagnosisReward",
    "HierarchicalReward",
    "Reward",
    "label_prevalence",
    "prediction_counts",
    "reward_of",
]
