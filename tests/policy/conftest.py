"""A tiny random model of every family, with prompts, so that what is proven for one is proven for all.

Weights have a spread of 0.15, so that log-probabilities differ from token to token: with the spread of the
classes every distribution is nearly uniform, and a wrong mask would pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import transformers as tf
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from radflow.policy.families import bare
from radflow.policy.load import language_layers
from radflow.policy.prompts import EncodedPrompt

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
)
IMAGE, VIDEO, VISION_START, VISION_END = 90, 91, 92, 93
WINDOW = 24
"""Of the sliding layers: shorter than a prompt with its completion."""

TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
WIDE_HEADS = {"head_dim": 16}
VISION: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 4,
    "image_size": 16,
}
QWEN_VISION: dict[str, Any] = {"depth": 2, "num_heads": 2, "patch_size": 4}
MROPE: dict[str, Any] = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6}
QWEN_TOKENS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": VISION_START,
    "vision_end_token_id": VISION_END,
}


@dataclass(frozen=True, kw_only=True)
class Family:
    """A tiny model with three prompts: one image, two images and more text, one image and little text."""

    name: str
    model: nn.Module
    prompts: tuple[EncodedPrompt, ...]
    pad_id: int = 0
    image_id: int = IMAGE


def _llava(text: Any) -> nn.Module:
    vision = tf.CLIPVisionConfig(**VISION)
    return tf.LlavaForConditionalGeneration(
        tf.LlavaConfig(text_config=text, vision_config=vision, image_token_index=IMAGE)
    )


def _qwen2_vl() -> nn.Module:
    vision = QWEN_VISION | {"embed_dim": 16, "hidden_size": 32}
    text = TEXT | {"rope_parameters": {**MROPE, "mrope_section": [1, 1, 2]}}
    return tf.Qwen2VLForConditionalGeneration(
        tf.Qwen2VLConfig(text_config=text, vision_config=vision, **QWEN_TOKENS)
    )


def _qwen2_5_vl() -> nn.Module:
    vision = QWEN_VISION | {
        "hidden_size": 16,
        "intermediate_size": 32,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
        "window_size": 16,
    }
    text = TEXT | {"rope_parameters": {**MROPE, "mrope_section": [1, 1, 2]}}
    return tf.Qwen2_5_VLForConditionalGeneration(
        tf.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **QWEN_TOKENS)
    )


def _qwen3_vl() -> nn.Module:
    vision = QWEN_VISION | {
        "hidden_size": 16,
        "intermediate_size": 32,
        "out_hidden_size": 32,
        "deepstack_visual_indexes": [0, 1],
        "num_position_embeddings": 64,
    }
    text = TEXT | WIDE_HEADS | {"rope_parameters": {**MROPE, "mrope_interleaved": True}}
    return tf.Qwen3VLForConditionalGeneration(
        tf.Qwen3VLConfig(text_config=text, vision_config=vision, **QWEN_TOKENS)
    )


def _internvl() -> nn.Module:
    vision = VISION | {"patch_size": [4, 4], "image_size": [16, 16]}
    return tf.InternVLForConditionalGeneration(
        tf.InternVLConfig(text_config=tf.Qwen2Config(**TEXT), vision_config=vision, image_token_id=IMAGE)
    )


def _idefics(model: Any, config: Any) -> nn.Module:
    text = tf.LlamaConfig(**TEXT)
    return model(config(text_config=text, vision_config={**VISION}, image_token_id=IMAGE, scale_factor=2))


def _gemma3() -> nn.Module:
    text = TEXT | WIDE_HEADS
    text |= {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
    return tf.Gemma3ForConditionalGeneration(
        tf.Gemma3Config(
            text_config={**text, "query_pre_attn_scalar": 16},
            vision_config=tf.SiglipVisionConfig(**VISION),
            image_token_index=IMAGE,
            mm_tokens_per_image=4,
        )
    )


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "llava": lambda: _llava(tf.LlamaConfig(**TEXT)),
    "llava_mistral": lambda: _llava(tf.MistralConfig(**TEXT, sliding_window=WINDOW)),
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "internvl": _internvl,
    "idefics3": lambda: _idefics(tf.Idefics3ForConditionalGeneration, tf.Idefics3Config),
    "smolvlm": lambda: _idefics(tf.SmolVLMForConditionalGeneration, tf.SmolVLMConfig),
    "gemma3": _gemma3,
}
TOKENS_PER_IMAGE = {"internvl": 4, "idefics3": 4, "smolvlm": 4, "gemma3": 4}


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
        model = BUILDERS[name]()
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
