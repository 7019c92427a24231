"""Evaluation: intervals and paired differences, scorecards, ``results.json``, controls."""

from radflow.evaluation.drift import Drift, measure_drift
from radflow.evaluation.intervals import Interval, bootstrap_interval, paired_difference
from radflow.evaluation.results import Results, ShuffledImages, read_results, write_results
from radflow.evaluation.scorecard import Scorecard, gain, make_scorecard
from radflow.evaluation.shuffle import derangement
from radflow.evaluation.tables import results_table

__all__ = [
    "Drift",
    "Interval",
    "Results",
    "Scorecard",
    "ShuffledImages",
    "bootstrap_interval",
    "derangement",
    "gain",
    "make_scorecard",
    "measure_drift",
    "paired_difference",
    "read_results",
    "results_table",
    "write_results",
]
