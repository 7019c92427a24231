"""Rollouts: groups are sampled, and rewarded in the background while the model goes on working.

    start   sample a group for each study of a step, hand the texts to the reward      -> Pending
    finish  wait for the rewards, replace dead groups, turn rewards into advantages    -> Rollout

Between the two the reference pass of the same groups runs. What a rollout holds depends on weights, step and
seeds alone, never on who was faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from radflow import config
from radflow.capo import clip_range, dead_groups
from radflow.errors import RewardError
from radflow.policy import Group, Policy, sample_groups
from radflow.policy.passes.counting import sampling_passes
from radflow.readers import assertions, labeler
from radflow.rewards import PARTS, Reward
from radflow.studies import Study
from radflow.training.advantages import rollout_advantages
from radflow.training.editing.groups import edit_groups
from radflow.training.label_tokens import label_weights


@runtime_checkable
class RewardModel(Protocol):
    """What rewards completions: `radflow.rewards.HierarchicalReward`, or anything of this shape.

    It is called in a thread of its own, one call at a time.
    """

    @property
    def weights(self) -> Mapping[str, float]:
        """Of each term in the total."""
        ...

    def score_many(self, studies: Sequence[Study], texts: Sequence[Sequence[str]]) -> list[list[Reward]]:
        """One reward per completion, study by study."""
        ...


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Rewarded groups with what the loss needs. ``N = P * G`` rows in the order of the groups.

    Attributes:
        groups: P of them.
        rewards: total reward of each completion.
        parts: each term of it; NaN where it was skipped.
        advantage: of each completion (Eq. 1, or as ``rft.advantage`` says).
        shares: what each term contributes to it.
        clip: the clipping range of each completion's case (Eq. 9).
        clip_high: the upper range where it differs.
        weights: of each completion's tokens in its advantage, one row per completion; ``None``: all 1.
        critical: whether the case is critical.
        replaced: places in ``groups`` of those that came in for dead ones.
    """

    groups: Sequence[Group]
    rewards: Float[np.ndarray, "P G"]
    parts: Mapping[str, Float[np.ndarray, "P G"]]
    advantage: Float[Tensor, "N"]
    shares: Mapping[str, Float[Tensor, "P G"]]
    clip: Float[Tensor, "N"]
    clip_high: Float[Tensor, "N"] | None = None
    weights: Sequence[Float[Tensor, "_"]] | None = None
    critical: Bool[Tensor, "N"]
    replaced: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Pending:
    """Sampled groups whose rewards are being computed.

    Attributes:
        step: of the rollout.
        places: for each group the place of its study among the explored ones.
        groups: P of them.
        rewards: one list per group, once it is there.
    """

    step: int
    places: Sequence[int]
    groups: Sequence[Group]
    rewards: Future[list[list[Reward]]]


class RolloutSampler:
    """Samples and rewards the groups of one process.

    Args:
        policy: samples.
        studies: the explored ones; each annotated critical or not.
        order: for each step the places of its studies, over all processes; `turn_to` replaces both.
        reward: of completions.
        recipe: the sections ``rft`` and ``policy``.
        seed: gives the seed for a purpose, as `Workspace.seed` does.
        share: this process and how many there are: it takes every ``share[1]``-th study from ``share[0]``.

    Attributes:
        passes: token passes of this process so far; groups that were replaced count too.
    """

    def __init__(
        self,
        policy: Policy,
        studies: Sequence[Study],
        order: Sequence[Sequence[int]],
        reward: RewardModel,
        recipe: config.Recipe,
        seed: Callable[..., int],
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self._policy = policy
        self._studies = studies
        self._order = order
        self._first = 0
        self._reward = reward
        self._knobs = recipe.rft
        self._max_new_tokens = recipe.policy.max_new_tokens
        self._seed = seed
        self._rank, self._ranks = share
        self._abnormal = _abnormal(studies) if recipe.rft.balance_classes else None
        self.passes = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rewards")

    def close(self) -> None:
        """Give up rewards that nobody will wait for."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def turn_to(self, studies: Sequence[Study], order: Sequence[Sequence[int]], *, first: int) -> None:
        """Sample other studies from step ``first`` on, of which ``order`` begins."""
        self._studies, self._order, self._first = studies, order, first

    def start(self, step: int) -> Pending:
        """Sample the groups of a step with the present weights and begin to reward them."""
        order = self._order[step - self._first]
        slots = range(self._rank, len(order), self._ranks)
        places = [order[slot] for slot in slots]
        groups = self._sample(places, [self._seed("rft", "sample", step, slot) for slot in slots])
        rewards = self._thread.submit(self._score, groups)
        return Pending(step=step, places=places, groups=groups, rewards=rewards)

    def finish(self, pending: Pending) -> Rollout:
        """Wait for the rewards; replace groups that teach nothing, as often as the recipe allows.

        Raises:
            RewardError: a reward failed, or is not a finite number.
        """
        groups, rewards = list(pending.groups), pending.rewards.result()
        replaced: set[int] = set()
        for round_ in range(self._knobs.dynamic_sampling):
            dead = np.flatnonzero(dead_groups(torch.from_numpy(_totals(groups, rewards))).numpy()).tolist()
            if not dead:
                break
            fresh = self._instead_of(pending, dead, round_)
            # What comes in may be dead too; the next round sees to it.
            for slot, group, row in zip(dead, fresh, self._score(fresh), strict=True):
                groups[slot], rewards[slot] = group, row
            replaced.update(dead)
        return self._rollout(groups, rewards, sorted(replaced))

    def _sample(self, places: Sequence[int], seeds: Sequence[int]) -> list[Group]:
        groups = sample_groups(
            self._policy,
            [self._studies[place] for place in places],
            group_size=self._knobs.group_size,
            max_new_tokens=self._max_new_tokens,
            seeds=seeds,
            temperature=self._knobs.temperature,
            top_p=self._knobs.top_p,
            min_p=self._knobs.min_p,
        )
        self.passes += sampling_passes(self._policy, groups)
        if not self._knobs.edited:
            return groups
        share, longest = self._knobs.edited, self._max_new_tokens
        return edit_groups(self._policy, groups, share=share, max_new_tokens=longest, seeds=seeds)

    def _score(self, groups: Sequence[Group]) -> list[list[Reward]]:
        return self._reward.score_many([g.study for g in groups], [g.texts for g in groups])

    def _instead_of(self, pending: Pending, dead: Sequence[int], round_: int) -> list[Group]:
        """Groups of other studies, drawn at random from those that the step has not."""
        seed = self._seed("rft", "replace", pending.step, self._rank, round_)
        draw = np.random.default_rng(seed).permutation(len(self._studies)).tolist()
        others = [place for place in draw if place not in set(pending.places)] or draw
        places = [others[i % len(others)] for i in range(len(dead))]
        return self._sample(places, [self._seed("rft", "replace", pending.step, s, round_) for s in dead])

    def _rollout(
        self, groups: Sequence[Group], rewards: Sequence[Sequence[Reward]], replaced: Sequence[int]
    ) -> Rollout:
        knobs, device = self._knobs, self._policy.device
        totals = _totals(groups, rewards)
        parts = {term: _part(rewards, term) for term in PARTS}
        abnormal = (
            None if self._abnormal is None else np.array([g.study.study_id in self._abnormal for g in groups])
        )
        advantages = rollout_advantages(totals, parts, self._reward.weights, knobs, abnormal)
        critical = torch.tensor([bool(g.study.critical) for g in groups], device=device)

        def by_row(epsilon: float) -> Float[Tensor, "N"]:
            return clip_range(critical, epsilon, knobs.divisor).repeat_interleave(knobs.group_size)

        return Rollout(
            groups=groups,
            rewards=totals,
            parts=parts,
            advantage=advantages.values.flatten().to(device),
            shares=advantages.shares,
            clip=by_row(knobs.epsilon),
            clip_high=None if knobs.epsilon_high is None else by_row(knobs.epsilon_high),
            weights=self._weights(groups) if knobs.label_tokens else None,
            critical=critical.repeat_interleave(knobs.group_size),
            replaced=replaced,
        )

    def _weights(self, groups: Sequence[Group]) -> list[Float[Tensor, "_"]]:
        return label_weights(self._policy.tokenizer, groups, self._knobs.label_tokens)


def _totals(groups: Sequence[Group], rewards: Sequence[Sequence[Reward]]) -> Float[np.ndarray, "P G"]:
    totals = np.array([[r.total for r in row] for row in rewards])
    for group, row in zip(groups, totals, strict=True):
        if not np.isfinite(row).all():
            raise RewardError(f"study {group.study.study_id}: a reward is not a finite number")
    return totals


def _part(rewards: Sequence[Sequence[Reward]], term: str) -> Float[np.ndarray, "P G"]:
    values = [[r.parts.get(term) for r in row] for row in rewards]
    return np.array([[math.nan if value is None else value for value in row] for row in values])


def _abnormal(studies: Sequence[Study]) -> frozenset[str]:
    """Ids of the studies whose reference asserts an observation."""
    labels = labeler(studies[0].modality)([study.reference.canonical for study in studies])
    found = assertions(labels).any(axis=1)
    return frozenset(studies[i].study_id for i in np.flatnonzero(found))
