"""A tiny random model of every family that radflow names: the one place that knows their shapes.

The tests of the forwards give it numbers for tokens; those that go through folders give it a tokenizer's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import transformers as tf
from torch import nn

WIDE_HEADS = {"head_dim": 16}
SIDE, PATCH = 16, 4
"""Of a picture and of a patch in pixels, for the towers that take one size."""
VISION: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": PATCH,
    "image_size": SIDE,
}
QWEN_VISION: dict[str, Any] = {"depth": 2, "num_heads": 2, "patch_size": PATCH}
MROPE: dict[str, Any] = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6}
SHORT_MROPE: dict[str, Any] = {**MROPE, "mrope_section": [1, 1, 2]}


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens that a configuration names.

    Attributes:
        window: of the sliding layers; by default shorter than a prompt with its completion.
    """

    vocabulary: int = 100
    positions: int = 512
    pad: int = 0
    begin: int | None = 1
    end: int = 2
    image: int = 90
    video: int | None = 91
    vision_start: int | None = 92
    vision_end: int | None = 93
    window: int = 24

    @property
    def text(self) -> dict[str, Any]:
        """Of a language model's configuration."""
        return {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.positions,
            "bos_token_id": self.begin,
            "eos_token_id": self.end,
            "pad_token_id": self.pad,
        }

    @property
    def qwen(self) -> dict[str, Any]:
        """Of a Qwen-VL model's configuration."""
        return {
            "image_token_id": self.image,
            "video_token_id": self.video,
            "vision_start_token_id": self.vision_start,
            "vision_end_token_id": self.vision_end,
        }


def _llava(tokens: Tokens, text: Any) -> nn.Module:
    vision = tf.CLIPVisionConfig(**VISION)
    return tf.LlavaForConditionalGeneration(
        tf.LlavaConfig(text_config=text, vision_config=vision, image_token_index=tokens.image)
    )


def _assembled(tokens: Tokens) -> nn.Module:
    from radflow.policy.assembly.model import AssembledConfig, AssembledForConditionalGeneration

    return AssembledForConditionalGeneration(
        AssembledConfig(
            text_config=tf.LlamaConfig(**tokens.text),
            vision_config=tf.CLIPVisionConfig(**VISION),
            image_token_index=tokens.image,
            image_tokens=4,
        )
    )


def _llava_onevision(tokens: Tokens) -> nn.Module:
    return tf.LlavaOnevisionForConditionalGeneration(
        tf.LlavaOnevisionConfig(
            text_config=tf.Qwen2Config(**tokens.text),
            vision_config=tf.SiglipVisionConfig(**VISION, vision_use_head=False),
            image_grid_pinpoints=grids(),
            image_token_index=tokens.image,
            video_token_index=tokens.video,
        )
    )


def grids() -> list[list[int]]:
    """The resolutions that the tiny LLaVA-OneVision splits into tiles."""
    return [[h * SIDE, w * SIDE] for h in (1, 2, 3) for w in (1, 2, 3)]


def _qwen2_vl(tokens: Tokens) -> nn.Module:
    vision = QWEN_VISION | {"embed_dim": 16, "hidden_size": 32}
    text = tokens.text | {"rope_parameters": SHORT_MROPE}
    return tf.Qwen2VLForConditionalGeneration(
        tf.Qwen2VLConfig(text_config=text, vision_config=vision, **tokens.qwen)
    )


def _qwen2_5_vl(tokens: Tokens) -> nn.Module:
    vision = QWEN_VISION | {
        "hidden_size": 16,
        "intermediate_size": 32,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
        "window_size": 16,
    }
    text = tokens.text | {"rope_parameters": SHORT_MROPE}
    return tf.Qwen2_5_VLForConditionalGeneration(
        tf.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **tokens.qwen)
    )


def _qwen3_vl(tokens: Tokens) -> nn.Module:
    vision = QWEN_VISION | {
        "hidden_size": 16,
        "intermediate_size": 32,
        "out_hidden_size": 32,
        "deepstack_visual_indexes": [0, 1],
        "num_position_embeddings": 64,
    }
    text = tokens.text | WIDE_HEADS | {"rope_parameters": {**MROPE, "mrope_interleaved": True}}
    return tf.Qwen3VLForConditionalGeneration(
        tf.Qwen3VLConfig(text_config=text, vision_config=vision, **tokens.qwen)
    )


def _internvl(tokens: Tokens) -> nn.Module:
    vision = VISION | {"patch_size": [PATCH, PATCH], "image_size": [SIDE, SIDE]}
    text = tf.Qwen2Config(**tokens.text)
    return tf.InternVLForConditionalGeneration(
        tf.InternVLConfig(text_config=text, vision_config=vision, image_token_id=tokens.image)
    )


def _idefics(tokens: Tokens, model: Any, config: Any) -> nn.Module:
    text = tf.LlamaConfig(**tokens.text)
    return model(
        config(text_config=text, vision_config={**VISION}, image_token_id=tokens.image, scale_factor=2)
    )


def _gemma3(tokens: Tokens) -> nn.Module:
    text = tokens.text | WIDE_HEADS
    text |= {"sliding_window": tokens.window, "layer_types": ["sliding_attention", "full_attention"]}
    return tf.Gemma3ForConditionalGeneration(
        tf.Gemma3Config(
            text_config={**text, "query_pre_attn_scalar": 16},
            vision_config=tf.SiglipVisionConfig(**VISION),
            image_token_index=tokens.image,
            mm_tokens_per_image=4,
        )
    )


def _paligemma(tokens: Tokens) -> nn.Module:
    return tf.PaliGemmaForConditionalGeneration(
        tf.PaliGemmaConfig(
            text_config=tf.GemmaConfig(**tokens.text, **WIDE_HEADS),
            vision_config=tf.SiglipVisionConfig(**VISION, vision_use_head=False),
            image_token_index=tokens.image,
            projection_dim=32,
        )
    )


BUILDERS: dict[str, Callable[[Tokens], nn.Module]] = {
    "llava": lambda t: _llava(t, tf.LlamaConfig(**t.text)),
    "llava_mistral": lambda t: _llava(t, tf.MistralConfig(**t.text, sliding_window=t.window)),
    "llava_onevision": _llava_onevision,
    "radflow_llava": _assembled,
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "internvl": _internvl,
    "idefics3": lambda t: _idefics(t, tf.Idefics3ForConditionalGeneration, tf.Idefics3Config),
    "smolvlm": lambda t: _idefics(t, tf.SmolVLMForConditionalGeneration, tf.SmolVLMConfig),
    "gemma3": _gemma3,
    "paligemma": _paligemma,
}
