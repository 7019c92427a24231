"""Reinforcement fine-tuning with CAPO (paper, sections 3.2 and 4.3): one step, and the loop around it.

    sample      G reports for each of P studies                     `Roller.start`, in rollout.py
    reward      each report; advantages, and clipping ranges        `Roller.finish`
    reference   log-probabilities under the SFT model, meanwhile    `reference_logprobs`, in update.py
    update      ``inner_steps`` optimiser steps on Eq. 8            `update_policy`
    log         one line of ``metrics.jsonl``                       `step_figures`, in step_log.py

The first inner step has ratio 1 everywhere; clipping acts from the second on, which is why one alone is
refused. The step that is kept is chosen on the validation split, step 0 included (`step_choice`). A reward
can be raised by reports that are merely safer; the label F1 says so: a policy that lost it is no improvement.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from radflow import config
from radflow.errors import DataError, TrainingError
from radflow.files import write_json
from radflow.folders import replaced_folder
from radflow.policy import Group, GroupForward, Policy, save_policy
from radflow.policy.load import checkpoint_activations
from radflow.studies import Study
from radflow.training.checkpoint import (
    load_checkpoint,
    restore_weights,
    save_checkpoint,
    trainable_weights,
)
from radflow.training.rollout import RewardModel, Roller
from radflow.training.schedule import rollout_order
from radflow.training.step_choice import choose_step, said_of_step, why_kept
from radflow.training.step_log import ShiftProbe, peak_bytes, step_figures
from radflow.training.update import Rows, reference_logprobs, update_policy
from radflow.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Validation:
    """How the policy does on validation studies, greedily.

    Attributes:
        rewards: total reward of each study.
        label_f1s: label F1 of each study.
        figures: means for the log: words, positives, share of distinct reports.
    """

    rewards: Sequence[float]
    label_f1s: Sequence[float]
    figures: Mapping[str, float]


def run_rft(
    workspace: Workspace,
    recipe: config.Recipe,
    policy: Policy,
    *,
    studies: Sequence[Study],
    reward: RewardModel,
    validate: Callable[[Policy], Validation],
    accelerator: Accelerator,
    save: Callable[[Policy, Path], None] = save_policy,
) -> Path:
    """Fine-tune on the explored studies; write ``rft/model`` and ``rft/summary.json``.

    Args:
        workspace: the run's folder.
        recipe: the sections ``rft``, ``reward`` and ``policy``.
        policy: with a trainable adapter, and a reference behind `Policy.as_reference`.
        studies: what Target Exploration kept; each annotated critical or not.
        reward: of completions.
        validate: greedy reward and label F1 on the validation split.
        accelerator: one process, or many; each samples its own studies.
        save: how to write the policy.

    Raises:
        TrainingError: nothing to train on, or no ratio can leave 1.
        RewardError: a reward failed; the run stops at its last checkpoint.
    """
    _check(studies, recipe.rft)
    loop = _RftLoop(workspace, recipe, policy, studies, reward, validate, accelerator)
    loop.run()
    return loop.finish(save)


class _RftLoop:
    """The loop of `run_rft`: what a step needs, a step, a validation, and what is kept."""

    def __init__(
        self,
        workspace: Workspace,
        recipe: config.Recipe,
        policy: Policy,
        studies: Sequence[Study],
        reward: RewardModel,
        validate: Callable[[Policy], Validation],
        accelerator: Accelerator,
    ) -> None:
        self.workspace, self.recipe, self.knobs = workspace, recipe, recipe.rft
        self.policy, self.validate, self.accelerator = policy, validate, accelerator
        knobs, ranks = recipe.rft, accelerator.num_processes
        trainable = [p for p in policy.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trainable, lr=knobs.learning_rate, weight_decay=0.0)
        if knobs.gradient_checkpointing:
            checkpoint_activations(policy)
        self.model, self.optimizer = accelerator.prepare(policy.model, optimizer)
        self.forward = GroupForward(
            policy,
            model=self.model,
            temperature=knobs.temperature,
            shared_prefix=knobs.shared_prefix,
            say=workspace.say,
        )
        order = rollout_order(
            len(studies), knobs.steps, knobs.studies_per_step * ranks, seed=workspace.seed("rft", "order")
        )
        share = (accelerator.process_index, ranks)
        self.roller = Roller(policy, studies, order, reward, recipe, workspace.seed, share=share)
        self.state: dict[str, Any] = {"step": 0, "validation": []}
        self.best: dict[str, Tensor] | None = None

    def run(self) -> None:
        """Go on from the checkpoint, if there is one, to the last step."""
        knobs, checkpoint = self.knobs, self.workspace.path("rft", "checkpoint")
        loaded = load_checkpoint(
            checkpoint, model=self.policy.model, optimizer=self.optimizer, say=self.workspace.say
        )
        if loaded is not None:
            self.state, self.best = loaded
            self.workspace.say(f"rft: picking up at step {self.state['step']} of {knobs.steps}")
        self.workspace.forget_metrics("rft", after=self.state["step"] if loaded is not None else -1)
        if not self.state["validation"]:
            self.workspace.log("rft", 0, self._validate(0))
        with self.workspace.track("RFT", knobs.steps) as advance, closing(self.roller):
            advance(self.state["step"])
            for step in range(self.state["step"], knobs.steps):
                row, done = self._step(step), step + 1
                if self._due(done, knobs.validate_every):
                    row |= self._validate(done)
                self.state["step"] = done
                self.workspace.log("rft", done, row)
                if self.accelerator.is_main_process and self._due(done, knobs.checkpoint_every):
                    save_checkpoint(
                        checkpoint,
                        model=self.policy.model,
                        optimizer=self.optimizer,
                        state=self.state,
                        best=self.best,
                    )
                advance(1)

    def _step(self, step: int) -> dict[str, Any]:
        """Sample, reward, reference, update; what the log says of it."""
        begun, knobs = time.perf_counter(), self.knobs
        rate = knobs.learning_rate * min(1.0, (step + 1) / max(1, knobs.warmup_steps))
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate

        pending = self.roller.start(step)  # sampled; the rewards are on their way
        reference = self._reference(pending.groups)  # meanwhile
        rollout = self.roller.finish(pending)
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
        row = step_figures(rollout, update, shift, self.recipe, self.accelerator)
        tokens = sum(len(c.token_ids) for g in rollout.groups for c in g.completions)
        seconds = time.perf_counter() - begun
        return row | {
            "learning_rate": rate,
            "seconds": seconds,
            "tokens_per_second": self.accelerator.num_processes * tokens / seconds,
            "peak_memory_gib": peak_bytes() / 1024**3,
        }

    def _reference(self, groups: Sequence[Group]) -> Rows:
        return reference_logprobs(self.policy, self.forward, groups, self.knobs.tokens_per_pass)

    def _due(self, done: int, every: int) -> bool:
        return done % every == 0 or done == self.knobs.steps

    def _validate(self, done: int) -> dict[str, float]:
        """Validate, remember the weights when they are the best so far, and say so."""
        outcome = self.validate(self.policy)
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
        if choose_step(validations) == done:
            self.best = trainable_weights(self.policy.model)
        self.workspace.say(
            f"rft: step {done}/{self.knobs.steps} validation reward {reward:.3f}, label F1 {label_f1:.3f}; "
            f"{said_of_step(validations)}"
        )
        figures = {"reward": reward, "label_f1": label_f1, **outcome.figures}
        return {f"validation_{name}": value for name, value in figures.items()}

    def finish(self, save: Callable[[Policy, Path], None]) -> Path:
        """Put the chosen step's weights back, save the policy, and say why it is this one."""
        assert self.best is not None
        restore_weights(self.policy.model, self.best)
        folder, validations = self.workspace.path("rft", "model"), self.state["validation"]
        if self.accelerator.is_main_process:
            with replaced_folder(folder) as fresh:
                save(self.policy, fresh)
            chosen, why = choose_step(validations), why_kept(validations)
            summary = {
                "best_step": chosen,
                "why": why,
                "steps": self.knobs.steps,
                "validation": [{k: v[k] for k in ("step", "reward", "label_f1")} for v in validations],
            }
            write_json(self.workspace.path("rft", "summary.json"), summary)
            self.workspace.say(f"rft: kept step {chosen} of {self.knobs.steps}, chosen on validation: {why}")
        self.accelerator.wait_for_everyone()
        return folder


def _check(studies: Sequence[Study], knobs: config.Rft) -> None:
    if not studies:
        raise TrainingError("rft: expected studies from Target Exploration, got none")
    if knobs.inner_steps < 2:
        raise TrainingError("rft: with one inner step the ratio is exactly 1 and no clip ever binds")
    for study in studies:
        if study.critical is None:
            raise DataError(
                f"study {study.study_id}: expected it to be annotated critical or not before training"
            )
