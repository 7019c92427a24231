"""One step of reinforcement fine-tuning, and what may run beside what.

    strictly on-policy        sample k   | rewards of k in the background | reference pass k | update k
    one update stale          sample k+1 | rewards of k+1 ...             | reference pass k | update k

In the second the rewards of a rollout have a whole update to be ready in, and its groups come from the policy
before that update: their log-probabilities under it are kept, so the ratio is still the true one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from radflow import config
from radflow.policy import Group, GroupForward, Policy
from radflow.training.rft_figures import step_figures
from radflow.training.rollout import Pending, Roller, pending_state, with_logprobs
from radflow.training.shift_probe import ShiftProbe
from radflow.training.update import Rows, given_logprobs, reference_logprobs, update_policy


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
        self._ahead: Pending | None = None

    def resume(self, saved: Sequence[dict[str, Any]] | None) -> None:
        """Take up what `state` gave: rollouts sampled ahead, one a process."""
        if saved:
            self._ahead = self._roller.resume(saved[self._accelerator.process_index])

    def state(self) -> list[dict[str, Any]] | None:
        """The rollouts of all processes that were sampled ahead, as JSON holds them."""
        if self._ahead is None:
            return None
        return gather_object([pending_state(self._ahead)])

    def __call__(self, step: int) -> tuple[dict[str, Any], int]:
        """Take a step; return what it logs, over all processes, and the tokens this one sampled."""
        knobs = self._knobs
        rate = knobs.learning_rate * min(1.0, (step + 1) / max(1, knobs.warmup_steps))
        for parameters in self._optimizer.param_groups:
            parameters["lr"] = rate
        stale = knobs.stale_updates == 1
        pending = self._ahead or self._start(step)
        self._ahead = self._start(step + 1) if stale and step + 1 < knobs.steps else None

        budget = knobs.tokens_per_pass
        reference = reference_logprobs(self._policy, self._forward, pending.groups, budget)
        rollout = self._roller.finish(pending)
        old = _of_sampler(rollout.groups) if stale else None
        if rollout.replaced:
            fresh = [rollout.groups[slot] for slot in rollout.replaced]
            self._replace(
                reference,
                reference_logprobs(self._policy, self._forward, fresh, budget),
                rollout.replaced,
            )
            if old is not None:  # these come from the present policy
                self._replace(old, given_logprobs(self._forward, fresh, budget), rollout.replaced)

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
            old=old,
        )
        row = step_figures(rollout, update, probe.measure() if probe else {}, self._accelerator)
        tokens = sum(len(c.token_ids) for g in rollout.groups for c in g.completions)
        return row | {"learning_rate": rate}, tokens

    def _start(self, step: int) -> Pending:
        """Sample a rollout; where it will wait for an update, with its exact log-probabilities."""
        pending = self._roller.start(step)
        if self._knobs.stale_updates == 0 or self._sampler_is_exact(pending.groups):
            return pending
        return with_logprobs(
            pending, given_logprobs(self._forward, pending.groups, self._knobs.tokens_per_pass)
        )

    def _sampler_is_exact(self, groups: Sequence[Group]) -> bool:
        """In lower precision than float32 decoding rounds otherwise than a pass over the whole completion."""
        floats = next(self._policy.model.parameters()).dtype == torch.float32
        return floats and all(c.logprobs is not None for g in groups for c in g.completions)

    def _replace(self, rows: Rows, fresh: Rows, slots: Sequence[int]) -> None:
        size = self._knobs.group_size
        for i, slot in enumerate(slots):
            rows[slot * size : (slot + 1) * size] = fresh[i * size : (i + 1) * size]


def _of_sampler(groups: Sequence[Group]) -> Rows:
    return [torch.tensor(c.logprobs or ()) for g in groups for c in g.completions]
