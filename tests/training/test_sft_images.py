"""The same weights, bit for bit, however the pictures come to the model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator

from radflow.config import Policy as PolicyKnobs
from radflow.policy import PromptEncoder, load_policy
from radflow.studies import Study
from radflow.training.sft import run_sft

SFT = {"epochs": 2, "batch_size": 4, "warmup_steps": 1, "validate_every": 2, "checkpoint_every": 2}


@pytest.fixture
def train(
    folder: Path,
    knobs: PolicyKnobs,
    dozen: list[Study],
    accelerator: Accelerator,
    open_run: Callable[..., Any],
) -> Callable[..., str]:
    """Fine-tune and hash the weights."""

    def train(name: str, workers: int = 0, max_bytes: int = 2**30) -> str:
        workspace, recipe = open_run(name, sft=SFT)
        policy = load_policy(folder, knobs)
        settings = knobs.model_copy(update={"image_workers": workers})
        policy = replace(policy, encoder=PromptEncoder(policy.processor, settings, max_bytes=max_bytes))
        model = run_sft(workspace, recipe, policy, train=dozen, validate=dozen[:3], accelerator=accelerator)
        return hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()

    return train


def test_memory_and_workers_change_no_weight(train: Callable[..., str]) -> None:
    plain = train("plain")
    assert train("memory", max_bytes=1) == plain
    assert train("workers", workers=2, max_bytes=1) == plain
