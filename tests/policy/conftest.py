"""A tiny random model of every family, with prompts, so that what is proven for one is proven for all.

Weights have a spread of 0.15, so that log-probabilities differ from token to token: with the spread of the
classes every distribution is nearly uniform, and a wrong mask would pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from radflow.policy.families import bare
from radflow.policy.load import language_layers
from radflow.policy.prompts import EncodedPrompt
from tiny_models import BUILDERS, Tokens

FAMILIES = (
    "llava",
    "llava_mistral",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "internvl",
    "idefics3",
    "smolvlm",
    "gemma3",
    "radflow_llava",
)
TOKENS = Tokens()
IMAGE, VISION_START, VISION_END = TOKENS.image, TOKENS.vision_start, TOKENS.vision_end


@dataclass(frozen=True, kw_only=True)
class Family:
    """A tiny model with three prompts: one image, two images and more text, one image and little text."""

    name: str
    model: nn.Module
    prompts: tuple[EncodedPrompt, ...]
    pad_id: int = 0
    image_id: int = IMAGE


TOKENS_PER_IMAGE = {"radflow_llava": 4, "internvl": 4, "idefics3": 4, "smolvlm": 4, "gemma3": 4}


def _pixels(name: str, images: int) -> tuple[dict[str, Tensor], list[int]]:
    """Random pictures, and how many tokens each takes."""
    if name.startswith("qwen"):
        grids = [(1, 8, 8), (1, 4, 8), (1, 8, 4)][:images]
        patches = sum(t * h * w for t, h, w in grids)
        fields = {"pixel_values": torch.randn(patches, 3 * 2 * 16), "image_grid_thw": torch.tensor(grids)}
        return fields, [t * h * w // 4 for t, h, w in grids]
    pixels = torch.randn(images, 3, 16, 16)
    if name in ("idefics3", "smolvlm"):
        pixels = pixels[None]
    return {"pixel_values": pixels}, [TOKENS_PER_IMAGE.get(name, 16)] * images


def _prompt(name: str, *, images: int, words: int) -> EncodedPrompt:
    fields, sizes = _pixels(name, images)
    ids = [1, 5, 6]
    for size in sizes:
        block = [IMAGE] * size
        ids += [VISION_START, *block, VISION_END] if name.startswith("qwen") else [*block, 7]
    ids += torch.randint(8, 80, (words,)).tolist()
    input_ids = torch.tensor(ids)
    types = (input_ids == IMAGE).long()
    token_fields = {}
    if name.startswith("qwen"):
        token_fields = {"mm_token_type_ids": types}
    elif name == "gemma3":
        token_fields = {"token_type_ids": types}
    return EncodedPrompt(input_ids=input_ids, token_fields=token_fields, image_fields=fields)


def _build(name: str, *, lora: bool = False, checkpointing: bool = False, seed: int = 0) -> Family:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BUILDERS[name](TOKENS)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.15)
        if lora:
            layers = language_layers(model)
            model = get_peft_model(model, LoraConfig(r=4, target_modules=layers, init_lora_weights=False))
        prompts = tuple(
            _prompt(name, images=images, words=words) for images, words in ((1, 12), (2, 25), (1, 3))
        )
    if checkpointing:
        model.enable_input_require_grads()
        bare(model).activation_checkpointing_enable({"use_reentrant": False})
    return Family(name=name, model=model.eval(), prompts=prompts)


@pytest.fixture(params=FAMILIES)
def family_name(request: pytest.FixtureRequest) -> str:
    """Every family in turn."""
    return request.param


@pytest.fixture
def build_family() -> Callable[..., Family]:
    """``build_family(name, lora=False, checkpointing=False, seed=0)``: a tiny random model, in eval mode.

    With ``lora`` every linear layer of its language model has an adapter that is not zero.
    """
    return _build


@pytest.fixture
def family(family_name: str) -> Family:
    """Every family in turn, without adapters."""
    return _build(family_name)
