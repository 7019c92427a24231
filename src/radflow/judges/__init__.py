"""Judges: does the Impression follow from the Findings? :data:`JUDGES` is the table of them all."""

from radflow.judges.base import JUDGES, Judge, Pair, Verdict, load

__all__ = ["JUDGES", "Judge", "Pair", "Verdict", "load"]
