"""The command line: the only place that wires stages together."""

from radflow.cli.app import main

__all__ = ["main"]
