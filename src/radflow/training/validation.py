"""How a policy does on the validation split: greedy reports, their reward and their labels.

`ValidatedLoop` chooses the step that is kept on them: for RFT, and by the same rule for the trained controls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from radflow.config import Recipe
from radflow.files import write_json
from radflow.metrics import corpus_f1, score
from radflow.modality import MODALITIES
from radflow.policy import Policy, greedy_texts, save_policy
from radflow.policy.load import save_merged
from radflow.readers import assertions, labeler
from radflow.reports import parse_report
from radflow.studies import Study
from radflow.training.loop import TrainingLoop
from radflow.training.rollout import RewardModel
from radflow.training.step_choice import Rule, choose_step, said_of_step, why_kept


@dataclass(frozen=True, kw_only=True)
class Validation:
    """How the policy does on validation studies, greedily.

    Attributes:
        rewards: total reward of each study.
        label_f1s: label F1 of each study.
        figures: for the log: mean words, share of distinct reports; ``macro_f1`` and ``micro_f1`` of labels
            over all studies (`radflow.metrics.corpus_f1`), absent where they are not defined; ``positives``
            per report, and ``reference_positives``.
    """

    rewards: Sequence[float]
    label_f1s: Sequence[float]
    figures: Mapping[str, float]


def validate_policy(
    policy: Policy, recipe: Recipe, studies: Sequence[Study], reward: RewardModel
) -> Validation:
    """Write one report per study and score it."""
    texts = list(greedy_texts(policy, recipe, studies))
    label = MODALITIES[studies[0].modality].labels.metric
    ours, theirs = [parse_report(text).canonical for text in texts], references(studies)
    return Validation(
        rewards=[row[0].total for row in reward.score_many(studies, [[text] for text in texts])],
        label_f1s=score(ours, theirs, [label])[label].tolist(),
        figures=report_figures(texts, studies),
    )


def references(studies: Sequence[Study]) -> list[str]:
    """Their reports in canonical form."""
    return [study.reference.canonical for study in studies]


def report_figures(texts: Sequence[str], studies: Sequence[Study]) -> dict[str, float]:
    """The `Validation.figures` of one report per study."""
    reader = labeler(studies[0].modality)
    theirs = assertions(reader(references(studies)))
    corpus = corpus_f1(assertions(reader([parse_report(text).canonical for text in texts])), theirs)
    labels = {"macro_f1": corpus.macro, "micro_f1": corpus.micro}
    return {
        "words": float(np.mean([len(t.split()) for t in texts])),
        "distinct": len(set(texts)) / len(texts),
        **{name: value for name, value in labels.items() if not math.isnan(value)},
        "positives": corpus.positives,
        "reference_positives": float(theirs.sum(axis=1).mean()),
    }


class ValidatedLoop(TrainingLoop):
    """A loop that starts from the SFT model, keeps the step that validation chooses, and counts its compute.

    A subclass sets these before its first step, and ``validation`` (a list) and ``compute`` (0) in its state.

    Attributes:
        recipe: of the run.
        held_out: validation studies.
        reward: of reports.
        merge: save the model with its adapter folded in, instead of the adapter.
    """

    recipe: Recipe
    held_out: Sequence[Study]
    reward: RewardModel
    merge: bool

    def count(self, passes: int) -> None:
        """Add a step's token passes (`radflow.policy.passes.counting`), over all processes."""
        here = torch.tensor(passes, device=self.accelerator.device)
        self.state["compute"] += int(self.accelerator.reduce(here, reduction="sum"))

    def validate(self, done: int) -> tuple[dict[str, float], bool]:
        """Reward and labels of greedy reports, and whether `choose_step` keeps this step so far."""
        outcome = validate_policy(self.policy, self.recipe, self.held_out, self.reward)
        reward, label_f1 = float(np.mean(outcome.rewards)), float(np.mean(outcome.label_f1s))
        figures = {"reward": reward, "label_f1": label_f1, **outcome.figures}
        validations = self.state["validation"]
        paired = {"rewards": list(outcome.rewards), "label_f1s": list(outcome.label_f1s)}
        validations.append({"step": done, **figures, **paired})
        self.workspace.say(
            f"{self.stage}: step {done}/{self.steps} validation reward {reward:.3f}, "
            f"label F1 {label_f1:.3f}; {said_of_step(validations, *self.rule)}"
        )
        is_kept = choose_step(validations, *self.rule) == done
        return {f"validation_{n}": value for n, value in figures.items()}, is_kept

    @property
    def rule(self) -> tuple[Rule, float]:
        """By what the step is chosen, and how far from the references' positives it may be."""
        by_preset: Rule = "diagnosis" if self.recipe.reward.preset == "diagnosis" else "reward"
        return self.recipe.rft.keep or by_preset, self.recipe.rft.positives_within

    def save(self, folder: Path) -> None:
        """Write the adapter, or the model with its adapter folded in."""
        (save_merged if self.merge else save_policy)(self.policy, folder)

    def summary(self) -> dict[str, Any]:
        """What ``summary.json`` says: the step that was kept, why, every validation, and the compute."""
        validations = self.state["validation"]
        return {
            "best_step": choose_step(validations, *self.rule),
            "why": why_kept(validations, *self.rule),
            "keep": self.rule[0],
            "steps": self.steps,
            "compute": self.state["compute"],
            "validation": [
                {k: v for k, v in row.items() if k not in ("rewards", "label_f1s")} for row in validations
            ],
        }

    def conclude(self) -> None:
        """Write ``summary.json`` beside the model, and the choice to the log."""
        said = self.summary()
        write_json(self.workspace.path(self.stage, "summary.json"), said)
        kept = f"kept step {said['best_step']} of {self.steps}, chosen on validation"
        self.workspace.say(f"{self.stage}: {kept}: {said['why']}")
