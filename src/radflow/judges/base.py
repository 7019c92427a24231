"""What a judge is, and every judge by name.

A judge answers the paper's question about one report: does the Impression logically follow from the
Findings (Section 4.2)? The Findings are the premise; each sentence of the Impression is a hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from radflow import config
from radflow.errors import RecipeError, did_you_mean
from radflow.modality import attribute
from radflow.reports import Report
from radflow.studies import Study

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


@runtime_checkable
class OfModality(Judge, Protocol):
    """A judge that reads the reports of each modality by rules of their own."""

    def for_modality(self, modality: str) -> CriticalityJudge:
        """Return the same judge for studies of one modality.

        Raises:
            DataError: there is no such modality.
        """
        ...


@runtime_checkable
class CriticalityJudge(Judge, Protocol):
    """A judge that also answers the paper's other question (Section 4.3)."""

    def criticality(self, reports: Sequence[Report]) -> list[bool]:
        """Return whether each report describes an abnormal or clinically significant finding, in order.

        Raises:
            RewardError: the judge could not answer.
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


AnyJudge = TypeVar("AnyJudge", bound=Judge)


def told(judge: AnyJudge, modality: str) -> AnyJudge | CriticalityJudge:
    """A judge for studies that state their modality; a language model sees it from the text."""
    return judge.for_modality(modality) if isinstance(judge, OfModality) else judge


def critical(judge: CriticalityJudge, studies: Sequence[Study]) -> list[bool]:
    """Which studies are critical by their reference reports (Eq. 9), each modality asked at once.

    Raises:
        RewardError: the judge could not answer.
    """
    flags: dict[int, bool] = {}
    for modality in dict.fromkeys(study.modality for study in studies):
        places = [place for place, study in enumerate(studies) if study.modality == modality]
        answers = told(judge, modality).criticality([studies[place].reference for place in places])
        flags.update(zip(places, answers, strict=True))
    return [flags[place] for place in range(len(studies))]


JUDGES: dict[str, str] = {
    "rules": "radflow.judges.rules.judge:RulesJudge",
    "openai": "radflow.judges.llm.judge:llm_judge",
    "local": "radflow.judges.llm.judge:llm_judge",
}
"""name -> "module:attribute": a class that is called without arguments; for the two that are language models
a function of the full name (``openai:<model>``, ``local:<folder>``) and the recipe's ``[judge]``."""


def load(name: str, knobs: config.Judge | None = None) -> CriticalityJudge:
    """Make a judge by name.

    Args:
        name: ``rules``; ``openai:<model>``, behind any OpenAI-compatible endpoint; ``local:<folder>``, a
            causal language model.
        knobs: how a language model is asked. By default OpenAI's endpoint, to which the closed privacy gate
            lets nothing out: name the host and set ``allow_remote_text``. Without a ``store`` its verdicts
            are kept for this process.

    Raises:
        RecipeError: there is no judge of that name, or a knob does not say something that can be done.
        PrivacyError: the endpoint is on another machine, and the knobs do not let text go there.
        JudgeError: the endpoint needs a key, and the environment has none.
        MissingDependencyError: the endpoint's client is not installed.
        MissingFileError: there is no such folder.

    >>> load("rules")([("No pleural effusion.", "Left pleural effusion.")])
    [False]
    """
    kind, colon, _ = name.partition(":")
    if kind not in JUDGES or (kind == "rules") == bool(colon):
        raise RecipeError(
            f"Expected a judge among rules, openai:<model>, local:<folder>; got {name!r}."
            + did_you_mean(kind, JUDGES)
        )
    make = attribute(JUDGES[kind])
    return make(name, config.Judge() if knobs is None else knobs) if colon else make()
