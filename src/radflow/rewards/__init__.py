"""Rewards: one module per term, and ``hierarchical.py`` adds them up (Eq. 4-7). Text in, no tensors."""

from radflow.rewards.hierarchical import PARTS, HierarchicalReward, Reward

__all__ = ["PARTS", "HierarchicalReward", "Reward"]
