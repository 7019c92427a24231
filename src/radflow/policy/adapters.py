"""Put a saved adapter on its base model; an adapter of another base is an error that names the layer."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from peft import PeftModel
from safetensors import safe_open
from torch import nn
from transformers import PreTrainedModel

from radflow.errors import DataError, MissingFileError
from radflow.policy.serving import WEIGHTS


def put_on(model: nn.Module, folder: Path, *, trainable: bool = False) -> PeftModel:
    """Put the adapter of a PEFT folder on a base model.

    Raises:
        MissingFileError: the folder has no weights as safetensors.
        DataError: the adapter was trained on another base model.
    """
    check_fits(model, folder)
    try:
        return PeftModel.from_pretrained(
            cast(PreTrainedModel, model), str(folder), is_trainable=trainable, use_safetensors=True
        )
    except (RuntimeError, ValueError) as error:
        raise DataError(
            f"{folder}: this adapter cannot be put on {type(model).__name__} "
            f"({str(error).splitlines()[0]}); give the base model it was trained on"
        ) from None


def check_fits(model: nn.Module, folder: Path) -> None:
    """Compare the shapes of a LoRA adapter with those of the linear layers it goes on.

    Raises:
        MissingFileError: the folder has no weights as safetensors.
        DataError: a layer has another shape, or some are not there.
    """
    if not (folder / WEIGHTS).is_file():
        raise MissingFileError(f"{folder}: expected {WEIGHTS} beside adapter_config.json, found none")
    layers = dict(model.named_modules())
    wanted = _layer_shapes(folder)
    absent = sorted(set(wanted) - set(layers))
    if absent and len(absent) < len(wanted):  # all of them: an older naming, which PEFT translates
        raise DataError(
            f"{folder}: this adapter is not of this base model: {len(absent)} of its {len(wanted)} layers "
            f"are not there, such as {absent[0]}; give the base model it was trained on"
        )
    for name, shape in wanted.items():
        layer = layers.get(name)
        if isinstance(layer, nn.Linear) and tuple(layer.weight.shape) != shape:
            raise DataError(
                f"{folder}: this adapter is not of this base model: {name} is {_times(layer.weight.shape)} "
                f"there, the adapter's is {_times(shape)}; give the base model it was trained on"
            )


def _layer_shapes(folder: Path) -> dict[str, tuple[int, int]]:
    """Each layer with a LoRA and the shape of its weight: outputs of B, inputs of A."""
    with safe_open(folder / WEIGHTS, "np") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    layers: dict[str, tuple[int, int]] = {}
    for name, (outputs, _) in ((n, s) for n, s in shapes.items() if n.endswith(".lora_B.weight")):
        inner = shapes.get(name.replace(".lora_B.", ".lora_A."), (0, 0))
        layers[name.removeprefix("base_model.model.").removesuffix(".lora_B.weight")] = (outputs, inner[1])
    return layers


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
