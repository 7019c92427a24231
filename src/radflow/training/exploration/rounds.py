"""Which studies each rollout of RFT samples, where the picks are refreshed between rollouts.

    round 0    what Target Exploration picked          rollouts 0 to refresh_every - 1
    round 1    picked with the weights after those     the next refresh_every; and so on

What teaches a policy changes as it learns: a study on which all samples have become right is spent. A round
is a function of its number and of the weights it starts with, and its picks stand in the checkpoint. So a run
that was killed in the middle of one goes on with the same studies.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

from accelerate import Accelerator

from radflow.config import Recipe
from radflow.files import read_json
from radflow.policy import Policy
from radflow.studies import Study
from radflow.training.exploration.stage import (
    NothingPickedError,
    passes_of_round,
    run_exploration,
    run_prediction,
)
from radflow.training.rollout import RolloutSampler
from radflow.training.schedule import rollout_order
from radflow.workspace import Workspace


class Rounds:
    """The rounds of one RFT.

    Args:
        workspace: the run's folder; rounds write to ``rft/rounds/<round>``.
        recipe: the sections ``exploration``, ``rft``, ``policy`` and ``evaluation``.
        policy: scores the candidates with the weights it has when a round begins.
        studies: the picks of round 0.
        candidates: the training split.
        accelerator: one process, or many.
    """

    def __init__(
        self,
        workspace: Workspace,
        recipe: Recipe,
        policy: Policy,
        studies: Sequence[Study],
        candidates: Sequence[Study],
        accelerator: Accelerator,
    ) -> None:
        self._workspace, self._recipe, self._policy = workspace, recipe, policy
        self._candidates, self._accelerator = candidates, accelerator
        self._every = recipe.exploration.refresh_every
        self._round, self._studies = 0, studies

    def order(self, studies: Sequence[Study], round_: int = 0) -> list[list[int]]:
        """The places of the studies of each rollout from the start of a round on, over all processes."""
        knobs = self._recipe.rft
        return rollout_order(
            len(studies),
            knobs.steps - round_ * self._every,
            knobs.studies_per_step * self._accelerator.num_processes,
            seed=self._workspace.seed("rft", "order", *([round_] if round_ else [])),
        )

    def turn(self, step: int, sampler: RolloutSampler, state: MutableMapping[str, Any]) -> None:
        """Turn the sampler to the studies of the round that a step is in, and count what picking them cost.

        Args:
            step: the next rollout.
            sampler: of this process.
            state: of the loop; ``picked`` in it holds the ids of the round, for a run that is picked up, and
                ``rounds`` what each later round picked, ``compute`` the token passes of RFT so far.
        """
        round_ = step // self._every if self._every else 0
        if round_ == self._round:
            return
        if "picked" in state:  # of the round before, or of this one
            by_id = {study.study_id: study for study in self._candidates}
            self._studies = [by_id[study_id] for study_id in state["picked"]]
        if step % self._every == 0:
            self._studies = self._pick(round_)
            state["picked"] = [study.study_id for study in self._studies]
            told = self._told(round_)
            state.setdefault("rounds", []).append(told)
            state["compute"] += told["compute"]
        self._round = round_
        sampler.turn_to(self._studies, self.order(self._studies, round_), first=round_ * self._every)

    def _pick(self, round_: int) -> Sequence[Study]:
        run, train = (self._workspace, self._recipe), (self._candidates, self._accelerator)
        run_prediction(*run, self._policy, *train, round_=round_)
        try:
            return run_exploration(*run, *train, round_=round_)
        except NothingPickedError as error:
            self._workspace.say(f"rft: round {round_} keeps the studies of the round before: {error}")
            return self._studies

    def _told(self, round_: int) -> dict[str, Any]:
        """What a round picked, in a line."""
        path = self._workspace.path("rft", "rounds", f"{round_:03d}", "summary.json")
        self._accelerator.wait_for_everyone()  # the first process writes it
        summary = read_json(path) if path.exists() else {}  # no file: it kept what was there
        figures = ("critical_share", "positives", "spread")
        return {
            "round": round_,
            "step": round_ * self._every,
            "picked_size": len(self._studies),
            "compute": passes_of_round(self._workspace, round_),
            **{name: summary[name]["picked"] for name in figures if name in summary},
        }
