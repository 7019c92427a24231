"""Evaluation: the scoring engine, intervals and tests, ``results.json``, what a report gets right."""

from radflow.evaluation.intervals import (
    Interval,
    bootstrap_interval,
    bootstrap_intervals,
    paired_difference,
)
from radflow.evaluation.results import Results, ShuffledImages, read_results, write_results

__all__ = [
    "Interval",
    "Results",
    "ShuffledImages",
    "bootstrap_interval",
    "bootstrap_intervals",
    "paired_difference",
    "read_results",
    "write_results",
]
