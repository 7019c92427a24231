"""Baselines that stand beside every system, so that a number means something."""

from radflow.baselines.neighbour import NearestContext, random_other
from radflow.baselines.template import most_frequent_report

__all__ = ["NearestContext", "most_frequent_report", "random_other"]
