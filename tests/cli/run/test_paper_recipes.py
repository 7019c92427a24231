"""The recipes with the paper's settings: alike but for their data, and clear about what they need."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from radflow.cli.run.recipes import SHIPPED
from radflow.config import load_recipe

NAMES = ("paper-mimic-cxr", "paper-iu-xray", "paper-rexgradient", "paper-carotid")
GET = {
    "paper-mimic-cxr": "mimic-cxr comes from physionet.org, mimic-cxr-jpg and mimic-cxr",
    "paper-iu-xray": "iu-xray comes from openi.nlm.nih.gov",
    "paper-rexgradient": "rexgradient comes from huggingface.co, rajpurkarlab/ReXGradient-160K",
    "paper-carotid": "no such file or folder (--data.root)",
}


@pytest.fixture
def paper_hours(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    return importlib.import_module("paper_hours")


@pytest.mark.parametrize("name", NAMES)
def test_a_paper_recipe_has_the_settings_of_the_paper(name: str) -> None:
    recipe = load_recipe(SHIPPED / f"{name}.toml")
    assert (recipe.sft.learning_rate, recipe.rft.learning_rate) == (1e-5, 1e-5)
    assert (recipe.policy.lora_rank, recipe.rft.group_size) == (8, 4)
    assert (recipe.exploration.strategy, recipe.exploration.keep_percent) == ("hardest", 10)
    assert (recipe.sft.batch_size, recipe.rft.studies_per_step, recipe.rft.divisor) == (1, 1, 4)
    assert (recipe.rft.kl, recipe.data.triage, recipe.reward.judge) == ("literal", *["openai:gpt-4o"] * 2)
    own = {
        "data": recipe.data,
        "name": "",
        "out": Path(),
        "sft": recipe.sft.model_copy(update={"validate_every": 1, "checkpoint_every": 1}),
        "rft": recipe.rft.model_copy(update={"steps": 1, "validate_every": 1, "checkpoint_every": 1}),
    }
    first = load_recipe(SHIPPED / f"{NAMES[0]}.toml")
    assert recipe.model_copy(update=own) == first.model_copy(update=own)


@pytest.mark.parametrize("name", NAMES)
def test_its_header_has_the_hours_that_the_benchmark_prints(name: str, paper_hours: ModuleType) -> None:
    hours = paper_hours.hours(name, "qwen2.5-vl-3b", 1_300, 120, 312.0, 0.081)
    header = (SHIPPED / f"{name}.toml").read_text().partition("\n\n")[0]
    [said] = re.findall(r"GPU-hours: about (\d+) by", header)
    assert int(said) == hours["all"] == pytest.approx(sum(v for k, v in hours.items() if k != "all"), abs=0.7)
    train = paper_hours.STUDIES[name][0]
    assert load_recipe(SHIPPED / f"{name}.toml").rft.steps == math.ceil(train / 10)
    assert f"reports {paper_hours.PAPER} on MetaX C500" in header


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_says_what_to_get(
    name: str, command: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import HfApi, constants

    def away(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(HfApi, "model_info", away)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    status, out, err = command("run", name, "--dry-run")
    assert status == 1
    assert "the dry run failed at: model, data, judge" in err
    found = " ".join(out.split())  # the table folds its lines
    assert GET[name] in found
    assert "fetch it first: hf download Qwen/Qwen2.5-VL-3B-Instruct" in found
    assert "judge.allow-remote-text" in found
