"""Which validated step of RFT is kept, and why the others are not (docs/decisions/rft-step.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class StepVerdict:
    """One validated step against step 0, paired by study.

    Attributes:
        step: which.
        reward: mean total reward.
        reward_change: mean difference of the total reward from step 0.
        reward_error: its standard error.
        label_change: mean difference of the label F1 from step 0.
        label_error: its standard error.
    """

    step: int
    reward: float
    reward_change: float
    reward_error: float
    label_change: float
    label_error: float

    @property
    def obstacle(self) -> str | None:
        """Why the step may not be kept; ``None`` where it may."""
        if self.step == 0:
            return None
        if self.reward_change <= self.reward_error:
            return "the reward did not rise by more than its standard error"
        if self.label_change < -self.label_error:
            return "label F1 fell by more than its standard error"
        return None

    def __str__(self) -> str:
        return (
            f"reward {self.reward_change:+.3f} ± {self.reward_error:.3f}, "
            f"label F1 {self.label_change:+.3f} ± {self.label_error:.3f} against step 0"
        )


def step_verdicts(validations: Sequence[Mapping[str, Any]]) -> list[StepVerdict]:
    """Compare each validated step with the first, which is step 0.

    Args:
        validations: ``step``, and ``rewards`` and ``label_f1s`` (one per study) of each; step 0 first.
    """
    start = validations[0]

    def change(validation: Mapping[str, Any], name: str) -> tuple[float, float]:
        values = np.subtract(validation[name], start[name])
        error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        return float(values.mean()), float(error)

    found = []
    for validation in validations:
        (reward, reward_error), (label, label_error) = (
            change(validation, name) for name in ("rewards", "label_f1s")
        )
        found.append(
            StepVerdict(
                step=int(validation["step"]),
                reward=float(np.mean(validation["rewards"])),
                reward_change=reward,
                reward_error=reward_error,
                label_change=label,
                label_error=label_error,
            )
        )
    return found


def choose_step(validations: Sequence[Mapping[str, Any]]) -> int:
    """The step to keep: the highest mean reward among those that gained against step 0, else step 0.

    A step gained if its mean reward rose by more than one paired standard error and its mean label F1 did not
    fall by more than one.

    Args:
        validations: as for `step_verdicts`.

    >>> start = {"step": 0, "rewards": [2.0, 2.0, 2.0], "label_f1s": [0.7, 0.8, 0.6]}
    >>> pleasing = {"step": 2, "rewards": [9.0, 9.0, 9.0], "label_f1s": [0.5, 0.7, 0.4]}
    >>> lucky = start | {"step": 4, "rewards": [8.0, 1.0, 1.0]}
    >>> choose_step([start, pleasing, lucky])
    0
    >>> choose_step([start, pleasing, lucky, start | {"step": 6, "rewards": [3.0, 3.1, 2.9]}])
    6
    """
    allowed = [verdict for verdict in step_verdicts(validations) if verdict.obstacle is None]
    return max(allowed, key=lambda verdict: (verdict.reward, -verdict.step)).step


def why_kept(validations: Sequence[Mapping[str, Any]]) -> str:
    """One sentence: why `choose_step` keeps what it keeps.

    >>> start = {"step": 0, "rewards": [2.0, 2.0, 2.0], "label_f1s": [0.7, 0.8, 0.6]}
    >>> why_kept([start, start | {"step": 2}])
    'step 2, the best of the others, may not be kept: the reward did not rise by more than its standard error'
    """
    kept, verdicts = choose_step(validations), step_verdicts(validations)
    if kept > 0:
        chosen = next(verdict for verdict in verdicts if verdict.step == kept)
        return f"the highest validation reward of the steps that gained ({chosen})"
    if len(verdicts) == 1:
        return "no other step was validated"
    closest = max(verdicts[1:], key=lambda verdict: verdict.reward)
    if closest.obstacle is None:
        return "no other step has a higher validation reward"
    return f"step {closest.step}, the best of the others, may not be kept: {closest.obstacle}"


def said_of_step(validations: Sequence[Mapping[str, Any]]) -> str:
    """What the log says of the newest validation: its difference from step 0, and whether it is kept so far.

    >>> start = {"step": 0, "rewards": [2.0, 2.0], "label_f1s": [0.7, 0.8]}
    >>> said_of_step([start]), said_of_step([start, start | {"step": 2, "rewards": [3.0, 3.0]}])
    ('the start', 'reward +1.000 ± 0.000, label F1 +0.000 ± 0.000 against step 0: best so far')
    """
    newest = step_verdicts(validations)[-1]
    if newest.step == 0:
        return "the start"
    kept = choose_step(validations)
    return f"{newest}: " + (
        "best so far" if kept == newest.step else newest.obstacle or f"step {kept} has a higher reward"
    )
