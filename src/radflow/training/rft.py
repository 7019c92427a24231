"""Reinforcement fine-tuning with CAPO (paper, sections 3.2 and 4.3).

One step samples a group of G reports for each of P studies, rewards them, and takes ``inner_steps`` optimiser
steps on Eq. 8 with the clipping range of each case. The first of them has ratio 1 everywhere; clipping acts
from the second on, which is why one alone is refused.

The step that is kept is chosen on the validation split, step 0 included: the highest mean reward among the
steps that did not lose label F1. A reward can be raised by reports that are merely safer; the label F1 says
so, and a policy that lost it is not an improvement. "Did not lose" is paired, study by study: the mean
difference from step 0 is not below minus one standard error.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from radflow import config
from radflow.capo import CapoStats, clip_range, dead_groups, group_advantage
from radflow.errors import DataError, RewardError, TrainingError
from radflow.policy import Policy, PromptEncoder, sample_groups, save_policy
from radflow.rewards import PARTS, Reward
from radflow.studies import Study
from radflow.training.checkpoint import (
    load_checkpoint,
    restore_weights,
    save_checkpoint,
    trainable_weights,
)
from radflow.training.schedule import rollout_order
from radflow.training.update import Rollout, update_policy
from radflow.workspace import Workspace, replaced_folder, write_json


@runtime_checkable
class RewardModel(Protocol):
    """What rewards completions: `radflow.rewards.HierarchicalReward`, or anything of this shape."""

    def score_many(self, studies: Sequence[Study], texts: Sequence[Sequence[str]]) -> list[list[Reward]]:
        """One reward a completion, study by study."""
        ...


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


def choose_step(validations: Sequence[Mapping[str, Any]]) -> int:
    """The step to keep: the highest mean reward among those that did not lose label F1 against step 0.

    Args:
        validations: ``step``, ``reward`` (mean) and ``label_f1s`` (one a study) of each; step 0 first.

    >>> start = {"step": 0, "reward": 2.0, "label_f1s": [0.7, 0.8, 0.6]}
    >>> pleasing = {"step": 2, "reward": 9.0, "label_f1s": [0.5, 0.7, 0.4]}
    >>> choose_step([start, pleasing, start | {"step": 4, "reward": 3.0}])
    4
    """
    start = np.asarray(validations[0]["label_f1s"])

    def kept_its_labels(validation: Mapping[str, Any]) -> bool:
        change = np.asarray(validation["label_f1s"]) - start
        error = change.std(ddof=1) / math.sqrt(len(change)) if len(change) > 1 else 0.0
        return bool(change.mean() >= -error)

    allowed = [v for v in validations if kept_its_labels(v)]
    return int(max(allowed, key=lambda v: (v["reward"], -v["step"]))["step"])


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
    model, optimizer = accelerator.prepare(policy.model, optimizer)
    checkpoint = workspace.path("rft", "checkpoint")
    state: dict[str, Any] = {"step": 0, "validation": []}
    best: dict[str, Tensor] | None = None
    loaded = load_checkpoint(checkpoint, model=policy.model, optimizer=optimizer)
    if loaded is not None:
        state, best = loaded
        workspace.say(f"rft: picking up at step {state['step']} of {knobs.steps}")
    workspace.forget_metrics("rft", after=state["step"] if loaded is not None else -1)

    ranks, rank = accelerator.num_processes, accelerator.process_index
    order = rollout_order(
        len(studies), knobs.steps, knobs.studies_per_step * ranks, seed=workspace.seed("rft", "order")
    )

    def judge_step(step: int) -> dict[str, float]:
        """Validate, remember the weights when they are the best so far, and say so."""
        nonlocal best
        outcome = validate(policy)
        reward_mean, label_f1 = float(np.mean(outcome.rewards)), float(np.mean(outcome.label_f1s))
        state["validation"].append(
            {"step": step, "reward": reward_mean, "label_f1": label_f1, "label_f1s": list(outcome.label_f1s)}
        )
        chosen = choose_step(state["validation"]) == step
        if chosen:
            best = trainable_weights(policy.model)
        workspace.say(
            f"rft: step {step}/{knobs.steps} validation reward {reward_mean:.3f}, "
            f"label F1 {label_f1:.3f}{' (best so far)' if chosen else ''}"
        )
        return {
            "validation_reward": reward_mean,
            "validation_label_f1": label_f1,
            **{f"validation_{name}": value for name, value in outcome.figures.items()},
        }

    if not state["validation"]:
        workspace.log("rft", 0, judge_step(0))
    with workspace.track("RFT", knobs.steps) as advance:
        advance(state["step"])
        for step in range(state["step"], knobs.steps):
            begun = time.perf_counter()
            batch = [studies[i] for i in order[step][rank::ranks]]
            rollout = _rollout(
                policy, encoder, batch, reward, recipe, workspace.seed("rft", "roll", step, rank)
            )
            rate = knobs.learning_rate * min(1.0, (step + 1) / max(1, knobs.warmup_steps))
            for group in optimizer.param_groups:
                group["lr"] = rate
            losses, stats = update_policy(policy, model, encoder, rollout, optimizer, accelerator, knobs)
            tokens = sum(len(c.token_ids) for g in rollout.groups for c in g.completions)
            row = _figures(rollout, losses, stats, accelerator)
            row |= {
                "learning_rate": rate,
                "tokens_per_second": ranks * tokens / (time.perf_counter() - begun),
            }
            last = step + 1 == knobs.steps
            if (step + 1) % knobs.validate_every == 0 or last:
                row |= judge_step(step + 1)
            state["step"] = step + 1
            if accelerator.is_main_process:
                workspace.log("rft", step + 1, row)
                if (step + 1) % knobs.checkpoint_every == 0 or last:
                    save_checkpoint(
                        checkpoint, model=policy.model, optimizer=optimizer, state=state, best=best
                    )
            advance(1)

    assert best is not None
    restore_weights(policy.model, best)
    folder = workspace.path("rft", "model")
    if accelerator.is_main_process:
        with replaced_folder(folder) as fresh:
            save(policy, fresh)
        chosen_step = choose_step(state["validation"])
        write_json(
            workspace.path("rft", "summary.json"),
            {
                "best_step": chosen_step,
                "steps": knobs.steps,
                "validation": [
                    {k: v[k] for k in ("step", "reward", "label_f1")} for v in state["validation"]
                ],
            },
        )
        workspace.say(f"rft: kept step {chosen_step} of {knobs.steps}, chosen on validation")
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


def _rollout(
    policy: Policy,
    encoder: PromptEncoder,
    studies: Sequence[Study],
    reward: RewardModel,
    recipe: config.Recipe,
    seed: int,
) -> Rollout:
    """Sample a group for each study and reward it."""
    knobs = recipe.rft
    groups = sample_groups(
        policy,
        encoder,
        studies,
        group_size=knobs.group_size,
        max_new_tokens=recipe.policy.max_new_tokens,
        seed=seed,
        temperature=knobs.temperature,
        top_p=knobs.top_p,
    )
    rewards = reward.score_many([g.study for g in groups], [g.texts for g in groups])
    totals = np.array([[r.total for r in row] for row in rewards])
    if not np.isfinite(totals).all():
        row = int(np.argwhere(~np.isfinite(totals))[0, 0])
        raise RewardError(f"study {groups[row].study.study_id}: a reward is not a finite number")
    parts = {
        term: np.array(
            [[math.nan if r.parts.get(term) is None else r.parts[term] for r in row] for row in rewards]
        )
        for term in PARTS
    }
    device = policy.device
    critical = torch.tensor([bool(g.study.critical) for g in groups], device=device)
    clip = clip_range(critical, knobs.epsilon, knobs.divisor)
    advantage = group_advantage(
        torch.tensor(totals, dtype=torch.float32, device=device), scale=knobs.scale_rewards
    )
    return Rollout(
        groups=groups,
        rewards=totals,
        parts=parts,
        advantage=advantage.flatten(),
        clip=clip.repeat_interleave(knobs.group_size),
        critical=critical.repeat_interleave(knobs.group_size),
    )


def _figures(
    rollout: Rollout, losses: Sequence[float], stats: CapoStats, accelerator: Accelerator
) -> dict[str, Any]:
    """What a step logs, over all processes."""
    device = rollout.advantage.device
    row: dict[str, Any] = {
        "loss": float(np.mean(losses)),
        "dead_groups": float(dead_groups(torch.tensor(rollout.rewards)).float().mean()),
        "length": float(np.mean([len(c.token_ids) for g in rollout.groups for c in g.completions])),
        "finished": float(np.mean([c.finished for g in rollout.groups for c in g.completions])),
        "critical_share": float(rollout.critical.float().mean()),
        "reward": float(rollout.rewards.mean()),
        "reward_std": float(rollout.rewards.std(axis=1).mean()),
        "kl": float(stats.kl.mean()),
    }
    for term, values in rollout.parts.items():
        known = values[np.isfinite(values)]
        row[f"reward/{term}"] = float(known.mean()) if known.size else math.nan
        row[f"reward/{term}_std"] = float(known.std()) if known.size else math.nan
    for name, rows in (("critical", rollout.critical), ("normal", ~rollout.critical)):
        some = bool(rows.any())
        row[f"clip_fraction_{name}"] = float(stats.clip_fraction[rows].mean()) if some else math.nan
        row[f"ratio_min_{name}"] = float(stats.ratio_min[rows].min()) if some else math.nan
        row[f"ratio_max_{name}"] = float(stats.ratio_max[rows].max()) if some else math.nan
        row[f"shift_{name}"] = float(stats.shift[rows].mean()) if some else math.nan
    if accelerator.num_processes > 1:
        names = list(row)
        rows_of_all = accelerator.gather(torch.tensor([[float(row[n]) for n in names]], device=device))
        row = dict(zip(names, torch.nanmean(rows_of_all, dim=0).tolist(), strict=True))
    return row
