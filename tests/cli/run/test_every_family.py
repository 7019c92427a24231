"""Every family that the README names, from a folder as the hub lays it out to page, card, draft and merge."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from safetensors import safe_open

from hub_folders import LAYOUTS, as_hub_cache, write_hub_folder
from radflow.reports.draft import printable
from radflow.run.model_card import loading_lines

Command = Callable[..., tuple[int, str, str]]
REPORTS = (
    ("The lungs are clear. No pleural effusion.", "No acute disease."),
    ("Large left pneumothorax. No pleural effusion.", "Large left pneumothorax."),
)
RECIPE = """
name = "Every family"
threads = 1
[data]
source = "manifest"
manifest = "studies.jsonl"
[policy]
max_new_tokens = 8
lora_rank = 2
image_features = "disk"
[sft]
epochs = 1
batch_size = 4
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
cases = 2
"""
LAYERS = 2
PER_LAYER = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
CACHED = "qwen2_5_vl"
"""The family whose folder is a snapshot in the hub's cache, all links."""


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight studies with one picture or two, of several shapes, and a recipe for them."""
    ward = tmp_path_factory.mktemp("ward")
    rows = []
    for number, split in enumerate(["train"] * 4 + ["validate"] * 2 + ["test"] * 2):
        images = [f"{number}-{view}.png" for view in range(1 + number % 2)]
        for view, name in enumerate(images):
            Image.effect_noise((40, 30 + 10 * view), 90).save(ward / name)
        findings, impression = REPORTS[number % 2]
        row = {"study_id": f"s{number}", "patient_id": f"p{number}", "split": split, "images": images}
        rows.append(row | {"findings": findings, "impression": impression})
    (ward / "studies.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (ward / "every.toml").write_text(RECIPE)
    return ward


@pytest.mark.parametrize(
    "family",
    [
        f if f in ("llava", "qwen2_5_vl", CACHED) else pytest.param(f, marks=pytest.mark.release)
        for f in LAYOUTS
    ],
)
def test_it_goes_from_its_folder_to_page_card_draft_and_merge(
    family: str, ward: Path, command: Command, tmp_path: Path
) -> None:
    model = write_hub_folder(family, tmp_path / "model", texts=[" ".join(words) for words in REPORTS] * 9)
    if family == CACHED:
        model = as_hub_cache(model, family, tmp_path / "cache")
    status, said, wrong = command("run", ward / "every.toml", "--policy.model", model, "--out", "run")
    assert (status, "error" in wrong) == (0, False), wrong
    assert "page:" in said
    assert "<html" in (tmp_path / "run" / "report.html").read_text()
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (set(results["systems"]), results["cases"]) == ({"template", "sft", "radflow"}, 2)
    check_adapter(tmp_path / "run" / "rft" / "model")

    status, said, wrong = command("merge", "run", "--out", "merged")
    assert status == 0, wrong
    film = ward / "6-0.png"
    drafts = [draft(command, film, place) for place in ("run", "merged")]
    assert drafts[0] == drafts[1]
    for place in (tmp_path / "run" / "rft" / "model", tmp_path / "merged"):
        assert run_card(place, model, film) == drafts[0]


def check_adapter(folder: Path) -> None:
    """LoRA lies on every linear layer of the language model and nowhere else, and RFT moved it."""
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    layers = {name.rsplit(".lora_", 1)[0] for name in weights}
    assert len(layers) == LAYERS * len(PER_LAYER)
    assert {name.rsplit(".", 1)[1] for name in layers} == PER_LAYER
    assert not [name for name in layers if "vision" in name or "project" in name or "connector" in name]
    assert all(weight.abs().sum() > 0 for name, weight in weights.items() if ".lora_B." in name)


def draft(command: Command, film: Path, place: str) -> str:
    status, said, wrong = command("draft", film, "--model", place, "--json")
    assert status == 0, wrong
    return json.loads(said)["text"]


def run_card(folder: Path, base: Path, film: Path) -> str:
    """What the card's lines print, with transformers and peft alone."""
    [code] = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.S)
    for name, path in (("BASE", base), ("FOLDER", folder), ("study.png", film)):
        code = code.replace(f'"{name}"', repr(str(path)))
    assert "radflow" not in code.replace(str(folder), "")
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(code, "card", "exec"), {})
    return printable(said.getvalue().strip())


def test_a_language_model_has_the_usual_lines() -> None:
    lines = loading_lines("merged", base="", prompt="Why?", most=9)
    assert 'AutoProcessor.from_pretrained("FOLDER")' in lines
    compile(lines, "card", "exec")
