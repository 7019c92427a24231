"""The parts of a policy, loaded and looked at: what a tower makes of a picture, which tokens end a text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from radflow.errors import DataError, MissingFileError
from radflow.folders import check_model
from radflow.policy.assembly.connectors import patches
from radflow.policy.assembly.packaged import IMAGENET, unpacked
from radflow.policy.pretrained import load_pretrained
from radflow.policy.processors import IMAGES

_OBLONG = (640, 480)


@dataclass(frozen=True, kw_only=True)
class Tower:
    """A vision tower.

    Attributes:
        name: what it was asked for by, without the way to it.
        model: gives ``last_hidden_state``.
        image_processor: gives square pictures of one size.
        image_size: their edge in pixels.
        patches: S, what it makes of one.
        others: class and register tokens beside them.
        width: D.
    """

    name: str
    model: PreTrainedModel
    image_processor: Any
    image_size: int
    patches: int
    others: int
    width: int


def load_tower(source: str, image_size: int | None = None) -> Tower:
    """Load a pretrained vision tower, alone or out of a model such as CLIP that has one.

    Args:
        source: hub name, folder, or a name of `packaged`.
        image_size: edge in pixels of what it shall see; that of its image processor, or else of its
            configuration, when not given.

    Raises:
        MissingFileError: no model there.
        DataError: it is no vision tower, is damaged, or takes no pictures of this size.
    """
    folder = unpacked(source)
    check_model(Path(folder))
    config = config_of(folder)
    config = getattr(config, "vision_config", config)
    if type(config) not in MODEL_MAPPING:
        raise DataError(f"{source}: expected a vision tower, got a model of type {config.model_type}")
    kind: Any = MODEL_MAPPING[type(config)]
    if kind.main_input_name != "pixel_values":
        raise DataError(
            f"{source}: expected a vision tower, which takes pixel_values, got {kind.__name__}, which takes "
            f"{kind.main_input_name}"
        )
    model = load_pretrained(kind, folder, dtype=torch.float32)
    processor, edge = _image_processor(folder, config, image_size)
    with torch.no_grad():
        try:
            hidden = model.eval()(torch.zeros(1, 3, edge, edge)).last_hidden_state
        except (RuntimeError, ValueError, TypeError) as error:
            raise DataError(
                f"{source}: it takes no picture of 3 x {edge} x {edge} pixels "
                f"({str(error).splitlines()[0]}); choose another --image-size"
            ) from None
    count = patches(hidden).shape[1]
    return Tower(
        name=short_name(source),
        model=model,
        image_processor=processor,
        image_size=edge,
        patches=count,
        others=hidden.shape[1] - count if hidden.dim() == 3 else 0,
        width=patches(hidden).shape[2],
    )


def load_language(source: str) -> tuple[PreTrainedModel, Any]:
    """Load a causal language model, in the number type it is saved in, and its tokenizer.

    Raises:
        MissingFileError: no model there, or no tokenizer.
        DataError: it is no causal language model, is damaged, or its tokenizer has no token that ends a text.
    """
    folder = unpacked(source)
    check_model(Path(folder))
    config = config_of(folder)
    known: Any = AutoModelForCausalLM._model_mapping.get(type(config), None)
    named = config.architectures or ([known.__name__] if known else [config.model_type])
    if known is None or known.__name__ not in named:
        raise DataError(f"{source}: expected a causal language model, got {named[0]}")
    return load_pretrained(AutoModelForCausalLM, folder, dtype="auto"), load_tokenizer(source)


def load_tokenizer(source: str) -> Any:
    """Load the tokenizer of a language model, with a token that fills rows.

    Raises:
        MissingFileError: there is none.
        DataError: it has no token that ends a text.
    """
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(unpacked(source))
    except (OSError, ValueError, KeyError) as error:
        raise MissingFileError(
            f"{source}: expected a tokenizer beside the model ({str(error).splitlines()[0]})"
        ) from None
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # what transformers makes of none
        raise MissingFileError(f"{source}: expected a tokenizer beside the model, found none with words")
    if tokenizer.eos_token_id is None:
        raise DataError(
            f"{source}: expected a tokenizer with a token that ends a text (eos_token), found none; name it "
            "in its tokenizer_config.json"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def short_name(source: str) -> str:
    """A part's name without the way to it.

    >>> short_name("/models/dinov2"), short_name("facebook/dinov2-small")
    ('dinov2', 'facebook/dinov2-small')
    """
    return Path(source).name if Path(source).is_absolute() or Path(source).exists() else source


def config_of(folder: str) -> Any:
    """The configuration of a model of transformers.

    Raises:
        MissingFileError: there is none.
    """
    try:
        return AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise MissingFileError(
            f"{folder}: expected the name or folder of a model of transformers "
            f"({(str(error) or type(error).__name__).splitlines()[0]})"
        ) from None


def _image_processor(folder: str, config: Any, image_size: int | None) -> tuple[Any, int]:
    """The tower's own, if it gives squares; else, or for another size, all is resized to a square."""
    own = _own_image_processor(folder)
    statistics: dict[str, Any] = {name: getattr(own, name, None) or value for name, value in IMAGENET.items()}
    if own is not None and image_size is None:
        rows, columns = own(Image.new("RGB", _OBLONG), return_tensors="np")["pixel_values"].shape[-2:]
        if rows == columns:
            return own, rows
    edge = image_size or getattr(config, "image_size", None) or 224
    edge = edge if isinstance(edge, int) else max(edge)
    size = {"height": edge, "width": edge}
    return CLIPImageProcessorPil(size=size, do_center_crop=False, do_convert_rgb=True, **statistics), edge


def _own_image_processor(folder: str) -> Any:
    try:
        return AutoImageProcessor.from_pretrained(folder, backend="pil")
    except (OSError, ValueError, ImportError) as error:
        if Path(folder, IMAGES).is_file():
            raise DataError(f"{Path(folder, IMAGES)}: {str(error).splitlines()[0]}") from None
        return None
