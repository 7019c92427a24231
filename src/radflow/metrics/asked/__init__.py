"""Metrics that are what a language model answers."""
