"""One step of reinforcement fine-tuning.

sample | rewards in the background, beside the reference pass | update
"""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from radflow import config
from radflow.policy import GroupForward, Policy
from radflow.training.rft_figures import step_figures
from radflow.training.rollout import Roller
from radflow.training.shift_probe import ShiftProbe
from radflow.training.update import reference_logprobs, update_policy


class Stepper:
    """Takes the steps of one process, in order.

    Args:
        policy: with a trainable adapter and a reference.
        model: as ``accelerator`` prepared it.
        forward: through the same model.
        roller: samples and rewards.
        optimizer: prepared.
        accelerator: one process, or many.
        recipe: the sections ``rft`` and ``policy``.
    """

    def __init__(
        self,
        policy: Policy,
        model: nn.Module,
        forward: GroupForward,
        roller: Roller,
        optimizer: torch.optim.Optimizer,
        accelerator: Accelerator,
        recipe: config.Recipe,
    ) -> None:
        self._policy = policy
        self._model = model
        self._forward = forward
        self._roller = roller
        self._optimizer = optimizer
        self._accelerator = accelerator
        self._knobs = recipe.rft
        self._max_new_tokens = recipe.policy.max_new_tokens

    def __call__(self, step: int) -> tuple[dict[str, Any], int]:
        """Take a step; return what it logs, over all processes, and the tokens this one sampled."""
        knobs = self._knobs
        rate = knobs.learning_rate * min(1.0, (step + 1) / max(1, knobs.warmup_steps))
        for parameters in self._optimizer.param_groups:
            parameters["lr"] = rate
        pending = self._roller.start(step)

        budget = knobs.tokens_per_pass
        reference = reference_logprobs(self._policy, self._forward, pending.groups, budget)
        rollout = self._roller.finish(pending)
        if rollout.replaced:
            fresh = [rollout.groups[slot] for slot in rollout.replaced]
            rows = reference_logprobs(self._policy, self._forward, fresh, budget)
            for i, slot in enumerate(rollout.replaced):
                size = knobs.group_size
                reference[slot * size : (slot + 1) * size] = rows[i * size : (i + 1) * size]

        measured = knobs.exact_shift_every and step % knobs.exact_shift_every == 0
        probe = ShiftProbe(self._forward, rollout.groups) if measured else None
        update = update_policy(
            self._model,
            self._forward,
            rollout,
            reference,
            self._optimizer,
            self._accelerator,
            knobs,
            max_tokens=self._max_new_tokens,
        )
        row = step_figures(rollout, update, probe.measure() if probe else {}, self._accelerator)
        tokens = sum(len(c.token_ids) for g in rollout.groups for c in g.completions)
        return row | {"learning_rate": rate}, tokens
