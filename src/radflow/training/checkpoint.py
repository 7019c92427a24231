"""Checkpoints that a killed run picks up from, and the seeds that make it end the same.

A checkpoint holds the trainable weights, the optimiser, and the loop's own state. Nothing else is needed:
every random choice of a step is seeded from the run's seed and the step's number.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from radflow.errors import DataError
from radflow.folders import replaced_folder, sealed_damage, settle_folder


def trainable_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights that training changes, by name, on the CPU."""
    return {n: p.detach().to("cpu", copy=True) for n, p in model.named_parameters() if p.requires_grad}


@torch.no_grad()
def restore_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put weights from `trainable_weights` back in place.

    Raises:
        DataError: they are another model's: a name or a shape differs. Nothing is changed.
    """
    own = {n: p for n, p in model.named_parameters() if p.requires_grad}
    odd = own.keys() ^ weights.keys() or {n for n, p in own.items() if p.shape != weights[n].shape}
    if odd:
        raise DataError(f"checkpoint: its weights are not this model's (first difference: {min(odd)})")
    for name, value in weights.items():
        own[name].copy_(value)


def save_checkpoint(
    folder: Path,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
    best: Mapping[str, Tensor] | None,
) -> None:
    """Write a checkpoint whole, in place of the one before.

    Args:
        folder: where it stands.
        model: its trainable weights are kept.
        optimizer: kept.
        state: the loop's own state, as JSON holds it.
        best: trainable weights of the best step so far.
    """
    with replaced_folder(folder) as fresh:
        save_file(trainable_weights(model), fresh / "weights.safetensors")
        if best is not None:
            save_file(dict(best), fresh / "best.safetensors")
        content = io.BytesIO()  # torch's own writer does not say why it fails, such as a full disk
        torch.save(optimizer.state_dict(), content)
        (fresh / "optimizer.pt").write_bytes(content.getbuffer())
        (fresh / "state.json").write_text(json.dumps(dict(state)), encoding="utf-8")


def load_checkpoint(
    folder: Path,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[dict[str, Any], dict[str, Tensor] | None] | None:
    """Restore model and optimiser.

    Args:
        folder: where `save_checkpoint` put it.
        model: gets its weights.
        optimizer: gets its state.
        say: told why a damaged checkpoint is not used. Nothing of it is.

    Returns:
        The loop's state and the best weights; ``None`` where there is no checkpoint, or a damaged one.
    """
    folder = settle_folder(folder)
    if not folder.exists():
        return None
    if damage := sealed_damage(folder):
        say(f"{folder.parent.name}: the checkpoint cannot be used ({damage}); the stage begins anew")
        return None
    restore_weights(model, load_file(folder / "weights.safetensors"))
    optimizer.load_state_dict(torch.load(folder / "optimizer.pt", weights_only=True))
    best = load_file(folder / "best.safetensors") if (folder / "best.safetensors").exists() else None
    return json.loads((folder / "state.json").read_text(encoding="utf-8")), best
