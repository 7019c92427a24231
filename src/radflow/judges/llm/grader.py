"""A language model that grades pairs of reports, for the metrics that are what it answers."""

from __future__ import annotations

from collections.abc import Sequence

from radflow import config
from radflow.errors import RecipeError
from radflow.judges.base import Pair
from radflow.judges.llm.judge import LLMJudge, llm_judge
from radflow.judges.llm.questions import Grading


class Grader:
    """Pairs (reference, generated) to one number each. Asked once, kept with the verdicts; never guessed.

    Args:
        judge: who is asked.
        grading: what is asked, and how the answer is read.

    Attributes:
        name: the model, for tables: without the folder that it lies in.
        identity: all that decides an answer, in words.
    """

    def __init__(self, judge: LLMJudge, grading: Grading) -> None:
        self.judge, self._grading = judge, grading
        self.identity = f"{judge.identity.name} {grading.kind}/{grading.version}"
        self.name = judge.identity.model.partition("@")[0]

    def __call__(self, pairs: Sequence[Pair]) -> list[float]:
        """Return the number of each pair, in order.

        Raises:
            JudgeError: some pairs have no number; those of the others are kept.
            PrivacyError: a text may not leave this machine. Then none did.
        """
        return self.judge.grade(self._grading, pairs)


def load_grader(model: str, grading: Grading, knobs: config.Judge, *, local: bool = True) -> Grader:
    """Put together who is asked. Nothing is asked yet.

    Args:
        model: ``openai:<model>`` behind the endpoint of the knobs; else a folder, with ``local:`` or without.
        grading: what is asked.
        knobs: how.
        local: whether a folder will do.

    Raises:
        RecipeError: a folder that will not do, an address in place of a model.
        RadflowError: as :func:`~radflow.judges.llm.judge.llm_judge`.
    """
    if not model.startswith("openai:"):
        if not local or "://" in model:
            raise RecipeError(
                f"{grading.kind}: expected openai:<model>, its address in judge.base_url; got {model!r}"
            )
        model = f"local:{model.removeprefix('local:')}"
    grading.user("", "")  # raises where what it is made of is not installed
    return Grader(llm_judge(model, knobs, grading), grading)
