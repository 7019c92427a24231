"""R2GenGPT, RadFM and MedVersa, built small by name, through the whole workflow; a converted one drafts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import published_files as files
from radflow.files import read_jsonl
from wards import write_ward

Command = Callable[..., tuple[int, str, str]]
RECIPE = """
name = "Compared"
threads = 1
[data]
source = "manifest"
manifest = "studies.jsonl"
[policy]
max_new_tokens = 6
lora_rank = 2
[policy.tiny]
image_size = 64
text_width = 32
text_layers = 2
heads = 2
vocabulary = 600
[sft]
epochs = 1
batch_size = 2
warmup_steps = 1
[exploration]
keep_percent = 50
bertscore = 0
[rft]
studies_per_step = 2
group_size = 2
steps = 1
validation_studies = 2
[evaluation]
resamples = 20
cases = 1
"""


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ward(tmp_path_factory.mktemp("ward"), RECIPE, two_views=True, indication="Cough.")


@pytest.mark.parametrize(
    "name", ["r2gengpt", *(pytest.param(n, marks=pytest.mark.release) for n in ("radfm", "medversa"))]
)
def test_a_small_one_trains_and_writes(name: str, ward: Path, command: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    status, said, wrong = command("run", ward / "recipe.toml", "--policy.model", name, "--out", run)
    assert status == 0, wrong
    assert "sft: trains all weights" in said
    assert "one row per completion instead" not in said  # the packed row agrees with the plain one
    steps = [row for row in read_jsonl(run / "metrics.jsonl") if row.get("stage") == "sft" and "loss" in row]
    assert len(steps) >= 2
    for system in ("sft", "radflow"):
        assert len(list(read_jsonl(run / "generate" / f"{system}.jsonl"))) == 2
    assert name in (run / "rft" / "model" / "README.md").read_text()
    base, trained = (files.saved(run / "sft" / place) for place in ("base", "model"))
    for part in ("vision_tower", "multi_modal_projector", "language_model"):
        moved = [n for n in base if part in n and not torch.equal(base[n], trained[n])]
        assert moved, part


def test_published_weights_draft_as_their_authors_ask(ward: Path, command: Command, tmp_path: Path) -> None:
    """From the published file to drafts of a manifest, with the folder's own words and decoding."""
    torch.manual_seed(0)
    llama, swin = files.llama_folder(tmp_path / "llama"), files.swin_folder(tmp_path / "swin")
    weights = files.r2gengpt_file(tmp_path / "c.pth", files.r2gengpt_states("shallow", swin))
    status, _, wrong = command("baselines", "convert", "r2gengpt", weights, swin, llama, "--out", "model")
    assert status == 0, wrong
    drafts = {}
    for decoding in ("own", "greedy"):
        out = tmp_path / decoding
        arguments = ("--manifest", ward / "studies.jsonl", "--out", out, "--decoding", decoding)
        status, _, wrong = command("draft", "--model", "model", *arguments)
        assert status == 0, wrong
        drafts[decoding] = {row["study_id"]: row for row in read_jsonl(out / "drafts.jsonl")}
    assert drafts["own"].keys() == {f"s{n}" for n in range(8)}
    assert drafts["own"] != drafts["greedy"]


@pytest.mark.release
def test_a_converted_one_goes_on_from_its_own_recipe(ward: Path, command: Command, tmp_path: Path) -> None:
    """As its authors begin, with a fresh connector, which alone SFT trains; RFT puts LoRA on Llama."""
    torch.manual_seed(0)
    llama, swin = files.llama_folder(tmp_path / "llama"), files.swin_folder(tmp_path / "swin")
    status, _, wrong = command("baselines", "convert", "r2gengpt", swin, llama, "--out", "model")
    assert status == 0, wrong
    small = {
        "sft.epochs": 1, "sft.batch-size": 2, "exploration.keep-percent": 50, "exploration.bertscore": 0,
        "rft.studies-per-step": 2, "rft.group-size": 2, "rft.steps": 1, "rft.validation-studies": 2,
        "evaluation.resamples": 20, "evaluation.cases": 1, "policy.lora-rank": 2, "policy.dtype": "float32",
    }  # fmt: skip
    options = [word for name, value in small.items() for word in (f"--{name}", value)]
    data = ("--data.source", "manifest", "--data.manifest", ward / "studies.jsonl")
    run = tmp_path / "run"
    status, said, wrong = command(
        "run", "model/recipe.toml", "--policy.model", "model", *data, *options, "--out", run
    )
    assert status == 0, wrong
    assert "sft: trains the connector" in said
    results = json.loads((run / "results.json").read_text())
    assert results["decoding"] == "as the model's generation_config.json says"
    base, trained = files.saved(tmp_path / "model"), files.saved(run / "sft" / "model")
    moved = {name.split(".")[1] for name in base if not torch.equal(base[name], trained[name])}
    assert moved == {"multi_modal_projector"}
