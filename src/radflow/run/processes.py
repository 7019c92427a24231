"""One process, or the several that torchrun started."""

from __future__ import annotations

from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from radflow.config import Recipe


def make_accelerator(recipe: Recipe, *, tiny: bool) -> Accelerator:
    """Run on GPUs where there are any, else on CPUs with gloo between the processes."""
    return Accelerator(
        cpu=not torch.accelerator.is_available(),
        log_with=list(recipe.track) or None,  # an empty list is warned of
        project_dir=recipe.out / "tensorboard",
        kwargs_handlers=[
            # The tiny policy trains whole, and nothing reads the last norm of its vision tower.
            DistributedDataParallelKwargs(find_unused_parameters=tiny),
            # The first process prepares and evaluates alone, and the others wait.
            InitProcessGroupKwargs(timeout=timedelta(hours=12)),
        ],
    )
