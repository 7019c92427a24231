"""Judges of single commands: their knobs from the command line, a bar while they answer, their account."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from radflow import config, judges
from radflow.config import make_recipe
from radflow.errors import RecipeError, did_you_mean
from radflow.judges.base import CriticalityJudge
from radflow.judges.llm.judge import LLMJudge
from radflow.judges.verdicts.store import STORE
from radflow.workspace import bar

_CHUNK = 512
"""Questions that are put together; the bar moves after each chunk."""


def judge_sections(
    given: Mapping[str, str], *, known: Sequence[str] = ("judge",)
) -> dict[str, dict[str, str]]:
    """Sort ``section.key`` into sections.

    Args:
        given: what the command line gave beyond the options of the command.
        known: the sections.

    Raises:
        RecipeError: an option that there is not.

    >>> judge_sections({"judge.votes": "3"}, known=("judge", "second"))
    {'judge': {'votes': '3'}, 'second': {}}
    """
    sections: dict[str, dict[str, str]] = {name: {} for name in known}
    for name, value in given.items():
        section, _, key = name.partition(".")
        if section not in sections or not key:
            others = " and ".join(f"--{one}.key VALUE" for one in known)
            raise RecipeError(
                f"--{name.replace('_', '-')}: no such option.{did_you_mean(section, known)} Beside those of "
                f"--help there are {others}, the knobs of the recipe's section judge."
            )
        sections[section][key] = value
    return sections


def judge_knobs(
    values: Mapping[str, str], *, beside: Path, own: Sequence[str] = (), section: str = "judge"
) -> config.Judge:
    """The recipe's section ``judge`` from texts.

    Args:
        values: knob to value; the others keep their defaults.
        beside: a file. The verdicts are kept in its folder unless a store is given.
        own: the knobs that were given as ``--section.key``, not as ``--judge.key``.
        section: the name of that section.

    Raises:
        RecipeError: a knob that there is not, or a value that does not fit.

    >>> knobs = judge_knobs({"votes": "3", "temperature": "0.7"}, beside=Path("out/studies.jsonl"))
    >>> knobs.votes, knobs.store.as_posix()
    (3, 'out/verdicts.sqlite3')
    """
    options = {f"judge.{name}": f"{section if name in own else 'judge'}.{name}" for name in values}
    spelt = {knob: option.replace("_", "-") for knob, option in options.items()}
    knobs = make_recipe({"judge": dict(values)}, options=spelt).judge
    return knobs if knobs.store else knobs.model_copy(update={"store": beside.parent / STORE})


@contextmanager
def opened(name: str, knobs: config.Judge, errors: Console) -> Generator[CriticalityJudge]:
    """Make a judge; in the end close it and say what it asked, however the block ends."""
    judge = judges.load(name, knobs)
    with accounted(judge, errors):
        yield judge


@contextmanager
def accounted(judge: CriticalityJudge, errors: Console) -> Generator[None]:
    """In the end close a judge and say what it asked, however the block ends."""
    try:
        yield
    finally:
        if isinstance(judge, LLMJudge):
            judge.close()
            errors.print(judge.account(), markup=False)
            for sentence in judge.collapsed:
                errors.print(f"[yellow]warning[/]: {sentence}")


def ask(
    answer: Callable[[Sequence[Any]], list[bool]], questions: Sequence[Any], *, what: str, errors: Console
) -> list[bool]:
    """Put questions a chunk at a time, with a bar where ``errors`` is a terminal."""
    verdicts: list[bool] = []
    with bar(what, len(questions), errors) as advance:
        for start in range(0, len(questions), _CHUNK):
            chunk = questions[start : start + _CHUNK]
            verdicts += answer(chunk)
            advance(len(chunk))
    return verdicts
