"""radflow's side of ``rft_step.py``: one strictly on-policy step, driven as its own training drives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from numpy import array
from rft_clock import BETA, EPSILON, NORM, RATE, Clock, Setting, reward, trainable
from rft_models import with_lora
from torch import Tensor

from radflow import config
from radflow.capo import capo_loss, group_advantage
from radflow.policy import Group, GroupForward, Policy, sample_groups
from radflow.policy.load import checkpoint_activations
from radflow.studies import Study
from radflow.training.rollout import Rollout
from radflow.training.update import reference_logprobs, update_policy


class Ours:
    """The policy with fresh adapters, its forward and its optimiser."""

    def __init__(self, base: Policy, setting: Setting) -> None:
        policy = with_lora(base)
        self.policy, self.clock, self._setting = policy, Clock(setting.device), setting
        self.forward = GroupForward(policy)
        self._knobs = config.Rft(
            group_size=setting.group,
            inner_steps=setting.inner,
            beta=BETA,
            epsilon=EPSILON,
            divisor=1.0,
            shift_guard="off",
            gradient_checkpointing=setting.checkpointing,
            max_grad_norm=NORM,
            tokens_per_pass=1,  # one group per pass, as TRL has one per batch
        )
        self._accelerator = Accelerator(cpu=setting.device == "cpu")
        self._optimizer = torch.optim.AdamW(trainable(policy.model), lr=RATE, weight_decay=0.0)
        if setting.checkpointing:
            checkpoint_activations(policy)

    def step(self, study: Study, seed: int) -> Group:
        """One step on one study that was not seen before, so nothing of it is in any cache."""
        clock, start = self.clock, self.clock.now()
        with clock.phase("sample"):
            (group,) = sample_groups(
                self.policy,
                [study],
                group_size=self._setting.group,
                max_new_tokens=self._setting.completion,
                seeds=[seed],
            )
        with clock.phase("score"):
            rewards = array([[reward(text) for text in group.texts]])
        with clock.phase("ref"):
            reference = reference_logprobs(self.policy, self.forward, [group], 1)
        with clock.phase("update"):
            rollout = self.rollout(group, rewards)
            update_policy(
                self.policy.model,
                self.forward,
                rollout,
                reference,
                self._optimizer,
                self._accelerator,
                self._knobs,
                max_tokens=self._setting.completion,
            )
        clock.add("whole", clock.now() - start)
        clock.turn()
        assert all(len(c.token_ids) == self._setting.completion for c in group.completions)
        return group

    def loss_and_gradient(
        self, group: Group, advantage: Tensor, sampled: Sequence[Tensor], now: Sequence[Tensor]
    ) -> tuple[float, Tensor, float]:
        """Loss, gradient and largest ratio at the weights ``now`` of a group sampled at other weights."""
        weights = trainable(self.policy.model)
        self.policy.model.train(self._knobs.gradient_checkpointing)
        with torch.no_grad():
            for mine, theirs in zip(weights, sampled, strict=True):
                mine.copy_(theirs)
            old, mask = self.forward([group])
            with self.policy.as_reference():
                reference, _ = self.forward([group])
            for mine, theirs in zip(weights, now, strict=True):
                mine.copy_(theirs)
        self.policy.model.zero_grad()
        logprobs, _ = self.forward([group])
        clip = torch.full_like(advantage, EPSILON)
        loss, stats = capo_loss(logprobs, old, reference, mask, advantage, clip, beta=BETA)
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in weights])
        return loss.item(), gradient, stats.ratio_max.max().item()

    def rollout(self, group: Group, rewards: Any) -> Rollout:
        device = self.policy.device
        count = len(group.completions)
        return Rollout(
            groups=[group],
            rewards=rewards,
            parts={},
            advantage=group_advantage(torch.tensor(rewards, dtype=torch.float32, device=device)).flatten(),
            clip=torch.full((count,), EPSILON, device=device),
            critical=torch.zeros(count, dtype=torch.bool, device=device),
        )
