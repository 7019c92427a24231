"""RadFM (Wu et al., 2308.02463), the part of it that writes text.

    pictures    a 3-D ViT in patches of 32 x 32 pixels x 4 slices; a film is four equal slices of 512 x 512
    connector   32 queries through six layers of a resampler, then Linear: connector ``radfm``
    language    LLaMA-13B
    prompt      for each film ``<image>`` 32 x ``<image0>`` ``</image>``, then the words. The authors name
                each visual token by itself, ``<image0>`` to ``<image31>``; what enters the model is the same
    weights     one ``pytorch_model.bin`` with all of it; LLaMA's folder beside it for its configuration and
                tokenizer
    decoding    the most likely token, at most 200. A text ends at ``</s>``, with which the authors train;
                the configuration that they publish names another token there

The authors crop films at random, also where they write reports. Here the whole film is resized to a square
(bicubic), so that a report can be written twice. Pixels are between 0 and 1; there is no mean and spread.
What was for training alone (Med-KEBERT, its decoder, heads for masks and labels) is left out. Read in the
authors' public sources (chaoyi-wu/RadFM, no licence found); none of their code is here or runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
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
    tower_of,
    write_system,
)
from radflow.baselines.published import Published, check_fits, read_published, same
from radflow.errors import DataError
from radflow.policy.assembly.connectors import keep_scale
from radflow.policy.assembly.model import AssembledConfig
from radflow.policy.assembly.radfm import RadFMVisionConfig, RadFMVisionModel

IMAGE, OPEN, CLOSE = "<image0>", "<image>", "</image>"
PROMPT = "Please write a radiology report for this image."
FORM = Form(
    image_token=IMAGE,
    tokens=(OPEN, CLOSE, IMAGE),
    template=(
        "{%- for message in messages -%}{%- for part in message['content'] -%}"
        "{%- if part['type'] == 'image' -%}{{- '<image><image0></image>' -}}{%- else -%}"
        "{{- ' ' + part['text'] -}}{%- endif -%}{%- endfor -%}{%- endfor -%}"
    ),
    decoding={"max_new_tokens": 200},
    recipe={
        "name": "RadFM",
        "policy": {"prompt": PROMPT, "prompt_context": False, "max_new_tokens": 200},
    },
)
TOKENS = 32
_EDGE, _PATCH, _WIDTH, _LAYERS = 128, 16, 96, 2
_FOR_TRAINING = "for training alone, or for masks and labels"


def build(
    knobs: config.Policy, folder: Path, *, texts: Iterable[str], images: Sequence[Path], seed: int
) -> None:
    """Write a small one from noise: two layers of the ViT, the whole resampler, 32 visual tokens."""
    edge = knobs.tiny.image_size or _EDGE
    if edge % _PATCH:
        raise DataError(f"policy.tiny.image_size: expected a multiple of {_PATCH} for RadFM, got {edge}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = RadFMVisionModel(
            RadFMVisionConfig(
                hidden_size=_WIDTH,
                num_hidden_layers=_LAYERS,
                intermediate_size=4 * _WIDTH,
                image_size=edge,
                patch_size=_PATCH,
                slices=4,
                dropout=0.0,
            )
        )
        keep_scale(model)
    tower = tower_of("a small 3-D ViT", model, pictures(edge), edge, (edge // _PATCH) ** 2)
    build_small(
        knobs,
        FORM,
        folder,
        connector="radfm",
        tokens=TOKENS,
        texts=texts,
        images=images,
        seed=seed,
        tower=tower,
    )


def convert(sources: Sequence[Path], folder: Path) -> list[str]:
    """Write published weights as a folder.

    Args:
        sources: ``pytorch_model.bin`` or its folder; the folder of LLaMA-13B, for its configuration and
            tokenizer.
        folder: to fill.

    Returns:
        what was left out.

    Raises:
        MissingFileError: a part is not there.
        DataError: a file is damaged or holds other weights, or the LLaMA is another one.
    """
    if len(sources) != 2:
        raise DataError(f"radfm: expected PYTORCH_MODEL.BIN LLAMA, got {len(sources)} of them")
    published = read_published(sources[0])
    text = llama_config(sources[1])
    _leave_out(published)
    states, head, marks = _language(published, text)
    words, width = head.shape
    tokenizer = llama_tokenizer(sources[1], FORM, words=words)
    rows = states["embed_tokens.weight"]
    if marks.shape != (2, width):
        raise DataError(
            f"{published.source}: expected embedding_layer.figure_token_weight of 2 x {width}, got "
            f"{' x '.join(map(str, marks.shape))}"
        )
    place = rows.new_zeros(1, width)  # of the token whose place visual tokens take
    states["embed_tokens.weight"] = torch.cat([rows, marks.to(rows.dtype), place])
    tower = published.take("embedding_layer.vision_encoder.")
    vision = vision_config(tower, published.source)
    with torch.device("meta"):
        wanted = RadFMVisionModel(vision).state_dict()
    check_fits(wanted, tower, published.source, "embedding_layer.vision_encoder.")
    latents = published.left.get("embedding_layer.perceiver.latents")
    settings = AssembledConfig(
        vision_config=vision,
        text_config=text.to_dict() | {"vocab_size": words + len(FORM.tokens), "tie_word_embeddings": False},
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        connector="radfm",
        image_tokens=TOKENS if latents is None else len(latents),
        vision_width=vision.hidden_size,
        head_tokens=words,
        tie_word_embeddings=False,
    )
    connector = connector_states(
        settings,
        {
            f"{part}.": (f"embedding_layer.{part}.", published.take(f"embedding_layer.{part}."))
            for part in ("perceiver", "fc")
        },
        published.source,
    )
    model = joined(
        settings,
        {"vision_tower": tower, "multi_modal_projector": connector, "language_model": states},
        head,
    )
    write_system(
        model, FORM, folder, tokenizer=tokenizer, pictures=pictures(vision.image_size), edge=vision.image_size
    )
    return published.close()


def pictures(edge: int) -> CLIPImageProcessorPil:
    """The whole film as a square of numbers between 0 and 1."""
    size = {"height": edge, "width": edge}
    return CLIPImageProcessorPil(
        size=size, resample=3, do_center_crop=False, do_normalize=False, do_convert_rgb=True
    )


def vision_config(weights: dict[str, Tensor], source: Path) -> RadFMVisionConfig:
    """The sizes of the tower, from the shapes of its weights.

    Raises:
        DataError: they are not RadFM's.
    """
    try:
        projection = weights["to_patch_embedding.2.weight"]
        rows, depths = (weights[f"pos_embedding.{name}_embed.weight"] for name in ("row", "dep"))
        inner = weights["transformer.layers.0.1.fn.net.0.weight"]
    except KeyError as error:
        raise DataError(
            f"{source}: expected a 3-D ViT under embedding_layer.vision_encoder., found it without {error}"
        ) from None
    slices = RadFMVisionConfig().slice_patch
    patch = round((projection.shape[1] / (3 * slices)) ** 0.5)
    layers = {name.split(".")[2] for name in weights if name.startswith("transformer.layers.")}
    return RadFMVisionConfig(
        hidden_size=len(projection),
        num_hidden_layers=len(layers),
        intermediate_size=len(inner),
        image_size=len(rows) * patch,
        patch_size=patch,
        slices=len(depths) * slices,
    )


def _leave_out(published: Published) -> None:
    unused = ("bert_", "transformer_decoder", "output_upscaling", "cls_head")
    published.leave(*(f"embedding_layer.{name}" for name in unused), why=_FOR_TRAINING)
    published.leave("lang_model.", ending=".rotary_emb.inv_freq", why="it follows from the configuration")


def _language(published: Published, text: Any) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """LLaMA, its output head, and the embeddings of the two marks around a picture."""
    source = published.source
    states = published.take("lang_model.model.")
    same(states, "embed_tokens.weight", published.left.pop("embedding_layer.weight", None), source)
    check_fits(llama_names(text), states, source, "lang_model.model.")
    others = {}
    for name in ("lang_model.lm_head.weight", "embedding_layer.figure_token_weight"):
        if name not in published.left:
            raise DataError(f"{source}: these are not the published weights: missing {name}")
        others[name] = published.left.pop(name)
    head, marks = others.values()
    if head.shape != states["embed_tokens.weight"].shape:
        raise DataError(f"{source}: expected lang_model.lm_head.weight of the shape of the embeddings")
    return states, head, marks
