"""Trained controls: what else the compute of RFT could have bought.

    sft-continued   SFT goes on, on the studies that Target Exploration kept
    sft-more        SFT goes on, on the whole training split
    best-of-n       SFT on the best of n sampled reports per explored study, by the run's reward:
                    RAFT (Dong et al. 2023, arXiv:2304.06767) with one round of sampling

A gain of RFT over SFT alone may be one of longer training, of seeing hard studies more often, or of the
reward without CAPO. So each control starts from the SFT model, trains the weights that RFT trains, spends as
many token passes (`radflow.policy.passes.counting`), is validated as often, and keeps its step by RFT's rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from radflow.config import Recipe
from radflow.errors import TrainingError
from radflow.files import read_json
from radflow.folders import read_pieces
from radflow.policy import Group, Policy, sample_groups
from radflow.policy.passes.counting import FORWARD_AND_BACKWARD, sampling_passes
from radflow.reports import parse_report
from radflow.studies import Study
from radflow.training.checkpoint import restore_weights, trainable_weights
from radflow.training.examples import Example, make_examples
from radflow.training.rollout import RewardModel
from radflow.training.schedule import warmup_cosine
from radflow.training.sft import SftLoop
from radflow.training.sft_terms import SentenceRarity
from radflow.training.validation import ValidatedLoop
from radflow.workspace import Workspace

BEST_OF_N = "best-of-n"
_CHUNK = 64  # studies that are sampled, rewarded and written together
_MEASURED = 256  # examples whose lengths say how many steps the compute buys


def folder_of(name: str) -> str:
    """The stage of a trained control, which is its folder in the run."""
    return f"controls/{name}"


def run_control(
    name: str,
    workspace: Workspace,
    recipe: Recipe,
    policy: Policy,
    *,
    train: Sequence[Study],
    explored: Sequence[Study],
    held_out: Sequence[Study],
    reward: RewardModel,
    accelerator: Accelerator,
    merge: bool = False,
) -> Path:
    """Train a control with the compute of a finished RFT; write its ``model`` and ``summary.json``.

    Args:
        name: one of `radflow.config.TRAINED_CONTROLS`.
        workspace: the run's folder.
        recipe: the sections ``controls``, ``sft``, ``rft``, ``policy`` and ``evaluation``.
        policy: the SFT model with the adapter that RFT starts from.
        train: the training split.
        explored: what Target Exploration kept of it.
        held_out: the validation split; its first studies choose the step.
        reward: of reports.
        accelerator: one process, or many.
        merge: save the model with its adapter folded in, instead of the adapter.

    Raises:
        TrainingError: RFT has not counted its compute, or the loss is not finite.
        RewardError: a reward failed.
    """
    budget, spent = _compute_of_rft(workspace), 0
    studies = train if name == "sft-more" else explored
    if name == BEST_OF_N:
        studies, spent = _best_of_n(workspace, recipe, policy, explored, reward, accelerator)
    # The words that are rare are those of the training split, as in SFT.
    rarity = SentenceRarity([s.reference.canonical for s in train], recipe.sft.token_rarity)
    loop = ControlLoop(
        name,
        workspace,
        recipe,
        policy,
        accelerator,
        make_examples(policy, studies, rarity=rarity),
        held_out[: recipe.rft.validation_studies],
        reward,
        budget=budget,
        spent=spent,
        merge=merge,
    )
    return loop.run()


class ControlLoop(ValidatedLoop, SftLoop):
    """Steps of SFT, counted and chosen as those of RFT; once for each learning rate, always from the start.

    The label loss of SFT is left out: its probe is no part of the model that SFT leaves.
    """

    def __init__(
        self,
        name: str,
        workspace: Workspace,
        recipe: Recipe,
        policy: Policy,
        accelerator: Accelerator,
        examples: list[Example],
        held_out: Sequence[Study],
        reward: RewardModel,
        *,
        budget: int,
        spent: int,
        merge: bool,
    ) -> None:
        self.stage, self.recipe, self.reward, self.merge = folder_of(name), recipe, reward, merge
        self.budget, self.rates = budget, recipe.controls.learning_rate or (recipe.rft.learning_rate,)
        sft, rft = recipe.sft, recipe.rft
        places = np.unique(np.linspace(0, len(examples) - 1, _MEASURED).round().astype(int))
        a_report = np.mean([_passes(policy, examples[i]) for i in places])
        an_epoch = -(-len(examples) // (sft.batch_size * sft.accumulation * accelerator.num_processes))
        epochs = max(0, budget - spent) / (float(a_report) * len(examples))
        self.per_rate = max(1, round(epochs * an_epoch))
        validations = -(-rft.steps // rft.validate_every)
        every = -(-self.per_rate // validations)
        knobs = sft.model_copy(
            update={
                "epochs": self.per_rate * len(self.rates) / an_epoch,
                "label_loss": 0.0,
                "label_epochs": 0.0,
                "warmup_steps": min(sft.warmup_steps, self.per_rate // 10),
                "validate_every": every,
                "checkpoint_every": every,
            }
        )
        super().__init__(workspace, knobs, policy, examples, [], accelerator)
        self.held_out = held_out
        self.state |= {"validation": [], "compute": spent}
        self.start = trainable_weights(self.inner)

    def rate(self, step: int) -> float:
        """SFT's warm-up and cosine, for each learning rate anew."""
        tried, at = divmod(step, self.per_rate)
        return self.rates[tried] * warmup_cosine(at, steps=self.per_rate, warmup=self.knobs.warmup_steps)

    def step(self, step: int) -> tuple[dict[str, Any], int]:
        """One optimiser step; the first of a learning rate begins at the SFT model."""
        if step % self.per_rate == 0:
            restore_weights(self.inner, self.start)
            self.optimizer.state.clear()
        figures = super().step(step)
        self.count(sum(_passes(self.policy, self.examples[i]) for i in self._indices(step)))
        return figures

    def summary(self) -> dict[str, Any]:
        """Beside what RFT's says: RFT's compute, and the learning rate of the step that was kept."""
        said = super().summary()
        tried = max(0, said["best_step"] - 1) // self.per_rate
        rate = self.rates[tried] if said["best_step"] > 0 else None
        return said | {"compute_of_rft": self.budget, "learning_rate": rate}

    def _due(self, done: int, every: int) -> bool:
        """Counted for each learning rate anew, its last step included."""
        return (done % self.per_rate) % every == 0


def _compute_of_rft(workspace: Workspace) -> int:
    path = workspace.path("rft", "summary.json")
    compute = read_json(path).get("compute")
    if compute is None:
        raise TrainingError(
            f"{path}: expected the key compute, found none; delete stages/rft.json so that RFT counts it"
        )
    return compute


def _passes(policy: Policy, example: Example) -> int:
    """Token passes of one example in an optimiser step."""
    return FORWARD_AND_BACKWARD * (len(policy.encoder(example.study).input_ids) + len(example.tokens))


def _best_of_n(
    workspace: Workspace,
    recipe: Recipe,
    policy: Policy,
    studies: Sequence[Study],
    reward: RewardModel,
    accelerator: Accelerator,
) -> tuple[list[Study], int]:
    """The studies with the best of their sampled reports as the reference, and the token passes it took.

    Of reports that end by themselves the highest reward wins, the first at equal reward; a report that was
    cut off is taken only where none ends. What an earlier try finished is read back.
    """
    folder = workspace.path(folder_of(BEST_OF_N), "predictions")
    size = recipe.controls.best_of or recipe.rft.group_size

    def best(places: slice) -> list[dict[str, Any]]:
        part = studies[places]
        groups = sample_groups(
            policy,
            part,
            group_size=size,
            max_new_tokens=recipe.policy.max_new_tokens,
            seeds=[workspace.seed(BEST_OF_N, "sample", s.study_id) for s in part],
            temperature=recipe.rft.temperature,
            top_p=recipe.rft.top_p,
            min_p=recipe.rft.min_p,
        )
        rewards = reward.score_many(part, [group.texts for group in groups])
        rows = zip(groups, ([r.total for r in row] for row in rewards), strict=True)
        return [_best(policy, group, totals) for group, totals in rows]

    turn = (accelerator.process_index, accelerator.num_processes)
    workspace.write_pieces("Best of n", folder, len(studies), best, size=_CHUNK, turn=turn)
    accelerator.wait_for_everyone()
    rows = list(read_pieces(folder))
    told = [replace(s, reference=parse_report(row["text"])) for s, row in zip(studies, rows, strict=True)]
    gained = np.mean([row["reward"] - row["mean_reward"] for row in rows])
    workspace.say(f"{folder_of(BEST_OF_N)}: the best of {size} has {gained:+.3f} reward over their mean")
    return told, sum(row["passes"] for row in rows)


def _best(policy: Policy, group: Group, rewards: Sequence[float]) -> dict[str, Any]:
    best = max(range(len(rewards)), key=lambda i: (group.completions[i].finished, rewards[i], -i))
    return {
        "study_id": group.study.study_id,
        "text": group.completions[best].text,
        "reward": rewards[best],
        "mean_reward": float(np.mean(rewards)),
        "passes": sampling_passes(policy, [group]),
    }
