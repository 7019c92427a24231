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

import numpy as np
from accelerate import Accelerator

from radflow.config import Recipe
from radflow.errors import TrainingError
from radflow.files import write_json
from radflow.policy import Group, GroupForward, Policy, save_policy
from radflow.policy.load import checkpoint_activations, save_merged
from radflow.studies import Study
from radflow.training.exploration import check_annotated
from radflow.training.loop import TrainingLoop
from radflow.training.rollout import RewardModel, RolloutSampler
from radflow.training.schedule import rollout_order
from radflow.training.step_choice import choose_step, said_of_step, why_kept
from radflow.training.step_log import ShiftProbe, step_figures
from radflow.training.update import Rows, reference_logprobs, update_policy
from radflow.training.validation import validate_policy
from radflow.workspace import Workspace


def run_rft(
    workspace: Workspace,
    recipe: Recipe,
    policy: Policy,
    *,
    studies: Sequence[Study],
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
    knobs, ranks = recipe.rft, accelerator.num_processes
    order = rollout_order(
        len(studies), knobs.steps, knobs.studies_per_step * ranks, seed=workspace.seed("rft", "order")
    )
    share = (accelerator.process_index, ranks)
    sampler = RolloutSampler(policy, studies, order, reward, recipe, workspace.seed, share=share)
    some = held_out[: knobs.validation_studies]
    with closing(sampler):
        return RftLoop(workspace, recipe, policy, accelerator, sampler, some, reward, merge=merge).run()


class RftLoop(TrainingLoop):
    """Steps of `run_rft`: one rollout each."""

    stage = "rft"

    def __init__(
        self,
        workspace: Workspace,
        recipe: Recipe,
        policy: Policy,
        accelerator: Accelerator,
        sampler: RolloutSampler,
        held_out: Sequence[Study],
        reward: RewardModel,
        *,
        merge: bool,
    ) -> None:
        self.recipe, self.knobs, self.sampler = recipe, recipe.rft, sampler
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
            state={"validation": []},
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
        """Sample, reward, reference, update, log."""
        knobs = self.knobs
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

        shift = probe.measure() if probe else {}
        figures = step_figures(rollout, update, shift, self.accelerator)
        return figures, sum(len(c.token_ids) for g in rollout.groups for c in g.completions)

    def _reference(self, groups: Sequence[Group]) -> Rows:
        return reference_logprobs(self.policy, self.forward, groups, self.knobs.tokens_per_pass)

    def validate(self, done: int) -> tuple[dict[str, float], bool]:
        """Reward and label F1 of greedy reports, and whether `choose_step` keeps this step so far."""
        outcome = validate_policy(self.policy, self.recipe, self.held_out, self.reward)
        reward, label_f1 = float(np.mean(outcome.rewards)), float(np.mean(outcome.label_f1s))
        validations = self.state["validation"]
        validations.append(
            {
                "step": done,
                "reward": reward,
                "label_f1": label_f1,
                "rewards": list(outcome.rewards),
                "label_f1s": list(outcome.label_f1s),
            }
        )
        self.workspace.say(
            f"rft: step {done}/{self.steps} validation reward {reward:.3f}, label F1 {label_f1:.3f}; "
            f"{said_of_step(validations)}"
        )
        figures = {"reward": reward, "label_f1": label_f1, **outcome.figures}
        return {f"validation_{n}": value for n, value in figures.items()}, choose_step(validations) == done

    def save(self, folder: Path) -> None:
        """Write the adapter, or the model with its adapter folded in."""
        (save_merged if self.merge else save_policy)(self.policy, folder)

    def conclude(self) -> None:
        """Which step was kept, and why: in ``rft/summary.json`` and in the log."""
        validations = self.state["validation"]
        chosen, why = choose_step(validations), why_kept(validations)
        summary = {
            "best_step": chosen,
            "why": why,
            "steps": self.steps,
            "validation": [{k: v[k] for k in ("step", "reward", "label_f1")} for v in validations],
        }
        write_json(self.workspace.path("rft", "summary.json"), summary)
        self.workspace.say(f"rft: kept step {chosen} of {self.steps}, chosen on validation: {why}")
