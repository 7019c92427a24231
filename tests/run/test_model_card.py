"""The model card says what the run's files say, holds nothing private, and its lines of code run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from radflow.config import Policy as PolicyKnobs
from radflow.config import dump_recipe, load_recipe, make_recipe
from radflow.evaluation import Results, ShuffledImages, write_results
from radflow.evaluation.intervals import Interval
from radflow.files import read_json, write_json
from radflow.policy import greedy_reports, load_policy, save_policy
from radflow.run.model_card import LOADING, hub_name, write_card, write_cards
from radflow.studies import Study
from radflow.studies.manifest import write_manifest

PROMPT = "Say what you see."
HUB = "Qwen/Qwen2.5-VL-3B-Instruct"


def interval(mean: float) -> Interval:
    return Interval(mean=mean, low=mean - 0.1, high=mean + 0.1)


def write_run(run: Path, studies: list[Study], model: str, **data: object) -> Path:
    """The files of a run that a card is made from."""
    recipe = make_recipe(
        {
            "name": "Chest | pilot",
            "out": str(run),
            "data": {"source": "open-i", **data},
            "policy": {"model": model, "prompt": PROMPT, "max_new_tokens": 12, "lora_rank": 2},
            "reward": {"judge": f"local:{run}/judges/llama"},
        }
    )
    run.mkdir(parents=True, exist_ok=True)
    (run / "recipe.toml").write_text(dump_recipe(recipe))
    splits = ("train", "validate", "test")
    write_manifest(
        run / "prepare" / "studies.jsonl",
        [replace(s, split=split, critical_by="rules") for s, split in zip(studies, splits, strict=True)],
    )
    write_json(run / "exploration" / "summary.json", {"picked_size": 1, "split_size": 1})
    write_json(run / "rft" / "summary.json", {"best_step": 6, "steps": 14})
    scores = {"reward": interval(1.0), "reward/consistency": interval(0.5), "chexpert_f1": interval(0.25)}
    control = ShuffledImages(true=interval(0.25), shuffled=interval(0.125), fall=interval(0.125))
    write_results(
        run / "results.json",
        Results(
            systems={"template": scores, "sft": scores, "radflow": scores},
            gain={},
            cases=1,
            images="real",
            seconds={},
            shuffled={"chexpert_f1": control},
            labels={"reward/consistency": f"Consistency (local:{run}/judges/llama)"},
            warnings=(f"The judge (local:{run}/judges/llama) said one thing.",),
        ),
    )
    return run


@pytest.fixture
def run(folder: Path, knobs: PolicyKnobs, studies: list[Study], tmp_path: Path) -> Path:
    """A run whose two models are adapters on a base model of this machine."""
    run = write_run(tmp_path / "run", studies, str(folder))
    for stage in ("sft", "rft"):
        save_policy(load_policy(folder, knobs, adapter="fresh"), run / stage / "model")
    write_cards(run)
    return run


def card_of(run: Path, stage: str = "rft") -> str:
    return (run / stage / "model" / "README.md").read_text()


def test_an_adapter_folder_is_an_ordinary_peft_folder_with_a_card(run: Path) -> None:
    names = {path.name for path in (run / "rft" / "model").iterdir()}
    assert names >= {
        "adapter_config.json",
        "adapter_model.safetensors",
        "processor_config.json",
        "tokenizer.json",
        "README.md",
        "recipe.toml",
    }


def test_the_card_says_what_the_files_of_the_run_say(run: Path) -> None:
    card = card_of(run)
    headings = [line for line in card.splitlines() if line.startswith("#") and "```" not in line]
    assert headings == [
        "# Chest - pilot",
        *("## " + name for name in ("Data", "Recipe", "Metrics", "Intended use", "Limits")),
        LOADING,
    ]
    for line in (
        "| train | 1 | 1 | 1 | 0.0% |",
        "| validate | 1 | 1 | 2 | 100.0% |",
        "| metric | Template | SFT | RadFlow | RadFlow, shuffled |",
        "| Reward ↑ | 1.000 [0.900, 1.100] | 1.000 [0.900, 1.100] | 1.000 [0.900, 1.100] | – |",
        "| CheXpert F1 (rules) ↑ | 0.250 [0.150, 0.350] | 0.250 [0.150, 0.350] | 0.250 [0.150, 0.350] "
        "| 0.125 [0.025, 0.225] |",
        "| Clipping range | 0.2 normal, 0.05 critical; KL weight 0.04 |",
    ):
        assert line in card.splitlines()
    assert "step 6 of 14, chosen on validation" in card
    assert "vllm serve BASE --enable-lora --max-lora-rank 8 --lora-modules radflow=FOLDER" in card
    assert "| Reward: consistency (local:llama) ↑ |" in card
    assert "- The judge (local:llama) said one thing." in card
    sft = card_of(run, "sft")
    assert "| metric | Template | SFT |" in sft.splitlines()
    assert "Target Exploration" not in sft


def test_the_card_holds_nothing_private(
    run: Path, studies: list[Study], tmp_path: Path, folder: Path
) -> None:
    for stage in ("sft", "rft"):
        for name in ("README.md", "recipe.toml"):
            text = (run / stage / "model" / name).read_text()
            assert str(tmp_path) not in text
            assert str(folder.parent) not in text
            assert not re.search(r"(?<![\w:/.])/(?:home|tmp|root|work|Users|mnt)/", text)
            for study in studies:
                assert study.reference.findings not in text
                assert not re.search(rf"\b({study.study_id}|{study.patient_id})\b", text)


def test_the_hub_reads_its_head(run: Path) -> None:
    data = ModelCard.load(run / "rft" / "model" / "README.md").data.to_dict()
    assert data["library_name"] == "peft"
    assert data["pipeline_tag"] == "image-text-to-text"
    assert "lora" in data["tags"]
    assert not {"base_model", "license", "datasets"} & set(data)  # a local base, and neither is known


def test_a_base_on_the_hub_is_named(run: Path, studies: list[Study]) -> None:
    write_run(run, studies, HUB)
    write_cards(run)
    data = ModelCard.load(run / "rft" / "model" / "README.md").data.to_dict()
    assert (data["base_model"], data["base_model_relation"]) == (HUB, "adapter")
    assert f'from_pretrained("{HUB}"' in card_of(run)
    assert f"vllm serve {HUB} --enable-lora" in card_of(run)
    assert hub_name("no-slash") is None


@pytest.mark.parametrize("crops", [pytest.param(False, marks=pytest.mark.release), True])
def test_its_lines_of_code_write_the_report_that_radflow_writes(
    crops: bool,
    run: Path,
    folder: Path,
    studies: list[Study],
    tmp_path: Path,
    environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, picture = run / "rft" / "model", studies[0].images[0]
    if crops:  # a picture that says something at its ends alone
        processor = AutoProcessor.from_pretrained(model, backend="pil")
        size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
        processor.image_processor = LlavaImageProcessorPil(**size)
        processor.save_pretrained(model)
        picture = tmp_path / "wide.png"
        Image.effect_noise((120, 40), 200).save(picture)
        write_cards(run)
    assert ("ImageOps.pad" in card_of(run)) is crops
    weights = load_file(model / "adapter_model.safetensors")
    save_file({n: t + 0.3 for n, t in weights.items()}, model / "adapter_model.safetensors")
    [code] = re.findall(r"```python\n(.*?)```", card_of(run), flags=re.S)
    for name, value in (("BASE", folder), ("FOLDER", model), ("study.png", picture)):
        assert name in code
        code = code.replace(name, str(value))
    if crops:  # that nothing of radflow is needed, the other picture has shown
        exec(compile(code, "card", "exec"), {})
        said = capsys.readouterr().out
    else:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said = done.stdout
    policy = load_policy(model, load_recipe(run / "recipe.toml").policy)
    study = replace(studies[0], images=(picture,))
    [(_, completion)] = greedy_reports(policy, [study], max_new_tokens=12)
    assert completion.text
    assert said.strip() == completion.text


def test_what_vllm_will_not_load_is_said(run: Path, folder: Path, knobs: PolicyKnobs) -> None:
    model = run / "rft" / "model"
    weights = load_file(model / "adapter_model.safetensors")
    name = "base_model.model.model.vision_tower.encoder.layers.0.mlp.fc1.lora_A.weight"
    save_file({**weights, name: weights[sorted(weights)[0]].clone()}, model / "adapter_model.safetensors")
    write_cards(run)
    card = card_of(run)
    assert "vLLM does not load this adapter as it is: 1 of its layers are outside the language model" in card
    assert "--enable-lora" not in card


def test_the_card_of_a_merged_run(
    run: Path, command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    assert command("merge", run, "--out", "merged")[0] == 0
    card = (tmp_path / "merged" / "README.md").read_text()
    assert "with the LoRA adapter folded into its weights" in card
    assert "| Clipping range | 0.2 normal, 0.05 critical; KL weight 0.04 |" in card.splitlines()
    assert "`vllm serve FOLDER" in card
    assert ModelCard.load(tmp_path / "merged" / "README.md").data.library_name == "transformers"
    assert load_recipe(tmp_path / "merged" / "recipe.toml").policy.prompt == PROMPT


def test_the_card_of_an_adapter_far_from_its_run(
    run: Path, command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (run / "rft" / "model").rename(tmp_path / "shared")
    assert command("merge", "shared", "--out", "merged")[0] == 0
    card = (tmp_path / "merged" / "README.md").read_text()
    assert "**Merged**: the LoRA adapter is folded into the weights" in card
    assert "| Clipping range | 0.2 normal, 0.05 critical; KL weight 0.04 |" in card.splitlines()
    assert card.count(LOADING) == 1
    assert "PeftModel" not in card
    data = ModelCard.load(tmp_path / "merged" / "README.md").data
    assert data.library_name == "transformers"
    assert "lora" not in data.tags
    assert load_recipe(tmp_path / "merged" / "recipe.toml").policy.prompt == PROMPT

    (tmp_path / "shared" / "README.md").unlink()
    assert command("merge", "shared", "--out", "bare")[0] == 0
    assert "nothing is said here about its data" in (tmp_path / "bare" / "README.md").read_text()


def test_a_model_without_an_evaluation_says_so(run: Path) -> None:
    (run / "results.json").unlink()
    write_card(run, "rft", run / "rft" / "model")
    assert "Not evaluated yet." in card_of(run)
    assert "| metric |" not in card_of(run)


def test_the_card_of_the_tiny_policy(
    run: Path, folder: Path, studies: list[Study], knobs: PolicyKnobs
) -> None:
    write_run(run, studies, "tiny")
    whole = run / "whole"
    save_policy(load_policy(folder, knobs), whole)
    write_card(run, "sft", whole)
    card = (whole / "README.md").read_text()
    assert "no clinical model" in card
    assert "vllm" not in card.lower()
    assert "PeftModel" not in card
    assert "all weights; " in card


def test_what_a_card_quotes_is_text_and_no_markup(run: Path) -> None:
    nasty = "a|b `c` <script>alert(1)</script> [d](javascript:e) ![f](http://g) \n---\n# h"
    recipe = load_recipe(run / "recipe.toml")
    policy = recipe.policy.model_copy(update={"prompt": nasty})
    reward = recipe.reward.model_copy(update={"judge": "local:/home/me/a|b `c`"})
    changed = recipe.model_copy(update={"name": nasty, "policy": policy, "reward": reward})
    (run / "recipe.toml").write_text(dump_recipe(changed))
    results = read_json(run / "results.json")
    results["labels"]["reward/consistency"] = f"Consistency ({nasty})"
    results["warnings"] = [nasty, "The judge 'local:/home/me/llama' says yes/no."]
    write_json(run / "results.json", results)
    write_card(run, "rft", run / "rft" / "model")
    card = (run / "rft" / "model" / "README.md").read_text()
    text = ModelCard(card).text
    outside = re.sub(r"```.*?```|(?<!\\)`[^`\n]*`", "", text, flags=re.DOTALL)
    assert "<" not in outside
    assert "](" not in outside.replace(r"\](", "")
    assert "/home" not in card
    assert "The judge 'local:llama' says yes/no." in card
    rows = [line for line in text.splitlines() if line.startswith(("| Instruction", "| Reward |"))]
    assert [row.count("|") for row in rows] == [3, 3]
    assert "---" not in text.splitlines()
    assert [line for line in text.splitlines() if line.startswith("# ")] == [text.strip().splitlines()[0]]
