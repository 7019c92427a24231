"""Which weights SFT trains: of the language model, of the vision tower, of the connector between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from radflow.config import Policy, Recipe, Sft
from radflow.errors import TrainingError
from radflow.policy.assembly.assemble import NOTE
from radflow.policy.families import Part, bare, parts_of, tower_layers


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What trains.

    Attributes:
        language: adapters on it, all of it, or nothing.
        vision: layers of the tower, counted from its end; ``None``: all of the tower.
        connector: whether it does.
    """

    language: Literal["lora", "full", "frozen"]
    vision: int | None
    connector: bool

    def in_words(self, knobs: Policy) -> str:
        """For logs and cards.

        >>> Trained(language="lora", vision=0, connector=True).in_words(Policy())
        'LoRA (rank 8, alpha 16) on the language model, the connector'
        >>> Trained(language="full", vision=None, connector=True).in_words(Policy())
        'all weights'
        """
        if (self.language, self.vision, self.connector) == ("full", None, True):
            return "all weights"
        lora = f"LoRA (rank {knobs.lora_rank}, alpha {knobs.lora_alpha}) on the language model"
        language = {"lora": lora, "full": "the language model", "frozen": ""}[self.language]
        last = f"the last {self.vision} layers of the vision tower" if self.vision else ""
        vision = "the vision tower" if self.vision is None else last
        return ", ".join(filter(None, (language, vision, "the connector" * self.connector)))


def choose_trained(recipe: Recipe, source: str) -> Trained:
    """What the recipe says trains, with ``auto`` resolved.

    Args:
        recipe: the sections ``policy`` and ``sft``.
        source: the folder or hub name that the policy is loaded from.

    Raises:
        TrainingError: nothing would train, or LoRA of rank 0.
    """
    sft, rank = recipe.sft, recipe.policy.lora_rank
    from_noise = recipe.policy.from_noise
    own_tower = from_noise and recipe.policy.tiny.tower is None
    language, vision = sft.language, sft.vision
    if language == "auto":
        language = "full" if from_noise or rank == 0 else "lora"
    if vision == "auto":
        vision = "all" if own_tower else "none"
    connector = from_noise or (Path(source) / NOTE).is_file() if sft.connector == "auto" else sft.connector
    trained = Trained(
        language=language,
        vision={"none": 0, "all": None}.get(vision, int(vision.partition(":")[2] or 0)),
        connector=bool(connector),
    )
    if language == "lora" and rank == 0:
        raise TrainingError("sft.language = lora: expected policy.lora_rank above 0, got 0")
    if trained == Trained(language="frozen", vision=0, connector=False):
        raise TrainingError(
            "sft: nothing would train; set sft.language, sft.vision or sft.connector to something that does"
        )
    return trained


def set_trained(model: nn.Module, trained: Trained) -> None:
    """Let these weights train and no others. Adapters that are there train as they do.

    Whole weights that train are kept in float32, for a step of 1e-5 is less than bfloat16 tells apart.

    Raises:
        TrainingError: the model has no connector that is known, or fewer layers.
    """
    parts = parts_of(model)
    everything = (trained.language, trained.vision) == ("full", None)
    if trained.connector and not parts["connector"] and not everything:
        raise TrainingError(
            f"{type(bare(model)).__name__}: its connector is not known; set sft.connector = false"
        )
    wanted = set[int]()
    if trained.vision is not None:
        layers = tower_layers(model)
        if trained.vision > len(layers):
            raise TrainingError(f"sft.vision: expected at most last:{len(layers)}, got last:{trained.vision}")
        last = layers[len(layers) - trained.vision :]
        wanted = {id(p) for layer in last for p in layer.parameters()}
    for part, parameters in parts.items():
        for parameter in parameters:
            parameter.requires_grad_(
                {
                    "language": trained.language == "full",
                    "adapter": trained.language == "lora",
                    "connector": trained.connector,
                    "vision": trained.vision is None or id(parameter) in wanted,
                }[part]
            )
    for parameter in [*whole_weights(model), *_norms_behind(parts["vision"])]:
        parameter.data = parameter.data.float()


def _norms_behind(tower: list[nn.Parameter]) -> list[nn.Parameter]:
    """Vectors of a tower behind its layers that train: a norm of bfloat16 takes no float32 on a CPU."""
    trains = [place for place, parameter in enumerate(tower) if parameter.requires_grad]
    behind = tower[trains[-1] + 1 :] if trains else []
    return [parameter for parameter in behind if parameter.ndim == 1]


def whole_weights(model: nn.Module) -> list[nn.Parameter]:
    """The weights that train and are no adapter's."""
    return [p for part, own in parts_of(model).items() if part != "adapter" for p in own if p.requires_grad]


def round_back(model: nn.Module) -> None:
    """Put what was float32 for training back into the number type of the model, to be saved."""
    dtype = own_dtype(model)
    for parameter in [*whole_weights(model), *_norms_behind(parts_of(model)["vision"])]:
        parameter.data = parameter.data.to(dtype)


def own_dtype(model: nn.Module) -> torch.dtype:
    """The number type that the model was loaded in."""
    return bare(model).config.dtype or torch.float32


def parameter_groups(module: nn.Module, model: nn.Module, knobs: Sft) -> list[dict[str, Any]]:
    """Groups of an optimiser: all that trains, and apart what has a learning rate of its own.

    Args:
        module: the model with what the loss adds to it.
        model: the policy's.
        knobs: its learning rates.

    Returns:
        groups with ``params`` and ``scale``, their share of ``learning_rate``.
    """
    rates: dict[Part, float | None] = {
        "vision": knobs.vision_learning_rate,
        "connector": knobs.connector_learning_rate,
    }
    parts = parts_of(model)
    apart = {id(p): rate for part, rate in rates.items() if rate is not None for p in parts[part]}
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            rate = apart.get(id(parameter), knobs.learning_rate)
            groups.setdefault(rate / knobs.learning_rate, []).append(parameter)
    return [{"params": params, "scale": scale} for scale, params in groups.items()]
