"""Trained controls: they spend RFT's compute, end alike after a kill, and learn what they are named for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

import radflow.policy as policy_module
from radflow.config import TRAINED_CONTROLS
from radflow.config import Policy as PolicyKnobs
from radflow.errors import TrainingError
from radflow.files import read_json, write_json
from radflow.policy import Policy, load_policy
from radflow.policy.groups import Completion, Group
from radflow.rewards import PARTS, Reward
from radflow.studies import Study
from radflow.training import controls, rollout, validation
from radflow.training.controls import run_control
from radflow.training.rft import run_rft
from radflow.training.validation import Validation

SFT = {"batch_size": 4, "warmup_steps": 1}
RFT = {"steps": 2, "studies_per_step": 3, "learning_rate": 0.01, "shift_guard": "off", "exact_shift_every": 0}


class Longest:
    """Rewards the length of a text."""

    weights = dict.fromkeys(PARTS, 1.0)

    def score_many(self, studies: Sequence[Study], texts: Sequence[Sequence[str]]) -> list[list[Reward]]:
        nothing = dict.fromkeys(PARTS)
        return [[Reward(total=float(len(t)), parts=nothing) for t in group] for group in texts]


@pytest.fixture
def control(
    folder: Path,
    knobs: PolicyKnobs,
    dozen: list[Study],
    accelerator: Accelerator,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[Policy, Path]]:
    """Train a control, or RFT itself, as a process started anew would; validation likes large weights."""

    def by_weights(policy: Policy, *_: Any) -> Validation:
        size = sum(float(p.detach().square().sum()) for p in policy.model.parameters() if p.requires_grad)
        return Validation(rewards=[size] * 3, label_f1s=[0.5] * 3, figures={})

    def control(name: str, workspace: Any, recipe: Any) -> tuple[Policy, Path]:
        torch.manual_seed(0)
        policy = load_policy(folder, knobs, adapter="continue")
        monkeypatch.setattr(validation, "validate_policy", by_weights)
        how: dict[str, Any] = {
            "held_out": dozen[:3],
            "reward": Longest(),
            "accelerator": accelerator,
            "merge": True,
        }
        if name == "rft":
            return policy, run_rft(workspace, recipe, policy, studies=dozen[:6], **how)
        return policy, run_control(name, workspace, recipe, policy, train=dozen, explored=dozen[:6], **how)

    return control


def test_rft_counts_its_compute_and_a_control_spends_as_much(
    control: Callable, open_run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, recipe = open_run(sft=SFT, rft=RFT)
    sampled: list[Group] = []

    def sample_groups(*arguments: Any, **how: Any) -> list[Group]:
        sampled.extend(groups := policy_module.sample_groups(*arguments, **how))
        return groups

    monkeypatch.setattr(rollout, "sample_groups", sample_groups)
    policy, _ = control("rft", workspace, recipe)
    tokens = sum(
        len(policy.encoder(g.study).input_ids) + sum(len(c.token_ids) for c in g.completions) for g in sampled
    )
    rft = read_json(workspace.path("rft", "summary.json"))
    assert rft["compute"] == tokens * (1 + 1 + 2 * 3)  # sampled, under the reference, two inner steps

    for name in TRAINED_CONTROLS:
        control(name, workspace, recipe)
        said = read_json(workspace.path("controls", name, "summary.json"))
        a_step = 3 * 4 * 40  # no prompt with its report has 40 tokens
        assert said["compute_of_rft"] == rft["compute"] == pytest.approx(said["compute"], abs=a_step)
        assert said["learning_rate"] == recipe.rft.learning_rate
        assert [v["step"] for v in said["validation"]] == [0, said["steps"]]  # as often as RFT


def test_rft_that_did_not_count_is_refused(control: Callable, open_run: Callable) -> None:
    workspace, recipe = open_run(sft=SFT, rft=RFT)
    write_json(workspace.path("rft", "summary.json"), {"best_step": 0})
    with pytest.raises(TrainingError, match="expected the key compute, found none"):
        control("sft-continued", workspace, recipe)


def test_a_stopped_control_ends_as_an_uninterrupted_one_at_every_learning_rate(
    control: Callable, open_run: Callable, weights: Callable, rows: Callable, stop_at: Callable
) -> None:
    sections = {"sft": SFT, "rft": RFT, "controls": {"learning_rate": "0.01, 0.001", "best_of": 3}}
    ends = []
    for name, stops in (("whole", ()), ("halted", (1, 11))):
        for step in stops:
            workspace, recipe = open_run(name, **sections)
            write_json(workspace.path("rft", "summary.json"), {"compute": 3_000})
            with pytest.raises(stop_at(workspace, step)):
                control("best-of-n", workspace, recipe)
        workspace, recipe = open_run(name, **sections)
        write_json(workspace.path("rft", "summary.json"), {"compute": 3_000})
        _, model = control("best-of-n", workspace, recipe)
        summary = read_json(workspace.path("controls", "best-of-n", "summary.json"))
        ends.append((rows(workspace), summary, weights(model)))
    (whole, summary, expected), (again, also, found) = ends
    assert (again, also) == (whole, summary)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    steps = summary["steps"] // 2
    assert steps > 3
    assert summary["learning_rate"] == 0.01  # moves the weights more, which validation likes
    rates = [row["learning_rate"] for row in whole if row["step"]]
    assert rates[steps:] == pytest.approx([rate / 10 for rate in rates[:steps]])
    # Each learning rate starts from the SFT model: after equal steps the smaller has moved less.
    moved = {v["step"]: v["reward"] for v in summary["validation"]}
    assert moved[0] < moved[2 * steps] < moved[steps]


def test_the_best_report_that_ends_is_learnt(studies: list[Study], policy: Policy) -> None:
    texts = (("Clear.", True), ("Effusion.", False), ("Effusion and more.", True), ("Large.", True))
    group = Group(
        study=studies[0],
        completions=tuple(
            Completion(text=text, token_ids=(1, 2), logprobs=None, finished=ends) for text, ends in texts
        ),
    )
    row = controls._best(policy, group, [0.0, 9.0, 2.0, 2.0])
    assert (row["text"], row["reward"], row["mean_reward"]) == ("Effusion and more.", 2.0, 3.25)
    assert row["passes"] == len(policy.encoder(studies[0]).input_ids) + 8
