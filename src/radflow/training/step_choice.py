"""Which validated step of RFT is kept, and why the others are not (docs/decisions/rft-step.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Rule = Literal["reward", "diagnosis"]
"""By what a step is chosen."""


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
        macro_f1: of labels over the validation studies; NaN where it was not measured.
        positives: observations that a report asserts, its mean.
        wanted: the same of the references.
        obstacle: why the step may not be kept; ``None`` where it may.
    """

    step: int
    reward: float
    reward_change: float
    reward_error: float
    label_change: float
    label_error: float
    macro_f1: float = math.nan
    positives: float = math.nan
    wanted: float = math.nan
    obstacle: str | None = None

    def __str__(self) -> str:
        said = (
            f"reward {self.reward_change:+.3f} ± {self.reward_error:.3f}, "
            f"label F1 {self.label_change:+.3f} ± {self.label_error:.3f} against step 0"
        )
        if math.isnan(self.macro_f1):
            return said
        return f"{said}, macro F1 {self.macro_f1:.3f}, {self.positives:.2f} positives per report"


def step_verdicts(
    validations: Sequence[Mapping[str, Any]], keep: Rule = "reward", positives_within: float = 0.5
) -> list[StepVerdict]:
    """Compare each validated step with the first, step 0; the arguments are those of `choose_step`."""
    start = validations[0]

    def change(validation: Mapping[str, Any], name: str) -> tuple[float, float]:
        values = np.subtract(validation[name], start[name])
        error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        return float(values.mean()), float(error)

    found = []
    for validation in validations:
        step = int(validation["step"])
        reward, reward_error = change(validation, "rewards")
        label, label_error = change(validation, "label_f1s")
        obstacle = None
        if step and keep == "reward":
            obstacle = _no_gain(reward, reward_error, label, label_error)
        elif step:
            obstacle = _no_diagnosis(reward, reward_error, validation, start, positives_within)
        found.append(
            StepVerdict(
                step=step,
                reward=float(np.mean(validation["rewards"])),
                reward_change=reward,
                reward_error=reward_error,
                label_change=label,
                label_error=label_error,
                macro_f1=validation.get("macro_f1", math.nan),
                positives=validation.get("positives", math.nan),
                wanted=validation.get("reference_positives", math.nan),
                obstacle=obstacle,
            )
        )
    return found


def _no_gain(reward: float, reward_error: float, label: float, label_error: float) -> str | None:
    if reward <= reward_error:
        return "the reward did not rise by more than its standard error"
    if label < -label_error:
        return "label F1 fell by more than its standard error"
    return None


def _no_diagnosis(
    reward: float, error: float, here: Mapping[str, Any], start: Mapping[str, Any], within: float
) -> str | None:
    if reward < -error:
        return "the reward fell by more than its standard error"
    wanted = here["reference_positives"]
    off, before = abs(here["positives"] - wanted), abs(start["positives"] - wanted)
    if off > within * wanted and off >= before:
        return f"{here['positives']:.2f} positives per report, where the references have {wanted:.2f}"
    return None


def choose_step(
    validations: Sequence[Mapping[str, Any]], keep: Rule = "reward", positives_within: float = 0.5
) -> int:
    """The step to keep; of equals the first, and step 0 where no other may be kept.

    ``reward``: the highest mean reward among the steps that gained against step 0. A step gained if its mean
    reward rose by more than one paired standard error and its mean label F1 did not fall by more than one.

    ``diagnosis``: the highest macro F1 of labels, among the steps that did not lose more than one paired
    standard error of reward and that assert about as much as the references: no step that fell silent, none
    that invents. What is "about" is ``positives_within``, or closer than step 0.

    Args:
        validations: ``step``, and ``rewards`` and ``label_f1s`` (one per study) of each; step 0 first. For
            ``diagnosis`` also ``macro_f1`` (absent where no reference asserts anything), ``positives`` per
            report and ``reference_positives``.
        keep: the rule.
        positives_within: the share of the references' positives per report that a step may be off by.

    >>> start = {"step": 0, "rewards": [2.0, 2.0, 2.0], "label_f1s": [0.7, 0.8, 0.6]}
    >>> pleasing = {"step": 2, "rewards": [9.0, 9.0, 9.0], "label_f1s": [0.5, 0.7, 0.4]}
    >>> lucky = start | {"step": 4, "rewards": [8.0, 1.0, 1.0]}
    >>> choose_step([start, pleasing, lucky])
    0
    >>> choose_step([start, pleasing, lucky, start | {"step": 6, "rewards": [3.0, 3.1, 2.9]}])
    6
    >>> seeing = start | {"macro_f1": 0.1, "positives": 0.6, "reference_positives": 0.5}
    >>> inventing = seeing | {"step": 2, "macro_f1": 0.3, "positives": 1.1}
    >>> better = seeing | {"step": 4, "macro_f1": 0.2, "positives": 0.4}
    >>> choose_step([seeing, inventing, better], keep="diagnosis")
    4
    """
    allowed = [v for v in step_verdicts(validations, keep, positives_within) if v.obstacle is None]
    return max(allowed, key=lambda verdict: (_worth(verdict, keep), -verdict.step)).step


def _worth(verdict: StepVerdict, keep: Rule) -> float:
    if keep == "reward":
        return verdict.reward
    return -1.0 if math.isnan(verdict.macro_f1) else verdict.macro_f1  # no reference asserts anything


_OF: Mapping[Rule, tuple[str, str]] = {
    "reward": ("reward", "of the steps that gained"),
    "diagnosis": ("macro F1", "of the steps that kept reward and positives"),
}


def why_kept(
    validations: Sequence[Mapping[str, Any]], keep: Rule = "reward", positives_within: float = 0.5
) -> str:
    """One sentence: why `choose_step` keeps what it keeps.

    >>> start = {"step": 0, "rewards": [2.0, 2.0, 2.0], "label_f1s": [0.7, 0.8, 0.6]}
    >>> why_kept([start, start | {"step": 2}])
    'step 2, the best of the others, may not be kept: the reward did not rise by more than its standard error'
    """
    kept = choose_step(validations, keep, positives_within)
    verdicts = step_verdicts(validations, keep, positives_within)
    what, among = _OF[keep]
    if kept > 0:
        chosen = next(verdict for verdict in verdicts if verdict.step == kept)
        return f"the highest validation {what} {among} ({chosen})"
    if len(verdicts) == 1:
        return "no other step was validated"
    closest = max(verdicts[1:], key=lambda verdict: _worth(verdict, keep))
    if closest.obstacle is None:
        return f"no other step has a higher validation {what}"
    return f"step {closest.step}, the best of the others, may not be kept: {closest.obstacle}"


def said_of_step(
    validations: Sequence[Mapping[str, Any]], keep: Rule = "reward", positives_within: float = 0.5
) -> str:
    """What the log says of the newest validation: its difference from step 0, and whether it is kept so far.

    >>> start = {"step": 0, "rewards": [2.0, 2.0], "label_f1s": [0.7, 0.8]}
    >>> said_of_step([start]), said_of_step([start, start | {"step": 2, "rewards": [3.0, 3.0]}])
    ('the start', 'reward +1.000 ± 0.000, label F1 +0.000 ± 0.000 against step 0: best so far')
    """
    newest = step_verdicts(validations, keep, positives_within)[-1]
    if newest.step == 0:
        return "the start"
    kept = choose_step(validations, keep, positives_within)
    return f"{newest}: " + (
        "best so far"
        if kept == newest.step
        else newest.obstacle or f"step {kept} has a higher {_OF[keep][0]}"
    )
