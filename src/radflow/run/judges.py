"""The judges of a run: made once, before anything takes time; each stage ends with what they were asked."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from radflow import judges
from radflow.config import Recipe
from radflow.errors import RewardError
from radflow.judges.base import CriticalityJudge
from radflow.judges.llm.judge import LLMJudge
from radflow.judges.verdicts.store import STORE
from radflow.workspace import Workspace

_CHANGE_ANSWERS = {"base_url", "identifiers", "votes", "temperature", "max_answer_tokens"}


def judge_inputs(recipe: Recipe, name: str) -> list[dict[str, Any]]:
    """What a judge's answers depend on besides its name. Caps, waits and the store change no answer.

    >>> judge_inputs(Recipe(), "rules")
    []
    >>> sorted(judge_inputs(Recipe(), "openai:gpt-4o")[0])
    ['base_url', 'identifiers', 'max_answer_tokens', 'temperature', 'votes']
    """
    return [] if name == "rules" else [recipe.judge.model_dump(mode="json", include=_CHANGE_ANSWERS)]


def judge_names(recipe: Recipe) -> list[str]:
    """Every judge that a recipe names, once."""
    named = (recipe.reward.judge, recipe.data.triage, recipe.evaluation.judge)
    return list(dict.fromkeys(name for name in named if name is not None))


class Judges:
    """The judges that a recipe names, each made once.

    Args:
        recipe: its ``reward.judge``, ``data.triage``, ``evaluation.judge`` and ``[judge]``.
        workspace: keeps their verdicts where the recipe names no other store, and hears of them.

    Raises:
        RadflowError: one of them cannot be asked, and why: before a stage has begun.
    """

    def __init__(self, recipe: Recipe, workspace: Workspace) -> None:
        knobs = recipe.judge
        if knobs.store is None:
            knobs = knobs.model_copy(update={"store": workspace.path(STORE)})
        self._workspace = workspace
        self._judges = {name: judges.load(name, knobs) for name in judge_names(recipe)}
        for judge in self._asked():
            judge.say = workspace.say

    def of(self, name: str) -> CriticalityJudge:
        """One of them."""
        return self._judges[name]

    def warnings(self) -> list[str]:
        """What the run's page must say about them."""
        return [sentence for judge in self._asked() for sentence in judge.collapsed]

    @contextmanager
    def accounted(self, stage: str) -> Generator[None]:
        """Say what the stage asked, however it ends; end waits that nobody waits for any more."""
        before = [judge.account() for judge in self._asked()]
        try:
            yield
        except BaseException as error:
            for judge in self._asked():
                judge.close()
            if isinstance(error, RewardError):
                self._workspace.say(f"{stage}: stopped; the same command goes on from the last checkpoint")
            raise
        finally:
            for judge, account in zip(self._asked(), before, strict=True):
                if judge.account() != account:
                    self._workspace.say(f"{stage}: {judge.account()}")
            for sentence in self.warnings():
                self._workspace.say(f"{stage}: {sentence}")

    def _asked(self) -> list[LLMJudge]:
        return [judge for judge in self._judges.values() if isinstance(judge, LLMJudge)]
