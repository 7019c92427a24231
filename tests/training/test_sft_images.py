"""The same weights, bit for bit, however the pictures come to the model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
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

    def train(name: str, **how: Any) -> str:
        workspace, recipe = open_run(name, sft=SFT)
        policy = load_policy(folder, knobs)
        encoder = PromptEncoder(policy, instruction=knobs.prompt, **how)
        model = run_sft(
            workspace, recipe, policy, encoder, train=dozen, validate=dozen[:3], accelerator=accelerator
        )
        return hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()

    return train


def test_cache_and_workers_change_no_weight(train: Callable[..., str], tmp_path: Path) -> None:
    plain = train("plain")
    kept = {"folder": tmp_path / "kept", "max_bytes": 1, "max_disk_bytes": 10**8}
    assert train("workers", workers=2, max_bytes=1) == plain
    assert train("cold", **kept) == plain
    assert len(list((tmp_path / "kept").iterdir())) > 0
    assert train("warm", **kept, workers=2) == plain
