"""Reinforcement fine-tuning with CAPO (paper, sections 3.2 and 4.3).

One step samples a group of G reports for each of P studies, rewards them, and takes ``inner_steps`` optimiser
steps on Eq. 8 with the clipping range of each case. The first of them has ratio 1 everywhere; clipping acts
from the second on, which is why one alone is refused.

The step that is kept is chosen on the validation split, step 0 included (`step_choice`). A reward can be
raised by reports that are merely safer; the label F1 says so: a policy that lost it is not an improvement.
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
from radflow.policy import FeatureStore, GroupForward, Policy, PromptEncoder, save_policy
from radflow.policy.load import checkpoint_activations
from radflow.studies import Study
from radflow.training.checkpoint import (
    load_checkpoint,
    restore_weights,
    save_checkpoint,
    trainable_weights,
)
from radflow.training.rft_step import Stepper
from radflow.training.rollout import RewardModel, Roller
from radflow.training.schedule import rollout_order
from radflow.training.step_choice import choose_step, said_of_step, why_kept
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
    encoder: PromptEncoder,
    *,
    studies: Sequence[Study],
    reward: RewardModel,
    validate: Callable[[Policy], Validation],
    accelerator: Accelerator,
    features: FeatureStore | None = None,
    save: Callable[[Policy, Path], None] = save_policy,
) -> Path:
    """Fine-tune on the explored studies; write ``rft/model`` and ``rft/summary.json``.

    Args:
        workspace: the run's folder.
        recipe: the sections ``rft`` and ``policy``.
        policy: with a trainable adapter, and a reference behind `Policy.as_reference`.
        encoder: of the same policy.
        studies: what Target Exploration kept; each annotated critical or not.
        reward: of completions.
        validate: greedy reward and label F1 on the validation split.
        accelerator: one process, or many; each samples its own studies.
        features: of the policy's frozen vision tower; ``None`` runs the tower in every pass.
        save: how to write the policy.

    Raises:
        TrainingError: nothing to train on, or no ratio can leave 1.
        RewardError: a reward failed; the run stops at its last checkpoint.
    """
    knobs = recipe.rft
    _check(studies, knobs)
    optimizer = torch.optim.AdamW(
        [p for p in policy.model.parameters() if p.requires_grad], lr=knobs.learning_rate, weight_decay=0.0
    )
    if knobs.gradient_checkpointing:
        checkpoint_activations(policy)
    model, optimizer = accelerator.prepare(policy.model, optimizer)
    checkpoint = workspace.path("rft", "checkpoint")
    state: dict[str, Any] = {"step": 0, "validation": []}
    best: dict[str, Tensor] | None = None
    loaded = load_checkpoint(checkpoint, model=policy.model, optimizer=optimizer, say=workspace.say)
    if loaded is not None:
        state, best = loaded
        workspace.say(f"rft: picking up at step {state['step']} of {knobs.steps}")
    workspace.forget_metrics("rft", after=state["step"] if loaded is not None else -1)

    ranks, rank = accelerator.num_processes, accelerator.process_index
    order = rollout_order(
        len(studies), knobs.steps, knobs.studies_per_step * ranks, seed=workspace.seed("rft", "order")
    )
    forward = GroupForward(
        policy,
        encoder,
        model=model,
        features=features,
        temperature=knobs.temperature,
        shared_prefix=knobs.shared_prefix,
        say=workspace.say,
    )
    roller = Roller(
        policy, encoder, features, studies, order, reward, recipe, workspace.seed, share=(rank, ranks)
    )
    stepper = Stepper(policy, model, forward, roller, optimizer, accelerator, recipe)

    def judge_step(step: int) -> dict[str, float]:
        """Validate, remember the weights when they are the best so far, and say so."""
        nonlocal best
        outcome = validate(policy)
        reward_mean, label_f1 = float(np.mean(outcome.rewards)), float(np.mean(outcome.label_f1s))
        state["validation"].append(
            {
                "step": step,
                "reward": reward_mean,
                "label_f1": label_f1,
                "rewards": list(outcome.rewards),
                "label_f1s": list(outcome.label_f1s),
            }
        )
        if choose_step(state["validation"]) == step:
            best = trainable_weights(policy.model)
        workspace.say(
            f"rft: step {step}/{knobs.steps} validation reward {reward_mean:.3f}, label F1 {label_f1:.3f}; "
            f"{said_of_step(state['validation'])}"
        )
        return {
            "validation_reward": reward_mean,
            "validation_label_f1": label_f1,
            **{f"validation_{name}": value for name, value in outcome.figures.items()},
        }

    if not state["validation"]:
        workspace.log("rft", 0, judge_step(0))
    with workspace.track("RFT", knobs.steps) as advance, closing(roller):
        advance(state["step"])
        for step in range(state["step"], knobs.steps):
            begun = time.perf_counter()
            row, tokens = stepper(step)
            row["seconds"] = time.perf_counter() - begun
            row["tokens_per_second"] = ranks * tokens / row["seconds"]
            last = step + 1 == knobs.steps
            if (step + 1) % knobs.validate_every == 0 or last:
                row |= judge_step(step + 1)
            state["step"] = step + 1
            workspace.log("rft", step + 1, row)
            if accelerator.is_main_process and ((step + 1) % knobs.checkpoint_every == 0 or last):
                save_checkpoint(checkpoint, model=policy.model, optimizer=optimizer, state=state, best=best)
            advance(1)

    assert best is not None
    restore_weights(policy.model, best)
    folder = workspace.path("rft", "model")
    if accelerator.is_main_process:
        with replaced_folder(folder) as fresh:
            save(policy, fresh)
        chosen_step, why = choose_step(state["validation"]), why_kept(state["validation"])
        write_json(
            workspace.path("rft", "summary.json"),
            {
                "best_step": chosen_step,
                "why": why,
                "steps": knobs.steps,
                "validation": [
                    {k: v[k] for k in ("step", "reward", "label_f1")} for v in state["validation"]
                ],
            },
        )
        workspace.say(f"rft: kept step {chosen_step} of {knobs.steps}, chosen on validation: {why}")
    accelerator.wait_for_everyone()
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
