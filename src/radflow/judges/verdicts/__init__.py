"""Verdicts, asked once and kept."""
