"""MedVersa (Zhou et al., 2405.07988), the part of it that writes reports of films.

    pictures    Swin's 7 x 7 patches, averaged to 3 x 3 (adaptively): 9 visual tokens per film
    connector   LayerNorm, then Linear: what radflow calls ``linear``
    language    Llama 2 chat with LoRA on queries and values (r = alpha = 16), which is folded in
    prompt      ``###Human:``, for each film ``<imgN>`` 9 x ``<ImageHere>`` ``</imgN>``, then
                ``<context>`` indication and comparison ``</context>`` words ``###Assistant:``.
                ``_*_`` in the words becomes ``<img0><img1>...``. Age and sex, which the authors' context also
                has, are not in a manifest
    weights     a folder with ``model.safetensors`` or ``pytorch_model.bin``, all weights under the authors'
                names; Llama's folder beside it for its configuration and tokenizer
    decoding    sampling at temperature 0.1 and top-p 0.9, at most 450 new tokens, ended by ``###``. So the
                reports follow from a seed: the recipe's

Its heads for boxes and masks, its 3-D encoder and, where a file has one, its Swin for questions are left out.
Read in a mirror of the authors' sources (Harvard's non-commercial research licence) and in ReXrank's script;
none of that code is here or runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import SwinConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from radflow import config
from radflow.baselines.llama_form import (
    Form,
    build_small,
    connector_states,
    joined,
    llama_config,
    llama_names,
    llama_tokenizer,
    swin_states,
    write_system,
)
from radflow.baselines.published import Published, check_fits, folded, read_published, same
from radflow.errors import DataError
from radflow.policy.assembly.model import AssembledConfig

IMAGE = "<ImageHere>"
PROMPT = "Can you provide a report of _*_ with findings and impression?"
EDGE, TOKENS, ALPHA = 224, 9, 16
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
END = "###"
FORM = Form(
    image_token=IMAGE,
    tokens=(IMAGE, "<DET>", "<2DSEG>", "<3DSEG>", "<N/A>"),
    template=(
        "{%- for message in messages -%}{%- set asked = namespace(images='', tags='', words='', n=0) -%}"
        "{%- for part in message['content'] -%}{%- if part['type'] == 'image' -%}"
        "{%- set tag = '<img' ~ asked.n ~ '>' -%}"
        "{%- set asked.images = asked.images ~ tag ~ '<ImageHere></img' ~ asked.n ~ '>' -%}"
        "{%- set asked.tags = asked.tags ~ tag -%}{%- set asked.n = asked.n + 1 -%}{%- else -%}"
        "{%- set asked.words = part['text'] -%}{%- endif -%}{%- endfor -%}"
        "{%- set lines = asked.words.split('\\n') -%}"
        "{{- '###Human:' ~ asked.images ~ ' <context>' ~ lines[:-1] | join('\\n') ~ '</context>' "
        "~ lines[-1].replace('_*_', asked.tags) ~ '###Assistant:' -}}{%- endfor -%}"
    ),
    decoding={"do_sample": True, "temperature": 0.1, "top_p": 0.9, "top_k": 50, "max_new_tokens": 450},
    recipe={
        "name": "MedVersa",
        "policy": {"prompt": PROMPT, "prompt_context": True, "max_new_tokens": 450},
        "evaluation": {"decoding": "own"},
    },
)
_PEFT = "llama_model.base_model.model."
_NOT_OURS = "for boxes, masks, volumes and questions, which no report of a film goes through"
_OTHERS = (
    "text_det.",
    "model_seg_2d.",
    "model_sam_2d.",
    "text2seg_",
    "text2sam_",
    "visual_encoder_3d.",
    "ln_vision_3d.",
    "llama_proj_3d.",
    "visual_encoder_2d_vqa.",
    "ln_vision_2d_vqa.",
    "llama_proj_2d_vqa.",
)


def build(
    knobs: config.Policy, folder: Path, *, texts: Iterable[str], images: Sequence[Path], seed: int
) -> None:
    """Write a small one from noise, with 9 visual tokens per film."""
    build_small(knobs, FORM, folder, connector="linear", tokens=TOKENS, texts=texts, images=images, seed=seed)


def convert(sources: Sequence[Path], folder: Path) -> list[str]:
    """Write published weights as a folder.

    Args:
        sources: the published folder, or its file of weights; the folder of Llama 2 chat, for its
            configuration and tokenizer.
        folder: to fill.

    Returns:
        what was left out.

    Raises:
        MissingFileError: a part is not there.
        DataError: a file is damaged or holds other weights, or the Llama is another one.
    """
    if len(sources) != 2:
        raise DataError(f"medversa: expected MEDVERSA LLAMA, got {len(sources)} of them")
    published = read_published(sources[0])
    text = llama_config(sources[1])
    _leave_out(published)
    states, head = _language(published)
    words = len(head)
    check_fits(llama_names(_sized(text, words)), states, published.source, f"{_PEFT}model.")
    tokenizer = llama_tokenizer(sources[1], FORM, words=words - len(FORM.tokens))
    tower = published.take("visual_encoder_2d.")
    swin = swin_config(tower, published.source)
    settings = AssembledConfig(
        vision_config=swin,
        text_config=_sized(text, words).to_dict(),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        connector="linear",
        image_tokens=TOKENS,
        vision_width=swin.hidden_size,
        tie_word_embeddings=False,
    )
    connector = connector_states(
        settings,
        {
            "norm.": ("ln_vision_2d.", published.take("ln_vision_2d.")),
            "layers.0.": ("llama_proj_2d.", published.take("llama_proj_2d.")),
        },
        published.source,
    )
    model = joined(
        settings,
        {
            "vision_tower": swin_states(swin, tower, published.source, "visual_encoder_2d."),
            "multi_modal_projector": connector,
            "language_model": states,
        },
        head,
    )
    write_system(
        model, FORM, folder, tokenizer=tokenizer, pictures=_pictures(), edge=EDGE, ends=_ends(tokenizer)
    )
    return published.close()


def _leave_out(published: Published) -> None:
    published.leave(*_OTHERS, why=_NOT_OURS)
    published.leave("visual_encoder_2d.", ending=".relative_position_index", why="it follows from the sizes")
    published.leave(_PEFT, ending=".rotary_emb.inv_freq", why="it follows from the configuration")


def _language(published: Published) -> tuple[dict[str, Tensor], Tensor]:
    """Llama with its LoRA folded in, and its output head.

    The authors' model holds embeddings and head a second time, as ``embed_tokens`` and ``embed_states``;
    safetensors keeps one of two names for a tensor, whichever comes first.
    """
    head = published.take(f"{_PEFT}lm_head.0.")
    states = folded(published.take(f"{_PEFT}model."), ALPHA, published.source)
    for prefix, part, name in (
        ("embed_tokens.", states, "embed_tokens.weight"),
        ("embed_states.", head, "weight"),
    ):
        again = published.take(prefix)
        same(part, name, again.pop("weight", None), published.source)
        published.left |= {f"{prefix}{other}": tensor for other, tensor in again.items()}
    if set(head) != {"weight"}:
        raise DataError(
            f"{published.source}: expected {_PEFT}lm_head.0.weight or embed_states.weight, found "
            f"{', '.join(head) or 'neither'}"
        )
    return states, head["weight"]


def _sized(text: Any, words: int) -> Any:
    return type(text)(**text.to_dict() | {"vocab_size": words, "tie_word_embeddings": False})


def swin_config(weights: Mapping[str, Tensor], source: Path) -> SwinConfig:
    """The sizes of a Swin for 224 pixels, from the shapes of its published weights.

    Raises:
        DataError: they are no Swin's.
    """
    names = list(weights)
    stages = {name.split(".")[2] for name in names if name.startswith("encoder.layers.")}
    blocks = [
        {n.split(".")[4] for n in names if n.startswith(f"encoder.layers.{s}.blocks.")}
        for s in sorted(stages)
    ]
    try:
        patches = weights["embeddings.patch_embeddings.projection.weight"]
        tables = [
            weights[f"encoder.layers.{s}.blocks.0.attention.self.relative_position_bias_table"]
            for s in range(len(stages))
        ]
    except KeyError as error:
        raise DataError(
            f"{source}: expected a Swin under visual_encoder_2d., found it without {error}"
        ) from None
    return SwinConfig(
        image_size=EDGE,
        patch_size=patches.shape[-1],
        embed_dim=patches.shape[0],
        depths=[len(own) for own in blocks],
        num_heads=[table.shape[1] for table in tables],
        window_size=(math.isqrt(len(tables[0])) + 1) // 2,
    )


def _pictures() -> CLIPImageProcessorPil:
    size = {"height": EDGE, "width": EDGE}
    return CLIPImageProcessorPil(
        size=size,
        resample=2,
        do_center_crop=False,
        do_convert_rgb=True,
        image_mean=list(MEAN),
        image_std=list(STD),
    )


def _ends(tokenizer: Any) -> list[int]:
    """The first token of ``###`` behind a word and alone, then Llama's own end. No report holds ``##``."""
    alone = tokenizer(END, add_special_tokens=False).input_ids
    behind = tokenizer(f"{IMAGE}.{END}", add_special_tokens=False).input_ids
    point = tokenizer(f"{IMAGE}.", add_special_tokens=False).input_ids
    first = [behind[len(point)]] if behind[: len(point)] == point else []
    return list(dict.fromkeys([*first, alone[0], tokenizer.eos_token_id]))
