"""Reinforcement fine-tuning with CAPO (paper, sections 3.2 and 4.3), step by step.

    sample      G reports for each of P studies                     `RolloutSampler.start`, in rollout.py
    reward      each report; advantages, and clipping ranges        `RolloutSampler.finish`
    reference   log-probabilities under the SFT model, meanwhile    `reference_logprobs`, in update.py
    update      ``inner_steps`` optimiser steps on Eq. 8            `update_policy`
    log         one line of ``metrics.jsonl``                       `step_figures`, in step_log.py

The first inner step has ratio 1 everywhere; clipping acts from the second on, which is why a recipe with one
alone is refused. The step that is kept is chosen on the validation split, step 0 included (`step_choice`). A
reward can be raised by reports that are merely safer; the label F1 says so: a policy that lost it is no
improvement.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from radflow.config import Recipe
from radflow.errors import TrainingError
from radflow.policy import Group, GroupForward, Policy
from radflow.policy.load import checkpoint_activations
from radflow.studies import Study
from radflow.training.exploration import check_annotated
from radflow.training.exploration.rounds import Rounds
from radflow.training.rollout import RewardModel, RolloutSampler
from radflow.training.step_log import ShiftProbe, edited_figures, step_figures
from radflow.training.update import Rows, reference_logprobs, update_policy
from radflow.training.validation import ValidatedLoop
from radflow.workspace import Workspace


def run_rft(
    workspace: Workspace,
    recipe: Recipe,
    policy: Policy,
    *,
    studies: Sequence[Study],
    candidates: Sequence[Study] = (),
    held_out: Sequence[Study],
    reward: RewardModel,
    accelerator: Accelerator,
    merge: bool = False,
) -> Path:
    """Fine-tune on the explored studies; write ``rft/model`` and ``rft/summary.json``.

    Args:
        workspace: the run's folder.
        recipe: the sections ``rft``, ``policy`` and ``evaluation``.
        policy: with a trainable adapter, and a reference behind `Policy.as_reference`.
        studies: what Target Exploration kept; each annotated critical or not.
        candidates: the training split, to pick from anew where ``exploration.refresh_every`` asks for it.
        held_out: the validation split; its first studies choose the step.
        reward: of completions.
        accelerator: one process, or many; each samples its own studies.
        merge: save the model with its adapter folded in, instead of the adapter.

    Raises:
        TrainingError: nothing to train on.
        DataError: a study is not annotated.
        RewardError: a reward failed; the run stops at its last checkpoint.
    """
    if not studies:
        raise TrainingError("rft: expected studies from Target Exploration, got none")
    check_annotated(studies)
    ranks = accelerator.num_processes
    rounds = Rounds(workspace, recipe, policy, studies, candidates, accelerator)
    share = (accelerator.process_index, ranks)
    sampler = RolloutSampler(
        policy, studies, rounds.order(studies), reward, recipe, workspace.seed, share=share
    )
    some = held_out[: recipe.rft.validation_studies]
    with closing(sampler):
        loop = RftLoop(workspace, recipe, policy, accelerator, sampler, rounds, some, reward, merge=merge)
        return loop.run()


class RftLoop(ValidatedLoop):
    """Steps of `run_rft`: one rollout each."""

    stage = "rft"

    def __init__(
        self,
        workspace: Workspace,
        recipe: Recipe,
        policy: Policy,
        accelerator: Accelerator,
        sampler: RolloutSampler,
        rounds: Rounds,
        held_out: Sequence[Study],
        reward: RewardModel,
        *,
        merge: bool,
    ) -> None:
        self.recipe, self.knobs, self.sampler, self.rounds = recipe, recipe.rft, sampler, rounds
        self.held_out, self.reward, self.merge = held_out, reward, merge
        knobs = recipe.rft
        if knobs.gradient_checkpointing:
            checkpoint_activations(policy)
        super().__init__(
            workspace,
            policy,
            accelerator,
            knobs,
            policy.model,
            steps=knobs.steps,
            state={"validation": [], "compute": 0},
        )
        self.forward = GroupForward(
            policy,
            model=self.model,
            temperature=knobs.temperature,
            shared_prefix=knobs.shared_prefix,
            say=workspace.say,
        )

    def rate(self, step: int) -> float:
        """Linear warm-up, then constant."""
        return self.knobs.learning_rate * min(1.0, (step + 1) / max(1, self.knobs.warmup_steps))

    def step(self, step: int) -> tuple[dict[str, Any], int]:
        """Explore anew if it is time for it; sample, reward, reference, update, log."""
        self.rounds.turn(step, self.sampler, self.state)
        knobs, before = self.knobs, self.forward.passes + self.sampler.passes
        pending = self.sampler.start(step)  # sampled; the rewards are on their way
        reference = self._reference(pending.groups)  # meanwhile
        rollout = self.sampler.finish(pending)
        if rollout.replaced:
            fresh = self._reference([rollout.groups[slot] for slot in rollout.replaced])
            for i, slot in enumerate(rollout.replaced):
                size = knobs.group_size
                reference[slot * size : (slot + 1) * size] = fresh[i * size : (i + 1) * size]

        measured = knobs.exact_shift_every and step % knobs.exact_shift_every == 0
        probe = ShiftProbe(self.forward, rollout.groups) if measured else None
        update = update_policy(
            self.model,
            self.forward,
            rollout,
            reference,
            self.optimizer,
            self.accelerator,
            knobs,
            max_tokens=self.recipe.policy.max_new_tokens,
        )

        self.count(self.forward.passes + self.sampler.passes - before)
        shift = probe.measure() if probe else {}
        mended = edited_figures(rollout, update.old) if knobs.edited else {}
        figures = step_figures(rollout, update, {**shift, **mended}, self.accelerator)
        return figures, sum(len(c.token_ids) for g in rollout.groups for c in g.completions)

    def _reference(self, groups: Sequence[Group]) -> Rows:
        return reference_logprobs(self.policy, self.forward, groups, self.knobs.tokens_per_pass)

    def summary(self) -> dict[str, Any]:
        """The same as for the controls, and what the later rounds of exploration picked."""
        return {**super().summary(), "rounds": self.state.get("rounds", [])}
