"""The processes that a run trains on."""

from __future__ import annotations

from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from radflow.config import Recipe


def make_accelerator(recipe: Recipe) -> Accelerator:
    """One process, or the several that torchrun started; on GPUs where there are any, else CPUs with gloo."""
    # Where a vision tower trains: nothing reads the last norm of the tiny policy's, for one.
    unused = recipe.policy.from_noise or recipe.sft.vision not in ("auto", "none")
    return Accelerator(
        cpu=not torch.accelerator.is_available(),
        log_with=list(recipe.track) or None,  # an empty list is warned of
        project_dir=recipe.out / "tensorboard",
        kwargs_handlers=[
            DistributedDataParallelKwargs(find_unused_parameters=unused),
            # The first process prepares and evaluates alone, and the others wait.
            InitProcessGroupKwargs(timeout=timedelta(hours=12)),
        ],
    )
