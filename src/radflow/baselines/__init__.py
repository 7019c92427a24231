"""Baselines that stand beside every system, so that a number means something."""

from radflow.baselines.template import most_frequent_report

__all__ = ["most_frequent_report"]
