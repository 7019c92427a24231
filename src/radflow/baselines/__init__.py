"""The systems that a model is compared with: `BASELINES` lists them, a module each."""

from radflow.baselines.neighbour import NearestContext, random_other
from radflow.baselines.systems import BASELINES, System, system
from radflow.baselines.template import most_frequent_report

__all__ = ["BASELINES", "NearestContext", "System", "most_frequent_report", "random_other", "system"]
