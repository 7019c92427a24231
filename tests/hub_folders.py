"""Model folders as the Hugging Face hub lays them out, tiny and with random weights: one for every family.

Which files there are, how they are called and which of them says what was copied from one repository each
(`REPOSITORIES`); sizes are tiny, the vocabulary is trained on the spot, and chat templates are cut down to
one user's turn. The tokenizers of Llama and Gemma are byte-level here, where theirs are SentencePiece.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from transformers import GenerationConfig, PreTrainedTokenizerFast

from tiny_models import BUILDERS, PATCH, SIDE, Tokens, grids

REPOSITORIES = {
    "llava": "llava-hf/llava-1.5-7b-hf",
    "llava_onevision": "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
    "qwen2_vl": "Qwen/Qwen2-VL-2B-Instruct",
    "qwen2_5_vl": "Qwen/Qwen2.5-VL-3B-Instruct",
    "qwen3_vl": "Qwen/Qwen3-VL-2B-Instruct",
    "internvl": "OpenGVLab/InternVL3-1B-hf",
    "idefics3": "HuggingFaceM4/Idefics3-8B-Llama3",
    "smolvlm": "HuggingFaceTB/SmolVLM2-256M-Video-Instruct",
    "gemma3": "google/gemma-3-4b-it",
    "paligemma": "google/paligemma-3b-pt-224",
}
LLAVA_CHAT = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}"
    "{% endfor %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ content['text'] + ' ' }}{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}"
    "{% endif %}"
)


def im_chat(image: str) -> str:
    """The template of the families that descend from Qwen: text may be a string or a list."""
    return (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
        "{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content %}"
        + image
        + "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def turn_chat(start: str, end: str, image: str) -> str:
    """The template of Idefics3, SmolVLM and Gemma 3: it writes the token that begins a text itself."""
    return (
        "{{ bos_token }}{% for message in messages %}" + start + "{% for content in message['content'] %}"
        "{% if content['type'] == 'image' %}" + image + "{% elif content['type'] == 'text' %}"
        "{{ content['text'] | trim }}{% endif %}{% endfor %}" + end + "{% endfor %}"
    )


QWEN_CHAT = im_chat("<|vision_start|><|image_pad|><|vision_end|>")
QWEN_SPECIAL = ("<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>")
ROWS = tuple(f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7))
QWEN_IMAGES = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "patch_size": PATCH,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
SQUARE = {"height": SIDE, "width": SIDE}
TILED = {
    "size": {"longest_edge": 3 * SIDE},
    "max_image_size": {"longest_edge": SIDE},
    "do_image_splitting": True,
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a family's repositories hold beside config.json, weights and tokenizer.

    Attributes:
        images: ``preprocessor_config.json`` without ``processor_class``.
        processor: the name of its class.
        image: the token that stands for a piece of an image.
        settings: ``processor_config.json``, where there is one.
        video: ``video_preprocessor_config.json``, where there is one.
        chat: the template, if any; ``chat_file`` is where it stands.
        special: other special tokens of the vocabulary; ``plain`` are ordinary ones.
        named: tokens that ``tokenizer_config.json`` gives a name.
        tokenizer: the class that it names.
    """

    images: dict[str, Any]
    processor: str
    image: str
    settings: dict[str, Any] | None = None
    video: dict[str, Any] | None = None
    chat: str | None = None
    chat_file: str = "chat_template.json"
    special: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    named: dict[str, str] = field(default_factory=dict)
    begin: str | None = None
    end: str = "<|im_end|>"
    pad: str = "<|endoftext|>"
    tokenizer: str = "Qwen2Tokenizer"
    video_token: str | None = None


def _qwen(processor: str, **changes: Any) -> Layout:
    known: dict[str, Any] = {
        "images": QWEN_IMAGES | {"min_pixels": 16 * PATCH**2, "max_pixels": 1_024 * PATCH**2},
        "processor": processor,
        "image": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "chat": QWEN_CHAT,
        "special": QWEN_SPECIAL,
    }
    return Layout(**known | changes)


LAYOUTS = {
    "llava": Layout(
        images={
            "image_processor_type": "CLIPImageProcessor",
            "size": {"shortest_edge": SIDE},
            "crop_size": SQUARE,
            "do_center_crop": True,
            "do_resize": True,
        },
        processor="LlavaProcessor",
        image="<image>",
        settings={
            "image_token": "<image>",
            "num_additional_image_tokens": 1,
            "patch_size": PATCH,
            "vision_feature_select_strategy": "default",
        },
        chat=LLAVA_CHAT,
        begin="<s>",
        end="</s>",
        pad="<pad>",
        tokenizer="PreTrainedTokenizerFast",
    ),
    "llava_onevision": Layout(
        images={
            "image_processor_type": "LlavaOnevisionImageProcessor",
            "size": SQUARE,
            "image_grid_pinpoints": grids(),
            "do_pad": True,
        },
        processor="LlavaOnevisionProcessor",
        image="<image>",
        video_token="<video>",
        settings={
            "image_token": "<image>",
            "num_image_tokens": (SIDE // PATCH) ** 2,
            "video_token": "<video>",
            "vision_feature_select_strategy": "full",
        },
        video={"video_processor_type": "LlavaOnevisionVideoProcessor", "size": SQUARE},
        chat=im_chat("<image>"),
        special=("<|im_start|>",),
    ),
    "qwen2_vl": _qwen("Qwen2VLProcessor"),
    "qwen2_5_vl": _qwen("Qwen2_5_VLProcessor"),
    "qwen3_vl": _qwen(
        "Qwen3VLProcessor",
        images=QWEN_IMAGES
        | {
            "image_processor_type": "Qwen2VLImageProcessorFast",
            "size": {"shortest_edge": 16 * PATCH**2, "longest_edge": 1_024 * PATCH**2},
        },
        video={
            "video_processor_type": "Qwen3VLVideoProcessor",
            "patch_size": PATCH,
            "merge_size": 2,
            "temporal_patch_size": 2,
            "size": {"shortest_edge": 16 * PATCH**2, "longest_edge": 4_096 * PATCH**2},
        },
    ),
    "internvl": Layout(
        images={
            "image_processor_type": "GotOcr2ImageProcessorFast",
            "crop_to_patches": False,
            "min_patches": 1,
            "max_patches": 12,
            "size": SQUARE,
        },
        processor="InternVLProcessor",
        image="<IMG_CONTEXT>",
        video_token="<video>",
        settings={"image_seq_length": 4},
        video={"video_processor_type": "InternVLVideoProcessor", "size": SQUARE},
        chat=im_chat("<IMG_CONTEXT>\n"),
        chat_file="chat_template.jinja",
        special=("<|im_start|>", "<img>", "</img>"),
        named={
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
    ),
    "idefics3": Layout(
        images={"image_processor_type": "Idefics3ImageProcessor", **TILED},
        processor="Idefics3Processor",
        image="<image>",
        settings={"image_seq_len": 4},
        chat=turn_chat("User:", "<end_of_utterance>\nAssistant:", "<image>"),
        special=("<fake_token_around_image>", "<end_of_utterance>", "<global-img>", *ROWS),
        begin="<|begin_of_text|>",
        end="<|end_of_text|>",
        pad="<|reserved_special_token_0|>",
        tokenizer="PreTrainedTokenizerFast",
    ),
    "smolvlm": Layout(
        images={
            "image_processor_type": "SmolVLMImageProcessor",
            **TILED,
            "video_sampling": {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": SIDE}},
        },
        processor="SmolVLMProcessor",
        image="<image>",
        settings={"image_seq_len": 4},
        chat=turn_chat("User:", "<end_of_utterance>\nAssistant:", "<image>"),
        special=("<fake_token_around_image>", "<end_of_utterance>", "<global-img>", *ROWS),
        named={
            "fake_image_token": "<fake_token_around_image>",
            "image_token": "<image>",
            "end_of_utterance_token": "<end_of_utterance>",
            "global_image_token": "<global-img>",
        },
        begin="<|im_start|>",
        end="<end_of_utterance>",
        pad="<|im_end|>",
        tokenizer="GPT2Tokenizer",
    ),
    "gemma3": Layout(
        images={"image_processor_type": "Gemma3ImageProcessor", "size": SQUARE, "image_seq_length": 4},
        processor="Gemma3Processor",
        image="<image_soft_token>",
        settings={"image_seq_length": 4},
        chat=turn_chat("<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n", "<start_of_image>"),
        special=("<start_of_image>", "<end_of_image>", "<start_of_turn>", "<end_of_turn>"),
        named={
            "image_token": "<image_soft_token>",
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
        },
        begin="<bos>",
        end="<eos>",
        pad="<pad>",
        tokenizer="PreTrainedTokenizerFast",
    ),
    "paligemma": Layout(
        images={
            "image_processor_type": "SiglipImageProcessor",
            "size": SQUARE,
            "image_seq_length": (SIDE // PATCH) ** 2,
        },
        processor="PaliGemmaProcessor",
        image="<image>",
        plain=(*(f"<loc{i:04}>" for i in range(1_024)), *(f"<seg{i:03}>" for i in range(128))),
        begin="<bos>",
        end="<eos>",
        pad="<pad>",
        tokenizer="PreTrainedTokenizerFast",
    ),
}


def write_hub_folder(family: str, folder: Path, *, texts: Iterable[str], seed: int = 0) -> Path:
    """Write a model of a family as its repository lies on the hub.

    Args:
        family: a name in `LAYOUTS`.
        folder: made where it is not there.
        texts: the vocabulary is learnt from them.
        seed: of the weights.
    """
    layout = LAYOUTS[family]
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _write_tokenizer(layout, folder, texts)
    _write(folder / "preprocessor_config.json", layout.images | {"processor_class": layout.processor})
    if layout.settings is not None:
        _write(folder / "processor_config.json", layout.settings | {"processor_class": layout.processor})
    if layout.video is not None:
        _write(
            folder / "video_preprocessor_config.json", layout.video | {"processor_class": layout.processor}
        )
    if layout.chat is not None and layout.chat_file.endswith(".json"):
        _write(folder / layout.chat_file, {"chat_template": layout.chat})
    elif layout.chat is not None:
        (folder / layout.chat_file).write_text(layout.chat)
    ids = tokenizer.get_vocab()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = BUILDERS[family](
            Tokens(
                vocabulary=len(ids),
                positions=2_048,
                pad=ids[layout.pad],
                begin=ids.get(layout.begin or ""),
                end=ids[layout.end],
                image=ids[layout.image],
                video=ids.get(layout.video_token or ""),
                vision_start=ids.get("<|vision_start|>"),
                vision_end=ids.get("<|vision_end|>"),
                window=64,
            )
        )
        for parameter in model.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.15)
    model.generation_config = GenerationConfig(pad_token_id=ids[layout.pad], eos_token_id=ids[layout.end])
    model.save_pretrained(folder)
    return folder


def as_hub_cache(folder: Path, family: str, cache: Path) -> Path:
    """The same files in the layout of the hub's cache, whose snapshots are links; returns the snapshot."""
    home = cache / f"models--{REPOSITORIES[family].replace('/', '--')}"
    snapshot = home / "snapshots" / ("0123456789abcdef" * 3)[:40]
    for path in (home / "blobs", snapshot, home / "refs"):
        path.mkdir(parents=True)
    (home / "refs" / "main").write_text(snapshot.name)
    for number, file in enumerate(sorted(folder.iterdir())):
        blob = home / "blobs" / f"{number:040x}"
        file.rename(blob)
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", blob.name))
    return snapshot


def _write_tokenizer(layout: Layout, folder: Path, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    main = (layout.pad, layout.begin, layout.end, layout.image, layout.video_token)
    special = list(dict.fromkeys(token for token in (*main, *layout.special) if token is not None))
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    raw.add_tokens(list(layout.plain))
    if layout.begin is not None:
        begin = (layout.begin, raw.token_to_id(layout.begin))
        raw.post_processor = processors.TemplateProcessing(
            single=f"{layout.begin} $A", special_tokens=[begin]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token=layout.pad,
        eos_token=layout.end,
        bos_token=layout.begin,
        additional_special_tokens=[token for token in special if token not in layout.named.values()],
        extra_special_tokens=layout.named,
        clean_up_tokenization_spaces=False,
        model_max_length=2_048,
    )
    tokenizer.save_pretrained(folder)
    raw.model.save(str(folder))  # vocab.json and merges.txt
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": layout.tokenizer, "processor_class": layout.processor}
    _write(folder / "tokenizer_config.json", settings)
    return tokenizer


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2))
