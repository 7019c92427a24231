"""Models, processors and studies for the benchmarks of the group engine.

Random weights of real shapes: what they write means nothing, how long it takes is what trained weights
take. Words are whole tokens (``w17``), so that a prompt has exactly the length that was asked for, and
the end token is one that sampling never draws, so that every completion has exactly the length that was
asked for.

    qwen2.5-vl-tiny    2 layers of 64; for trying the code
    qwen2.5-vl-small   4 layers of 256, MLP 1376, 8 heads on 2; tower of 4 layers of 160 (windowed attention)
    llava-small        the same language model as Llama, MHA; CLIP tower of 2 layers of 96, 1 or 2 pictures
    qwen2.5-vl-3b      Qwen2.5-VL-3B as published; for a GPU

In ``qwen2.5-vl-small`` the tower costs as much beside the language model's prefix as in the 3B model, and
in ``llava-small`` as little as in LLaVA-1.5-7B (``rft_flops.py`` says how much).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from radflow import config
from radflow.policy import FeatureStore, Policy, PromptEncoder
from radflow.policy.load import language_layers
from radflow.policy.processors import images_only
from radflow.reports import Report
from radflow.studies import Study

PAD, END, START, STOP, IMAGE, VIDEO = (
    "<pad>",
    "<end>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
SPECIAL = (PAD, END, START, STOP, IMAGE, VIDEO, "Indication:")
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}PICTURE{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}"
)
LORA_RANK = 8
INSTRUCTION = 24
"""Words of the instruction; the rest of a prompt's words is its indication."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a model. ``vision_heads`` and what follows describe the tower.

    Attributes:
        full_layers: of the tower: those that attend over the whole picture (Qwen); all of them for CLIP.
        merge: side of the square of patches that becomes one visual token.
    """

    family: str
    layers: int
    width: int
    mlp: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    vision_layers: int
    vision_width: int
    vision_mlp: int
    vision_heads: int
    patch: int
    merge: int
    window: int
    full_layers: tuple[int, ...]


SHAPES = {
    "qwen2.5-vl-tiny": Shape(
        family="qwen",
        layers=2,
        width=64,
        mlp=128,
        heads=4,
        kv_heads=2,
        vocabulary=1_024,
        tied=True,
        vision_layers=2,
        vision_width=32,
        vision_mlp=64,
        vision_heads=2,
        patch=4,
        merge=2,
        window=32,
        full_layers=(1,),
    ),
    "qwen2.5-vl-small": Shape(
        family="qwen",
        layers=4,
        width=256,
        mlp=1_376,
        heads=8,
        kv_heads=2,
        vocabulary=8_192,
        tied=True,
        vision_layers=4,
        vision_width=160,
        vision_mlp=428,
        vision_heads=4,
        patch=4,
        merge=2,
        window=32,
        full_layers=(),
    ),
    "llava-small": Shape(
        family="llava",
        layers=4,
        width=256,
        mlp=1_376,
        heads=8,
        kv_heads=8,
        vocabulary=8_192,
        tied=True,
        vision_layers=2,
        vision_width=96,
        vision_mlp=384,
        vision_heads=4,
        patch=4,
        merge=1,
        window=0,
        full_layers=(0, 1),
    ),
    "qwen2.5-vl-3b": Shape(
        family="qwen",
        layers=36,
        width=2_048,
        mlp=11_008,
        heads=16,
        kv_heads=2,
        vocabulary=151_936,
        tied=True,
        vision_layers=32,
        vision_width=1_280,
        vision_mlp=3_420,
        vision_heads=16,
        patch=14,
        merge=2,
        window=112,
        full_layers=(7, 15, 23, 31),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A prompt of an exact length.

    Attributes:
        pictures: how many.
        grid: patches of each picture, height and width.
        image_tokens: visual tokens in all.
        words: of indication and instruction together.
    """

    pictures: int
    grid: tuple[int, int]
    image_tokens: int
    words: int


def layout(shape: Shape, prefix: int) -> Layout:
    """Nearly all of a prompt is pictures: one for Qwen, one or two squares for LLaVA."""
    room = prefix - INSTRUCTION - 8
    if shape.family == "llava":
        pictures = 2 if prefix >= 1_000 else 1
        side = int((room / pictures) ** 0.5) // 8 * 8 or int(room**0.5)
        tokens = pictures * side**2
        return Layout(pictures=pictures, grid=(side, side), image_tokens=tokens, words=prefix - tokens)
    height = int(room**0.5)
    width = room // height
    tokens = height * width
    grid = (height * shape.merge, width * shape.merge)
    return Layout(pictures=1, grid=grid, image_tokens=tokens, words=prefix - tokens - 2)


def build_policy(
    name: str, prefix: int, *, device: str = "cpu", dtype: torch.dtype = torch.float32, seed: int = 0
) -> Policy:
    """A policy without adapters; the same seed gives the same weights."""
    shape = SHAPES[name]
    plan = layout(shape, prefix)
    torch.manual_seed(seed)
    processor = _processor(shape, plan)
    with torch.device(device):
        model = _model(shape, plan, processor.tokenizer, dtype)
    end = processor.tokenizer.eos_token_id
    model.generation_config = GenerationConfig(
        pad_token_id=processor.tokenizer.pad_token_id, eos_token_id=end
    )
    settings = config.Policy(prompt=instruction(), max_prompt_tokens=8_192, image_workers=0)
    return Policy(
        model=model.to(device),
        processor=processor,
        encoder=PromptEncoder(processor, settings),
        features=None,
    )


def lora(policy: Policy) -> LoraConfig:
    """Rank 8 on every linear layer of the language model."""
    return LoraConfig(r=LORA_RANK, lora_alpha=2 * LORA_RANK, target_modules=language_layers(policy.model))


def with_lora(policy: Policy) -> Policy:
    """The policy with fresh adapters."""
    model = get_peft_model(policy.model, lora(policy))
    return replace(policy, model=model, features=FeatureStore(model, max_bytes=1024**3))


def write_studies(name: str, prefix: int, count: int, folder: Path, *, seed: int = 0) -> list[Study]:
    """Studies with pictures of noise, each with words of its own, all prompts ``prefix`` tokens long."""
    shape = SHAPES[name]
    plan = layout(shape, prefix)
    draw = np.random.default_rng(seed)
    size = (plan.grid[0] * shape.patch, plan.grid[1] * shape.patch, 3)
    studies = []
    for i in range(count):
        paths = []
        for k in range(plan.pictures):
            path = folder / f"{name}-{prefix}-{seed}-{i}-{k}.png"
            Image.fromarray(draw.integers(0, 256, size, dtype=np.uint8)).save(path)
            paths.append(path)
        words = draw.integers(0, shape.vocabulary - len(SPECIAL), plan.words - INSTRUCTION - 1)
        studies.append(
            Study(
                study_id=f"s{i}",
                patient_id=f"p{i}",
                images=tuple(paths),
                reference=Report(text="w1 w2", findings=None, impression=None),
                indication=" ".join(f"w{n}" for n in words),
                critical=False,
            )
        )
    return studies


def instruction() -> str:
    """The last words of every prompt."""
    return " ".join(f"w{n}" for n in range(INSTRUCTION))


def _processor(shape: Shape, plan: Layout) -> Any:
    words = {word: i for i, word in enumerate(SPECIAL)}
    words |= {f"w{i}": i + len(SPECIAL) for i in range(shape.vocabulary - len(SPECIAL))}
    raw = Tokenizer(models.WordLevel(words, unk_token=PAD))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token=PAD,
        unk_token=PAD,
        eos_token=IMAGE,  # never sampled, so no completion ends by itself
        extra_special_tokens={"image_token": IMAGE, "video_token": VIDEO, "start": START, "stop": STOP},
        padding_side="left",
    )
    if shape.family == "llava":
        side = plan.grid[0] * shape.patch
        return LlavaProcessor(
            image_processor=CLIPImageProcessorPil(
                size={"height": side, "width": side}, do_center_crop=False, do_convert_rgb=True
            ),
            tokenizer=tokenizer,
            patch_size=shape.patch,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
            image_token=IMAGE,
            chat_template=TEMPLATE.replace("PICTURE", IMAGE),
        )
    pixels = plan.grid[0] * plan.grid[1] * shape.patch**2
    return images_only(Qwen2_5_VLProcessor)(
        image_processor=Qwen2VLImageProcessorPil(
            patch_size=shape.patch, merge_size=shape.merge, min_pixels=pixels // 2, max_pixels=2 * pixels
        ),
        tokenizer=tokenizer,
        chat_template=TEMPLATE.replace("PICTURE", START + IMAGE + STOP),
    )


def _model(shape: Shape, plan: Layout, tokenizer: Any, dtype: torch.dtype) -> Any:
    ids = dict(zip(SPECIAL, tokenizer.convert_tokens_to_ids(list(SPECIAL)), strict=True))
    text = {
        "hidden_size": shape.width,
        "intermediate_size": shape.mlp,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": 8_192,
        "initializer_range": 0.02 if shape.width > 1_000 else 0.06,
        "bos_token_id": None,
        "eos_token_id": ids[IMAGE],
        "pad_token_id": ids[PAD],
    }
    vision: dict[str, Any] = {
        "hidden_size": shape.vision_width,
        "intermediate_size": shape.vision_mlp,
        "patch_size": shape.patch,
    }
    if shape.family == "llava":
        vision |= {
            "num_hidden_layers": shape.vision_layers,
            "num_attention_heads": shape.vision_heads,
            "image_size": plan.grid[0] * shape.patch,
        }
        settings = LlavaConfig(
            vision_config=CLIPVisionConfig(**vision),
            text_config=LlamaConfig(**text),
            image_token_index=ids[IMAGE],
            vision_feature_layer=-1,
            vision_feature_select_strategy="default",
            tie_word_embeddings=shape.tied,
        )
        return LlavaForConditionalGeneration._from_config(settings, dtype=dtype)
    head = shape.width // shape.heads
    sections = [head // 8, 3 * head // 16, 3 * head // 16]
    rope = {"rope_type": "default", "mrope_section": sections, "rope_theta": 1e6}
    settings = Qwen2_5_VLConfig(
        text_config={**text, "rope_parameters": rope},
        vision_config={
            **vision,
            "depth": shape.vision_layers,
            "num_heads": shape.vision_heads,
            "out_hidden_size": shape.width,
            "window_size": shape.window,
            "fullatt_block_indexes": list(shape.full_layers),
        },
        image_token_id=ids[IMAGE],
        video_token_id=ids[VIDEO],
        vision_start_token_id=ids[START],
        vision_end_token_id=ids[STOP],
        tie_word_embeddings=shape.tied,
    )
    return Qwen2_5_VLForConditionalGeneration._from_config(settings, dtype=dtype)
