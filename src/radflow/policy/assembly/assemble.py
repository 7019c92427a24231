"""A policy from parts: a vision tower, a connector and a causal language model (paper, section 3.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
)

from radflow.config.packaged import LANGUAGE, VISION
from radflow.errors import DataError
from radflow.files import write_json
from radflow.policy.assembly.connectors import CONNECTORS, ON_A_GRID, Connector
from radflow.policy.assembly.model import AssembledConfig, AssembledForConditionalGeneration
from radflow.policy.assembly.parts import Tower, load_language, load_tower, short_name

IMAGE = "<image>"
NOTE = "assembly.json"
"""In a folder of `assemble`: of what it was put together, and that its connector has learnt nothing yet."""
QUERIES = 64
"""Visual tokens of connectors with queries, when nothing is asked for."""
LAST_LAYER = {"clip_vision_model": -2}
"""Whose states plain LLaVA shows: CLIP's before the last layer, which serves the class token alone."""
VLLM_TOWERS = frozenset({"clip_vision_model", "siglip_vision_model"})
"""Towers of vLLM's LLaVA (``vllm/model_executor/models/llava.py``: ``init_vision_tower_for_llava``)."""

CHAT_TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}\n{% endif %}"
    "{% endfor %}{% endfor %}"
)
FLATTEN = (
    "{%- set flat = namespace(messages=[]) -%}"
    "{%- for message in messages -%}{%- set text = namespace(content='') -%}"
    "{%- if message['content'] is string -%}{%- set text.content = message['content'] -%}{%- else -%}"
    "{%- for part in message['content'] -%}{%- if part['type'] == 'image' -%}"
    "{%- set text.content = text.content + '<image>\n' -%}{%- else -%}"
    "{%- set text.content = text.content + part['text'] -%}{%- endif -%}{%- endfor -%}{%- endif -%}"
    "{%- set flat.messages = flat.messages + [{'role': message['role'], 'content': text.content}] -%}"
    "{%- endfor -%}{%- set messages = flat.messages -%}"
)
"""Put before a language model's own chat template, which knows text only."""


@dataclass(frozen=True, kw_only=True)
class Assembled:
    """What `assemble` wrote.

    Attributes:
        model: the whole model.
        plain: whether it is LLaVA as all tools know it, or radflow's form of it.
        vllm: whether vLLM's LLaVA takes its tower.
        tokens: visual tokens per picture.
    """

    model: LlavaForConditionalGeneration
    plain: bool
    vllm: bool
    tokens: int

    @property
    def form(self) -> str:
        """In words, for who asks what else loads the folder."""
        if not self.plain:
            return (
                "Written in radflow's form: transformers loads it after `import radflow.policy`, vLLM does "
                "not."
            )
        who = (
            "vLLM's LLaVA takes its vision tower, but was not run"
            if self.vllm
            else "vLLM's LLaVA takes CLIP and SigLIP towers only"
        )
        return f"Written as plain LLaVA, which transformers loads by itself. {who}."


def assemble(
    tower: Tower,
    language: PreTrainedModel,
    tokenizer: Any,
    folder: Path,
    *,
    connector: str = "mlp",
    tokens: int | None = None,
    spread: float | None = None,
    language_name: str = "tiny",
) -> Assembled:
    """Put the parts together and write model, processor and a note to ``folder``.

    Args:
        tower: of `load_tower`; its model becomes part of the new one.
        language: a causal language model; it too.
        tokenizer: of the language model.
        folder: where ``AutoModelForImageTextToText`` and ``AutoProcessor`` will find them.
        connector: a name of `connectors`.
        tokens: visual tokens per picture. When not given, one per patch on a grid, and `QUERIES` queries.
            ``mlp`` is then written as plain LLaVA where that takes the tower.
        spread: standard deviation of fresh visual tokens; that of the word embeddings when not given.
        language_name: for the note.

    Raises:
        DataError: the number of visual tokens does not go with tower and connector.
    """
    count = tokens_of(tower, connector, tokens)
    if IMAGE not in tokenizer.get_vocab():
        tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    if len(tokenizer) > language.config.get_text_config().vocab_size:
        language.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    words: Any = language.get_input_embeddings()
    spread = float(words.weight.detach().std()) if spread is None else spread
    plain = connector == "mlp" and tokens is None and _is_llavas(tower, language)
    image_id = tokenizer.convert_tokens_to_ids(IMAGE)
    make = _plain if plain else put_together
    model = make(tower, language, image_id, connector, count, spread)
    model.generation_config = GenerationConfig(
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id
    )
    own_template = getattr(tokenizer, "chat_template", None)
    processor = LlavaProcessor(
        image_processor=tower.image_processor,
        tokenizer=tokenizer,
        # In radflow's form the picture is one "patch", and the rest of its tokens stand on top.
        patch_size=math.isqrt(tower.image_size**2 // tower.patches) if plain else tower.image_size,
        num_additional_image_tokens=tower.others if plain else count - 1,
        vision_feature_select_strategy="default" if plain and tower.others else "full",
        image_token=IMAGE,
        chat_template=FLATTEN + own_template if own_template else CHAT_TEMPLATE,
    )
    processor.save_pretrained(folder)
    model.save_pretrained(folder)
    parts = {"tower": tower.name, "connector": connector, "tokens": count, "language": language_name}
    write_json(folder / NOTE, parts)
    return Assembled(
        model=model,
        plain=plain,
        vllm=plain and tower.model.config.model_type in VLLM_TOWERS,
        tokens=count,
    )


def assemble_named(
    vision: str,
    language: str,
    folder: Path,
    *,
    connector: str = "mlp",
    tokens: int | None = None,
    image_size: int | None = None,
    seed: int = 0,
) -> Assembled:
    """Load the parts by hub name, folder or a name of `packaged`, and `assemble` them.

    Raises:
        MissingFileError: a part is not there.
        DataError: a part is of another kind or damaged, or the visual tokens do not fit.
        MissingDependencyError: a packaged part is not installed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tower = load_tower(vision, image_size)
        tokens_of(tower, connector, tokens)  # its error comes before the language model is loaded
        model, tokenizer = load_language(language)
        return assemble(
            tower,
            model,
            tokenizer,
            folder,
            connector=connector,
            tokens=tokens,
            language_name=short_name(language),
        )


def assemble_small(folder: Path, *, seed: int) -> Assembled:
    """The policy ``small``: the packaged tower, ``mlp`` with 64 visual tokens, the packaged language model.

    Raises:
        MissingDependencyError: one of the packages is not installed.
    """
    return assemble_named(VISION, LANGUAGE, folder, connector="mlp", tokens=64, seed=seed)


def tokens_of(tower: Tower, connector: str, tokens: int | None) -> int:
    """The number of visual tokens per picture.

    Raises:
        DataError: it is no square where it must be one, is more than the patches, or no such connector.
    """
    if connector not in CONNECTORS:
        raise DataError(f"connector: expected one of {', '.join(CONNECTORS)}, got {connector!r}")
    on_grid = connector in ON_A_GRID
    if tokens is None:
        return tower.patches if on_grid else min(QUERIES, tower.patches)
    if on_grid and math.isqrt(tokens) ** 2 != tokens:
        near = math.isqrt(tokens)
        raise DataError(
            f"{connector}: expected a square number of visual tokens, got {tokens}; take {max(near, 1) ** 2} "
            f"or {(near + 1) ** 2}, or perceiver or qformer"
        )
    if tokens > tower.patches:
        raise DataError(
            f"{tower.name}: expected at most as many visual tokens as patches, {tower.patches} at "
            f"{tower.image_size} pixels, got {tokens}"
        )
    return tokens


def _is_llavas(tower: Tower, language: PreTrainedModel) -> bool:
    """Whether LLaVA of transformers takes these parts: a plain list of patches, at most a class token."""
    config = tower.model.config
    return (
        tower.others in (0, 1)
        and isinstance(getattr(config, "patch_size", None), int)
        and getattr(config, "num_hidden_layers", None) is not None
        and getattr(config, "hidden_size", None) == tower.width
        and (tower.image_size // config.patch_size) ** 2 == tower.patches
        and hasattr(language.base_model, "embed_tokens")
    )


def _settings(tower: Tower, language: PreTrainedModel, image_id: int) -> dict[str, Any]:
    return {
        "vision_config": tower.model.config,
        "text_config": language.config,
        "image_token_index": image_id,
        "tie_word_embeddings": language.config.tie_word_embeddings,
    }


def _with_parts(kind: Any, config: Any, tower: Tower, language: PreTrainedModel) -> Any:
    """A model around the parts themselves, so that no weight is there twice."""
    with torch.device("meta"):
        model = kind(config)
    model.model.vision_tower, model.model.language_model = tower.model, language.base_model
    model.lm_head = language.get_output_embeddings()
    return model


def put_together(
    tower: Tower,
    language: PreTrainedModel,
    image_id: int,
    connector: str,
    tokens: int,
    spread: float,
    **more: Any,
) -> AssembledForConditionalGeneration:
    """The parts themselves and a fresh connector as one model, in radflow's form.

    Args:
        tower: of `load_tower`.
        language: a causal language model.
        image_id: the token that stands for a piece of a picture.
        connector: a name of `connectors`.
        tokens: visual tokens per picture.
        spread: standard deviation of fresh visual tokens.
        more: of `AssembledConfig`.
    """
    config = AssembledConfig(
        **_settings(tower, language, image_id),
        connector=connector,
        image_tokens=tokens,
        vision_width=tower.width,
        **more,
    )
    model = _with_parts(AssembledForConditionalGeneration, config, tower, language)
    fresh: Connector = config.fresh_connector()
    fresh.initialise(spread, width=tower.width)
    model.model.multi_modal_projector = fresh
    return model


@torch.no_grad()
def _plain(
    tower: Tower, language: PreTrainedModel, image_id: int, connector: str, tokens: int, spread: float
) -> LlavaForConditionalGeneration:
    config = LlavaConfig(
        **_settings(tower, language, image_id),
        vision_feature_layer=LAST_LAYER.get(tower.model.config.model_type, -1),
        vision_feature_select_strategy="default" if tower.others else "full",
        image_seq_length=tokens,
    )
    model = _with_parts(LlavaForConditionalGeneration, config, tower, language)
    projector = model.model.multi_modal_projector.to_empty(device="cpu")
    noise = torch.randn(4, 3, tower.image_size, tower.image_size)
    states = tower.model(noise, output_hidden_states=True).hidden_states[config.vision_feature_layer]
    for layer in (projector.linear_1, projector.linear_2):
        torch.nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        torch.nn.init.zeros_(layer.bias)
    projector.linear_1.weight.div_(float(states.square().mean().sqrt()))  # no norm stands before it
    projector.linear_2.weight.mul_(spread / float(projector(states).std()))
    return model
