"""Greedy reports of a policy, as the recipe wants them written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from radflow.config import Recipe
from radflow.policy import FeatureStore, Policy, PromptEncoder, greedy_reports
from radflow.studies import Study


def prompt_encoder(policy: Policy, recipe: Recipe, folder: Path | None = None) -> PromptEncoder:
    """The prompts of the recipe; the images behind them in a folder too, where there is one and the recipe
    wants it.
    """
    knobs = recipe.policy
    bound = int(knobs.image_cache_gib * 1024**3)
    return PromptEncoder(
        policy,
        instruction=knobs.prompt,
        context=knobs.prompt_context,
        prior=knobs.prompt_prior,
        max_tokens=knobs.max_prompt_tokens,
        workers=knobs.image_workers,
        folder=folder if bound > 0 else None,
        max_disk_bytes=bound,
    )


def feature_store(policy: Policy, recipe: Recipe, folder: Path | None = None) -> FeatureStore | None:
    """What the vision tower says of each study, computed once; in a folder too where the recipe wants it."""
    knobs = recipe.policy
    if knobs.image_features == "off":
        return None
    bound = int(knobs.image_features_gib * 1024**3)
    kept = folder if knobs.image_features == "disk" else None
    return FeatureStore(policy.model, max_bytes=bound, folder=kept, max_disk_bytes=bound)


def greedy_texts(
    policy: Policy,
    encoder: PromptEncoder,
    recipe: Recipe,
    studies: Sequence[Study],
    features: FeatureStore | None,
) -> Iterator[str]:
    """One greedy report per study, in order."""
    for _, completion in greedy_reports(
        policy,
        encoder,
        studies,
        max_new_tokens=recipe.policy.max_new_tokens,
        batch_size=recipe.evaluation.batch_size,
        features=features,
    ):
        yield completion.text
