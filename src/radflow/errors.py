"""The errors radflow raises on purpose.

Every message says what was expected, what was found, and what to do, and names the file and line or the
study. Each class is also the built-in error it refines, so that ``except ValueError`` works for callers
who do not know radflow. The command line prints these as one line, without a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RadflowError(Exception):
    """Any error that radflow raises on purpose."""


class RecipeError(RadflowError, ValueError):
    """A recipe or an override asks for something that radflow cannot do."""


class DataError(RadflowError, ValueError):
    """Studies, manifests, images or reports are not as expected."""


class MissingFileError(RadflowError, FileNotFoundError):
    """A file or folder that was named does not exist."""

    def __str__(self) -> str:  # FileNotFoundError's own __str__ prints an errno pair
        return str(self.args[0]) if self.args else ""


class NotWritableError(RadflowError, OSError):
    """A place that radflow must write to cannot be written."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InUseError(RadflowError, BlockingIOError):
    """Another process writes to a place that has one writer at a time."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class MissingDependencyError(RadflowError, ImportError):
    """An optional package is needed for what was asked."""


class RewardError(RadflowError, RuntimeError):
    """A reward or judge call failed. It is never counted as 0: it is retried, or the run stops."""


class TrainingError(RadflowError, RuntimeError):
    """A training run cannot continue, or would do nothing."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` when ``word`` is close to one of ``known``, otherwise ``""``.

    >>> did_you_mean("lerning_rate", ["learning_rate", "steps"])
    " Did you mean 'learning_rate'?"
    >>> did_you_mean("zzz", ["learning_rate"])
    ''
    """
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def at_least(name: str, value: int, least: int) -> int:
    """Return ``value``, or raise `DataError` if it is below ``least``.

    >>> at_least("count", 3, 1)
    3
    """
    if value < least:
        raise DataError(f"{name}: expected at least {least}, got {value}")
    return value
