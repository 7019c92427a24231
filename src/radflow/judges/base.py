"""What a judge is, and every judge by name.

A judge answers the paper's question about one report: does the Impression logically follow from the
Findings (Section 4.2)? The Findings are the premise; each sentence of the Impression is a hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, runtime_checkable

from radflow.errors import RecipeError, did_you_mean

Pair = tuple[str, str]
"""(findings, impression)."""


@runtime_checkable
class Judge(Protocol):
    """Answers for many reports at once; the answer to a pair depends on that pair alone.

    Attributes:
        name: what is written beside its verdicts.
    """

    name: str

    def __call__(self, pairs: Sequence[Pair]) -> list[bool]:
        """Return whether each Impression follows from its Findings.

        Raises:
            RewardError: the judge could not answer. It never guesses.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A judge's answer with what it rests on.

    Attributes:
        consistent: whether the Impression follows from the Findings.
        reasons: one sentence for each fault found; empty where consistent.
    """

    consistent: bool
    reasons: tuple[str, ...]


JUDGES: dict[str, str] = {"rules": "radflow.judges.rules:RulesJudge"}
"""name -> "module:attribute" of a class that is called without arguments."""


def load(name: str) -> Judge:
    """Make a judge by name.

    Raises:
        RecipeError: there is no judge of that name.

    >>> load("rules")([("No pleural effusion.", "Left pleural effusion.")])
    [False]
    """
    if name not in JUDGES:
        raise RecipeError(
            f"Expected a judge among {', '.join(JUDGES)}; got {name!r}.{did_you_mean(name, JUDGES)} "
            "Judges behind an endpoint or a local model are not part of this version."
        )
    module, attribute = JUDGES[name].split(":")
    return getattr(import_module(module), attribute)()
