"""The processes that a run trains on."""

from __future__ import annotations

from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from radflow.config import Recipe
from radflow.run.named_model import TINY


def make_accelerator(recipe: Recipe) -> Accelerator:
    """One process, or the several that torchrun started; on GPUs where there are any, else CPUs with gloo."""
    return Accelerator(
        cpu=not torch.accelerator.is_available(),
        log_with=list(recipe.track) or None,  # an empty list is warned of
        project_dir=recipe.out / "tensorboard",
        kwargs_handlers=[
            # The tiny policy trains whole, and nothing reads the last norm of its vision tower.
            DistributedDataParallelKwargs(find_unused_parameters=recipe.policy.model == TINY),
            # The first process prepares and evaluates alone, and the others wait.
            InitProcessGroupKwargs(timeout=timedelta(hours=12)),
        ],
    )
