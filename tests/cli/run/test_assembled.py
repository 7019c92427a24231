"""Policies put together from parts, from the command that makes them to page, card and draft."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open

from part_folders import write_language, write_tower
from wards import FINDINGS, IMPRESSIONS, write_ward

Command = Callable[..., tuple[int, str, str]]
RECIPE = """
name = "Assembled"
threads = 1
[data]
source = "manifest"
manifest = "studies.jsonl"
[policy]
max_new_tokens = 6
lora_rank = 2
image_features = "disk"
[policy.tiny]
image_size = 32
image_tokens = 4
text_width = 32
text_layers = 2
heads = 2
vocabulary = 600
[sft]
epochs = 1
batch_size = 2
warmup_steps = 1
learning_rate = 1e-2
[exploration]
keep_percent = 50
bertscore = 0
[rft]
studies_per_step = 2
group_size = 2
steps = 1
validation_studies = 2
learning_rate = 1e-2
[evaluation]
resamples = 20
cases = 1
"""


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies, a recipe for them, and a vision tower."""
    ward = write_ward(tmp_path_factory.mktemp("ward"), RECIPE)
    write_tower("dinov2", ward / "tower")
    return ward


def weights(folder: Path, part: str) -> dict[str, object]:
    """The weights of a part, as plain numbers."""
    with safe_open(folder / "model.safetensors", "np") as file:
        return {n: file.get_tensor(n).tolist() for n in file.keys() if part in n}  # noqa: SIM118


def drafted(command: Command, film: Path, model: Path) -> str:
    status, said, wrong = command("draft", film, "--model", model, "--json")
    assert status == 0, wrong
    return json.loads(said)["text"]


def test_the_tiny_policy_on_a_pretrained_tower(ward: Path, command: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    status, _, wrong = command(
        "run", ward / "recipe.toml", "--policy.tiny.tower", ward / "tower", "--out", run,
        "--policy.image_features_folder", tmp_path / "seen",
    )  # fmt: skip
    assert status == 0, wrong
    assert "<html" in (run / "report.html").read_text()
    base, sft, rft = run / "sft" / "base", run / "sft" / "model", run / "rft" / "model"
    assert weights(base, "vision_tower") == weights(sft, "vision_tower") == weights(rft, "vision_tower")
    assert weights(base, "projector") != weights(sft, "projector") == weights(rft, "projector")
    assert weights(base, "language_model") != weights(sft, "language_model")
    assert len(list((tmp_path / "seen").iterdir())) == 8  # a film's states serve SFT, RFT and all that writes
    assert drafted(command, ward / "6-0.png", run) == drafted(command, ward / "6-0.png", rft)

    [code] = re.findall(r"```python\n(.*?)```", (rft / "README.md").read_text(), flags=re.S)
    assert "import radflow.policy" in code
    status, _, wrong = command("merge", rft, "--out", "merged")
    assert (status, "got a whole model" in wrong) == (1, True)


def test_the_last_layers_of_a_tower_of_sixteen_bits_train(
    ward: Path, command: Command, tmp_path: Path
) -> None:
    """They train in float32, and the norm behind them takes what they say."""
    write_language("llama", tmp_path / "language", texts=[*FINDINGS, *IMPRESSIONS] * 9)
    parts = ("--vision", ward / "tower", "--language", tmp_path / "language", "--connector", "perceiver")
    assert command("assemble", *parts, "--tokens", 3, "--out", "model")[0] == 0
    knobs = ("--policy.model", "model", "--policy.dtype", "bfloat16", "--sft.vision", "last:1")
    status, _, wrong = command("sft", ward / "recipe.toml", *knobs, "--out", tmp_path / "run")
    assert status == 0, wrong
    with safe_open(tmp_path / "run" / "sft" / "model" / "model.safetensors", "pt") as file:
        assert {str(file.get_tensor(name).dtype) for name in file.keys()} == {"torch.bfloat16"}  # noqa: SIM118


def test_assemble_train_and_draft(ward: Path, command: Command, tmp_path: Path) -> None:
    """A connector and LoRA train on assembled parts: the model is saved whole, by SFT and by RFT."""
    words = [*FINDINGS, *IMPRESSIONS]
    write_language("llama", tmp_path / "language", texts=words * 9)
    parts = ("--vision", ward / "tower", "--language", tmp_path / "language", "--connector", "perceiver")
    status, said, wrong = command("assemble", *parts, "--tokens", 3, "--out", "model")
    assert status == 0, wrong
    assert "3 visual tokens per picture" in said
    assert "radflow's form" in said
    status, _, wrong = command("assemble", *parts, "--tokens", 3, "--out", "model")
    assert (status, "expected a new or an empty folder" in wrong) == (1, True)

    run = tmp_path / "run"
    more = ("--sft.vision", "last:1", "--sft.accumulation", 2, "--sft.connector-learning-rate", "2e-2")
    more += ("--sft.gradient-checkpointing", "true", "--policy.lora-targets", "q_proj,v_proj")
    more += ("--policy.dtype", "float32")  # on any processor, for the weights are compared
    arguments = ("run", ward / "recipe.toml", "--policy.model", "model", "--out", run, *more)
    status, said, wrong = command(*arguments)
    assert status == 0, wrong
    told = (
        "LoRA (rank 2, alpha 16) on the language model, the last 1 layers of the vision tower, the connector"
    )
    assert f"sft: trains {told}" in said
    assert told in (run / "rft" / "model" / "README.md").read_text()
    sft, rft = run / "sft" / "model", run / "rft" / "model"
    assert not list(run.rglob("adapter_config.json"))
    for part, moved in {"encoder.layer.0": False, "encoder.layer.1": True, "projector": True}.items():
        assert (weights(tmp_path / "model", part) != weights(sft, part)) == moved, part
        assert weights(sft, part) == weights(rft, part)
    for layer, moved in {"q_proj": True, "k_proj": False}.items():
        name = f"language_model.layers.0.self_attn.{layer}"
        assert (weights(tmp_path / "model", name) != weights(sft, name)) == moved, name
    assert drafted(command, ward / "6-0.png", run) == drafted(command, ward / "6-0.png", rft)


def test_the_language_model_itself_trains(ward: Path, command: Command, tmp_path: Path) -> None:
    """Rank 0: SFT and RFT train the weights, and both leave whole models."""
    write_language("gpt2", tmp_path / "language", texts=FINDINGS * 9)
    parts = ("--vision", ward / "tower", "--language", tmp_path / "language")
    status, _, wrong = command("assemble", *parts, "--connector", "linear", "--tokens", 4, "--out", "model")
    assert status == 0, wrong
    run = tmp_path / "run"
    more = ("--policy.lora-rank", 0, "--rft.inner-steps", 2, "--sft.connector", "false", "--rft.steps", 2)
    more += ("--sft.epochs", 15, "--rft.group-size", 4)  # words enough that rewards differ
    status, said, wrong = command("run", ward / "recipe.toml", "--policy.model", "model", "--out", run, *more)
    assert status == 0, wrong
    assert "sft: trains the language model" in said
    sft, rft = run / "sft" / "model", run / "rft" / "model"
    assert weights(tmp_path / "model", "projector") == weights(sft, "projector") == weights(rft, "projector")
    assert weights(tmp_path / "model", "c_attn") != weights(sft, "c_attn")
    assert not list(run.rglob("adapter_config.json"))
