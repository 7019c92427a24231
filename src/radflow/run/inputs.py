"""What each stage of a run depends on of the recipe; a stage's fingerprint is made of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from radflow.config import Recipe
from radflow.run.judges import judge_inputs
from radflow.workspace import file_fingerprint


def own_inputs(recipe: Recipe, controls: Iterable[str] = ()) -> dict[str, list[Any]]:
    """Stage to what it adds to the inputs of the stages before it, as JSON can hold it.

    Args:
        recipe: of the run.
        controls: stages of its trained controls.
    """
    said = recipe.model_dump(mode="json")
    return {
        "prepare": [said["data"], _manifest(recipe), *judge_inputs(recipe, recipe.data.triage)],
        "sft": [said["policy"], said["sft"]],
        "predict": [said["exploration"]["studies"], *_sampling(recipe)],
        "exploration": [said["exploration"]],
        "rft": [said["rft"], said["reward"], *judge_inputs(recipe, recipe.reward.judge)],
        **{control: [said["controls"]] for control in controls},
        "generate": [
            said["evaluation"]["studies"],
            sorted(said["evaluation"]["controls"]),
            _decoding(recipe),
        ],
        "evaluation": [
            said["evaluation"],
            said["name"],
            *judge_inputs(recipe, recipe.evaluation.judge or "rules"),
        ],
    }


def _manifest(recipe: Recipe) -> str | None:
    manifest = recipe.data.manifest
    return file_fingerprint(manifest) if manifest is not None and manifest.exists() else None


def _sampling(recipe: Recipe) -> list[float]:
    """How reports are sampled for Target Exploration, where it samples any."""
    rft, knobs = recipe.rft, recipe.exploration
    return [knobs.samples, rft.temperature, rft.top_p, rft.min_p] if knobs.strategy == "learnable" else []


def _decoding(recipe: Recipe) -> list[Any]:
    """How reports are sampled and chosen, where they are not greedy."""
    knobs = recipe.evaluation
    if knobs.decoding != "consensus":
        return [] if knobs.decoding == "greedy" else [knobs.decoding]
    return [knobs.samples, knobs.temperature, knobs.utility, knobs.vote_share]
