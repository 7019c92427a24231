"""`radflow quickstart` on a few small studies: what it says by itself of its gain."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from radflow.config import load_recipe
from radflow.config.recipe import Recipe

QUICKSTART = Path(__file__).parents[3] / "recipes" / "quickstart.toml"
FEW = {
    "threads": 1,
    "data.count": 60,
    "data.image_size": 64,
    "policy.max_new_tokens": 12,
    "policy.tiny.image_size": 48,
    "policy.tiny.vision_layers": 1,
    "policy.tiny.text_layers": 1,
    "policy.tiny.text_width": 32,
    "sft.epochs": 1,
    "sft.validate_every": 2,
    "exploration.studies": 8,
    "exploration.keep_percent": 50,
    "exploration.strategy": "random",  # of samples of a policy this small none is better than another
    "rft.group_size": 2,
    "rft.studies_per_step": 2,
    "rft.steps": 1,
    "rft.validation_studies": 4,
    "evaluation.studies": 8,
    "evaluation.resamples": 50,
    "evaluation.cases": 2,
}


def test_its_sft_may_converge_and_its_gain_has_a_trained_control() -> None:
    recipe: Recipe = load_recipe(QUICKSTART)
    assert recipe.sft.patience > 0
    assert recipe.evaluation.trained_controls == ("sft-more",)
    assert "shuffled" in recipe.evaluation.controls


@pytest.mark.slow
@pytest.mark.release
def test_it_says_whether_rft_beat_more_sft_and_that_sft_was_stopped_early(
    command: Callable, tmp_path: Path
) -> None:
    knobs = [part for name, value in FEW.items() for part in (f"--{name}", value)]
    status, output, errors = command("quickstart", "--out", "run", "--seed", 3, *knobs)
    assert status == 0, errors
    assert "SFT had not converged" in output
    assert "RadFlow minus each, paired" in output
    assert "SFT continued on all studies" in output
    page = (tmp_path / "run" / "report.html").read_text()
    assert "SFT had not converged" in page
    assert "sft-more" in json.loads((tmp_path / "run" / "results.json").read_text())["gain_over"]
