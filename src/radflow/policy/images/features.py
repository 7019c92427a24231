"""What the vision tower says about a study: computed once, used by every pass over it.

A rollout sees the same pictures in sampling, in the old, reference and policy passes, and in every inner
step. As long as nothing on the image path trains, the tower's output is a constant of the study, and every
model of transformers takes it in place of the pixels: ``mm_encoder_outputs={"image": join_features(...)}``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from cachetools import LRUCache
from jaxtyping import Float
from torch import Tensor, nn
from transformers.modeling_outputs import ModelOutput

from radflow.policy.families import bare
from radflow.policy.images.feature_files import FeatureFiles, content_key
from radflow.policy.prompts import EncodedPrompt


@dataclass(frozen=True, kw_only=True)
class ImageFeatures:
    """The visual tokens of one study as they enter the language model, without a gradient.

    Attributes:
        tokens: ``(S_i, D)`` each, split as the family does it: one tensor per image or crop, or one in all.
        deepstack: ``(S, D)`` each, one per layer that takes visual features again (Qwen3-VL); else empty.
        stacked: whether the family wants ``tokens`` as one tensor ``(images, S_i, D)``.
    """

    tokens: tuple[Float[Tensor, "_ D"], ...]
    deepstack: tuple[Float[Tensor, "S D"], ...] = ()
    stacked: bool = False

    @property
    def bytes(self) -> int:
        """Memory it takes."""
        return sum(tensor.nbytes for tensor in (*self.tokens, *self.deepstack))


@dataclass
class JoinedFeatures(ModelOutput):
    """What models read of a vision tower's output; the third field is Qwen3-VL's.

    ``pooler_output`` is one tensor or a tuple of them, as the family wants it.
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Any = None
    deepstack_features: Any = None


def encode_images(model: nn.Module, prompt: EncodedPrompt) -> ImageFeatures:
    """Run the vision tower and the projector on the pictures of one study, in evaluation mode.

    Raises:
        TypeError: the model gives its visual tokens in an unknown form.
    """
    device = next(model.parameters()).device
    fields = {name: tensor.to(device) for name, tensor in prompt.image_fields.items()}
    with evaluating(model), torch.no_grad():
        output = bare(model).get_image_features(**fields, return_dict=True)
    pooled = output.pooler_output
    stacked = isinstance(pooled, Tensor)
    if not stacked and not isinstance(pooled, (tuple, list)):
        raise TypeError(
            f"{type(bare(model)).__name__}: expected a tensor or a tuple of them from get_image_features, "
            f"got {type(pooled).__name__}"
        )
    layers = getattr(output, "deepstack_features", None) or ()
    return ImageFeatures(
        tokens=tuple(pooled), deepstack=tuple(torch.cat(tuple(layer)) for layer in layers), stacked=stacked
    )


def join_features(features: Sequence[ImageFeatures]) -> JoinedFeatures:
    """The features of some studies as one tower output, in the order given.

    It is what ``mm_encoder_outputs={"image": ...}`` takes. A study may stand several times.
    """
    tokens = tuple(tensor for study in features for tensor in study.tokens)
    layers = zip(*(study.deepstack for study in features), strict=True)
    pooled: Any = torch.stack(tokens) if features[0].stacked else tokens
    return JoinedFeatures(pooler_output=pooled, deepstack_features=list(layers) or None)


def image_path(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers outside the language model and its output head, by name."""
    base = bare(model)
    language = [base.get_decoder(), base.get_output_embeddings()]
    inside = {id(t) for part in language if part is not None for t in _tensors(part).values()}
    return {name: tensor for name, tensor in _tensors(model).items() if id(tensor) not in inside}


def tower_fingerprint(model: nn.Module, part: nn.Module | None = None) -> str:
    """A hash of all that features depend on beside the pictures: weights, types, configuration, library.

    Args:
        model: the policy's.
        part: the tower alone, where what it gives does not depend on the rest.
    """
    base = bare(model)
    if part is None:
        settings = {
            name: value
            for name, value in base.config.to_dict().items()
            if "vision" in name or (not isinstance(value, dict) and not name.startswith("_"))
        }
    else:
        settings = base.config.vision_config.to_dict()
        names = ("connector", "image_tokens", "average_views")
        settings |= {name: getattr(base.config, name, None) for name in names}
    written = json.dumps(
        [type(base).__name__, transformers.__version__, settings], sort_keys=True, default=str
    )
    words = torch.tensor(list(written.encode()), dtype=torch.uint8)
    weights = image_path(model) if part is None else _tensors(part)
    return content_key({"configuration": words, **weights})


class FeatureStore:
    """Gives the image features of studies, from a bounded memory where they are known.

    Args:
        model: the policy's model, with its adapters on.
        max_bytes: memory for features, on the model's device; the least recently used go first.
        folder: also keep them on disk here, for the whole run and the next, within the same bound.
    """

    def __init__(self, model: nn.Module, *, max_bytes: int, folder: Path | None = None) -> None:
        self._model = model
        self._image_path = list(image_path(model).values())
        self._takes_features = "mm_encoder_outputs" in inspect.signature(bare(model).forward).parameters
        self._kept: LRUCache[str, ImageFeatures] = LRUCache(max_bytes, getsizeof=lambda kept: kept.bytes)
        self._states: LRUCache[str, Tensor] = LRUCache(max_bytes, getsizeof=lambda kept: kept.nbytes)
        self._files = FeatureFiles(folder, max_bytes=max_bytes) if folder is not None else None
        self._tower: str | None = None
        inside = bare(model).base_model
        self._sees: nn.Module | None = inside.vision_tower if hasattr(inside, "tower_states") else None

    def prompt(self, prompt: EncodedPrompt) -> EncodedPrompt:
        """The prompt with what a frozen tower makes of its pictures in their place, if the model takes it.

        So a connector can train without the tower running again.
        """
        if self._sees is None or any(p.requires_grad for p in self._sees.parameters()):
            return prompt
        key = prompt.image_key
        if (states := self._states.get(key)) is None:
            states = self._tower_states(prompt)
            with suppress(ValueError):  # larger than the whole memory
                self._states[key] = states
        return replace(prompt, image_fields={"tower_states": states})

    def _tower_states(self, prompt: EncodedPrompt) -> Tensor:
        def compute() -> dict[str, Tensor]:
            device = next(self._model.parameters()).device
            fields = {name: tensor.to(device) for name, tensor in prompt.image_fields.items()}
            with evaluating(self._model), torch.no_grad():
                return {"tower_states": bare(self._model).base_model.tower_states(**fields)}

        return self._through_disk(prompt, compute)["tower_states"]

    def __call__(self, prompt: EncodedPrompt) -> ImageFeatures | None:
        """The features of one study; ``None`` where the model must see the pixels themselves.

        That is so if something on the image path trains, because features would go stale and the tower would
        get no gradient; or if the model's ``forward`` takes no ``mm_encoder_outputs``.
        """
        if not self._takes_features or any(tensor.requires_grad for tensor in self._image_path):
            return None
        key = prompt.image_key
        if key in self._kept:
            return self._kept[key]
        if self._sees is not None:  # all that trains is behind the connector: its output alone is kept
            seen = replace(prompt, image_fields={"tower_states": self._tower_states(prompt)})
            features = encode_images(self._model, seen)
        else:
            held = self._through_disk(prompt, lambda: _to_tensors(encode_images(self._model, prompt)))
            features = _from_tensors(held)
        with suppress(ValueError):  # larger than the whole memory
            self._kept[key] = features
        return features

    def _through_disk(
        self, prompt: EncodedPrompt, compute: Callable[[], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Read tensors, or compute and write them. The key holds the tower: files of another are not met."""
        if self._files is None:
            return compute()
        if self._tower is None:
            self._tower = tower_fingerprint(self._model, self._sees)
        key = f"{self._tower[:16]}-{prompt.image_key[:32]}"
        held = self._files.read(key)
        if held is None:
            held = compute()
            self._files.write(key, held)
            return held
        device = next(self._model.parameters()).device
        return {name: tensor.to(device) for name, tensor in held.items()}


@contextmanager
def evaluating(model: nn.Module) -> Generator[None]:
    """Within the block the model is in evaluation mode; after it, every module is as it was before."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _to_tensors(features: ImageFeatures) -> dict[str, Tensor]:
    kind = "stacked" if features.stacked else "tokens"
    tokens = {f"{kind}.{i:06d}": tensor for i, tensor in enumerate(features.tokens)}
    return tokens | {f"deepstack.{i:06d}": tensor for i, tensor in enumerate(features.deepstack)}


def _from_tensors(tensors: dict[str, Tensor]) -> ImageFeatures:
    deepstack = sorted(name for name in tensors if name.startswith("deepstack."))
    tokens = sorted(tensors.keys() - set(deepstack))
    return ImageFeatures(
        tokens=tuple(tensors[name] for name in tokens),
        deepstack=tuple(tensors[name] for name in deepstack),
        stacked=tokens[0].startswith("stacked."),
    )
