"""The model that SFT starts from where the recipe names no folder, built in the run's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from accelerate import Accelerator

from radflow.baselines import system
from radflow.config import Recipe
from radflow.config.policy import SMALL, TINY
from radflow.folders import replaced_folder, sealed_damage, settle_folder
from radflow.modality import attribute
from radflow.policy import build_tiny
from radflow.policy.assembly.assemble import assemble_small
from radflow.policy.prompts import prompt_text
from radflow.studies import Study
from radflow.workspace import Workspace


def base_model(
    workspace: Workspace, recipe: Recipe, train: Sequence[Study], accelerator: Accelerator
) -> Path:
    """The folder ``sft/base`` with the model that a recipe names, untrained; built once, by the first.

    Args:
        workspace: the run's folder.
        recipe: the section ``policy``.
        train: whose words a model from noise knows, and whose pictures its pixels are standardised over.
        accelerator: one process, or many.
    """
    folder = settle_folder(workspace.path("sft", "base"))
    if accelerator.is_main_process and sealed_damage(folder) is not None:
        seed = workspace.seed("sft", "weights") % 2**63
        with replaced_folder(folder) as fresh:
            if recipe.policy.model == SMALL:
                assemble_small(fresh, seed=seed)
            else:
                _from_noise(fresh, recipe, train, seed)
    accelerator.wait_for_everyone()
    return folder


def _from_noise(folder: Path, recipe: Recipe, train: Sequence[Study], seed: int) -> None:
    knobs = recipe.policy
    texts = [s.reference.canonical for s in train]
    known = {"context": knobs.prompt_context, "prior": knobs.prompt_prior}
    texts += [prompt_text(s, knobs.prompt, **known) for s in train]
    pictures = [path for s in train[:64] for path in s.images]
    if knobs.model == TINY:
        build_tiny(knobs.tiny, folder, texts=texts, images=pictures, seed=seed)
    else:
        build = system(knobs.model).build
        assert build is not None
        attribute(build)(knobs, folder, texts=texts, images=pictures, seed=seed)
