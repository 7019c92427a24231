"""Mended completions are completions: tokens of their text, a reward, a ratio of 1 at the first pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from radflow.policy import Completion, Group, Policy
from radflow.rewards import HierarchicalReward
from radflow.studies import Study
from radflow.training import rft, rollout
from radflow.training.editing.groups import edit_groups
from radflow.training.rft import run_rft
from radflow.training.update import given_logprobs
from radflow.training.validation import Validation

WRONG = "Findings: Heart enlarged. Impression: Big heart."


def sampled(policy: Policy, studies: Sequence[Study], *, group_size: int = 4, **_: Any) -> list[Group]:
    """Groups that write the same wrong report for each study."""
    ids = (*policy.tokenizer(WRONG, add_special_tokens=False)["input_ids"], policy.end_ids[0])
    one = Completion(text=WRONG, token_ids=ids, finished=True)
    return [Group(study=study, completions=(one,) * group_size) for study in studies]


def test_half_of_a_group_is_mended_and_tokenised(policy: Policy, studies: list[Study]) -> None:
    groups = sampled(policy, studies)
    how = {"share": 0.5, "seeds": [5, 6, 7]}
    edited = edit_groups(policy, groups, max_new_tokens=60, **how)
    assert edited == edit_groups(policy, groups, max_new_tokens=60, **how)
    effusion, right = edited[1].completions, edited[2].completions
    assert sum(c.edited for c in effusion) == 2
    assert {c.text for c in effusion} == {
        WRONG,
        "Findings: Large left effusion. Impression: Big heart. Effusion.",
    }
    assert all(c.token_ids[-1] in policy.end_ids and c.finished for c in effusion)
    for one in effusion:
        assert policy.tokenizer.decode(one.token_ids, skip_special_tokens=True).strip() == one.text
    assert not any(c.edited for c in right)  # nothing to mend
    assert edit_groups(policy, groups, max_new_tokens=5, **how) == groups  # too long


def test_a_mended_completion_is_rewarded_and_its_ratio_starts_at_one(
    policy: Policy,
    folder: Any,
    knobs: Any,
    dozen: list[Study],
    open_run: Callable,
    rows: Callable,
    accelerator: Accelerator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from radflow.policy import load_policy
    from radflow.training import validation

    old: list[tuple[Any, Any]] = []

    def update(model: Any, forward: Any, rolled: Any, *how: Any, **more: Any) -> Any:
        before = given_logprobs(forward, rolled.groups, 8_192)
        done = real(model, forward, rolled, *how, **more)
        old.append((before, done.old))
        return done

    real = rft.update_policy
    monkeypatch.setattr(rft, "update_policy", update)
    monkeypatch.setattr(rollout, "sample_groups", sampled)
    outcome = Validation(rewards=[1.0] * 3, label_f1s=[0.5] * 3, figures={"words": 4.0})
    monkeypatch.setattr(validation, "validate_policy", lambda *_: outcome)
    more = knobs.model_copy(update={"max_new_tokens": 60})
    workspace, recipe = open_run(rft={"steps": 1, "studies_per_step": 6, "edited": 0.5})
    recipe = recipe.model_copy(update={"policy": more})
    run_rft(
        workspace,
        recipe,
        load_policy(folder, more, adapter="continue"),
        studies=dozen,
        held_out=dozen[:3],
        reward=HierarchicalReward(modality="chest-xray"),
        accelerator=accelerator,
    )
    row = rows(workspace)[-1]
    assert 0 < row["edited_share"] <= 0.5
    assert row["edited_reward"] > row["sampled_reward"]
    assert row["edited_logprob"] < 0 > row["sampled_logprob"]
    [(before, used)] = old
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(before, used, strict=True))
