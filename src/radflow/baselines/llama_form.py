"""What R2GenGPT, RadFM and MedVersa share: a tower, a connector and a Llama, as ``policy.model`` takes them.

Their published weights become a model of radflow's own form (`radflow.policy.assembly.model`): transformers
loads it, and SFT, exploration, RFT and drafting work on it as on any other. What is theirs alone, the words
around the pictures and the way reports are decoded, stands in the folder too: in the chat template and in
``generation_config.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    GenerationConfig,
    LlamaForCausalLM,
    LlavaProcessor,
    PreTrainedModel,
    SwinConfig,
    SwinModel,
)

from radflow import config
from radflow.baselines.published import check_fits
from radflow.errors import DataError
from radflow.files import write_atomic
from radflow.policy.assembly.assemble import put_together
from radflow.policy.assembly.connectors import keep_scale
from radflow.policy.assembly.model import (
    AssembledConfig,
    AssembledForConditionalGeneration,
    ViewsProcessor,
)
from radflow.policy.assembly.parts import Tower, config_of, load_tokenizer, load_tower
from radflow.policy.tiny import standardised, text_config, train_tokenizer
from radflow.readers.networks.weights import quietly

RECIPE = "recipe.toml"
"""In a converted folder: what a recipe must say for the system to be asked as its authors ask it. Drafts are
written by it."""
_SMALL_EDGE, _SMALL_PATCH, _SMALL_DEPTHS, _SMALL_WIDTH, _WINDOW = 112, 4, (1, 1, 2), 32, 7


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a system is asked.

    Attributes:
        image_token: stands for a picture, then for each of its visual tokens.
        template: the chat template, from pictures and words to the prompt.
        tokens: all that it adds to Llama's, in the order of their ids.
        views: whether a study's pictures are averaged.
        decoding: of its authors, as ``GenerationConfig`` names it.
        recipe: what a recipe says for it.
    """

    image_token: str
    template: str
    tokens: Sequence[str]
    views: bool = False
    decoding: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)


def write_system(
    model: AssembledForConditionalGeneration,
    form: Form,
    folder: Path,
    *,
    tokenizer: Any,
    pictures: Any,
    edge: int,
    ends: Sequence[int] | None = None,
    published: bool = True,
) -> None:
    """Write model, processor and, of published weights, decoding and recipe.

    Args:
        model: whole.
        form: how it is asked.
        folder: to fill.
        tokenizer: knows the tokens of ``form``.
        pictures: the image processor, which gives squares.
        edge: of these in pixels.
        ends: tokens that end a report; the tokenizer's own when not given.
        published: whether reports are to be decoded as the authors do.
    """
    kind = ViewsProcessor if form.views else LlavaProcessor
    processor = kind(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=edge,  # the picture is one "patch", and the rest of its tokens stand on top
        num_additional_image_tokens=model.config.image_tokens - 1,
        vision_feature_select_strategy="full",
        image_token=form.image_token,
        chat_template=form.template,
    )
    model.generation_config = GenerationConfig(
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=list(ends) if ends else tokenizer.eos_token_id,
        **(form.decoding if published else {}),
    )
    processor.save_pretrained(folder)
    model.save_pretrained(folder)
    if published:
        write_atomic(folder / RECIPE, tomli_w.dumps(form.recipe))


def llama_tokenizer(source: Path, form: Form, *, words: int) -> Any:
    """A Llama tokenizer with the tokens of a form behind its own.

    A form's text is split at its pictures, as its authors do. Only the first piece begins as a text of its
    own; a space in the template begins the others. So the tokenizer must not put one there itself.

    Args:
        source: folder of the language model.
        form: the system's.
        words: tokens that the published model has of Llama.

    Raises:
        MissingFileError: there is no tokenizer.
        DataError: it has another number of tokens, does not begin a text with its first token, or puts a
            space behind every special token.
    """
    tokenizer = load_tokenizer(str(source))
    if len(tokenizer) != words:
        raise DataError(f"{source}: expected a tokenizer of {words} tokens, got one of {len(tokenizer)}")
    if tokenizer.unk_token_id is not None:
        tokenizer.pad_token = tokenizer.unk_token
    tokenizer.add_tokens(list(form.tokens), special_tokens=True)
    begin = tokenizer.bos_token_id
    if begin is not None and tokenizer("x").input_ids[0] != begin:
        raise DataError(
            f"{source}: expected a tokenizer that begins a text with {tokenizer.bos_token}; set "
            "add_bos_token to true in its tokenizer_config.json"
        )
    behind = tokenizer(f"{form.image_token}x", add_special_tokens=False).input_ids[1:]
    if behind == tokenizer(f"{form.image_token} x", add_special_tokens=False).input_ids[1:]:
        raise DataError(
            f"{source}: its tokenizer puts a space behind every special token; set legacy to false in its "
            "tokenizer_config.json"
        )
    return tokenizer


def llama_config(source: Path) -> Any:
    """The configuration of a Llama.

    Raises:
        MissingFileError: there is none.
        DataError: it is of another kind.
    """
    found = config_of(str(source))
    if found.model_type != "llama":
        raise DataError(f"{source}: expected a Llama, got a model of type {found.model_type}")
    return found


def llama_names(settings: Any) -> dict[str, Tensor]:
    """The tensors of a Llama without its output head, by name; they hold no numbers."""
    with torch.device("meta"):
        return dict(LlamaForCausalLM(settings).model.state_dict())


def swin_states(
    settings: SwinConfig, weights: Mapping[str, Tensor], source: Path, prefix: str
) -> dict[str, Tensor]:
    """The weights of a Swin under the names that this transformers has for them.

    Args:
        settings: its configuration.
        weights: under the published names, which are those that transformers saves.
        source: where they are from.
        prefix: of their names there.

    Raises:
        DataError: they are not those of this Swin.
    """
    with quietly():
        check_fits(saved_names(SwinModel(settings)), weights, source, prefix)
        kinds = {tensor.dtype for tensor in weights.values()}
        model = SwinModel.from_pretrained(
            None,
            config=settings,
            state_dict=dict(weights),
            dtype=kinds.pop() if len(kinds) == 1 else torch.float32,
        )
    return model.state_dict()


def saved_names(model: PreTrainedModel) -> dict[str, Tensor]:
    """The tensors of a model by the names under which transformers saves them."""
    with TemporaryDirectory() as place, quietly():
        model.save_pretrained(place)
        return load_file(Path(place) / "model.safetensors")


def joined(
    settings: AssembledConfig, parts: Mapping[str, Mapping[str, Tensor]], head: Tensor
) -> AssembledForConditionalGeneration:
    """A model around tensors that were checked, none of which is copied.

    Args:
        settings: of the model.
        parts: ``vision_tower``, ``multi_modal_projector`` and ``language_model``.
        head: of the language model.
    """
    with torch.device("meta"):
        model = AssembledForConditionalGeneration(settings)
    states = {f"model.{part}.{name}": t for part, own in parts.items() for name, t in own.items()}
    model.load_state_dict({**states, "lm_head.weight": head}, assign=True)
    settings.dtype = model.config.dtype = head.dtype
    return model


def connector_states(
    settings: AssembledConfig, found: Mapping[str, tuple[str, dict[str, Tensor]]], source: Path
) -> dict[str, Tensor]:
    """The connector's tensors out of published ones.

    Args:
        settings: names the connector.
        found: by the connector's own prefix, the published prefix and the tensors behind it.
        source: where they are from.

    Raises:
        DataError: they are not those of this connector.
    """
    with torch.device("meta"):
        wanted = settings.fresh_connector().state_dict()
    taken: dict[str, Tensor] = {}
    for own, (prefix, tensors) in found.items():
        part = {name.removeprefix(own): t for name, t in wanted.items() if name.startswith(own)}
        check_fits(part, tensors, source, prefix)
        taken |= {f"{own}{name}": tensor for name, tensor in tensors.items()}
    return taken


def build_small(
    knobs: config.Policy,
    form: Form,
    folder: Path,
    *,
    connector: str,
    tokens: int | None,
    texts: Iterable[str],
    images: Sequence[Path],
    seed: int,
    tower: Tower | None = None,
) -> None:
    """Write a small one from noise: its layout and its words, at the size of the tiny policy.

    Args:
        knobs: the section ``policy``; sizes are those of ``policy.tiny``, and its tower if it names one.
        form: how it is asked.
        folder: to fill.
        connector: a name of `radflow.policy.assembly.connectors`.
        tokens: visual tokens per picture; one per patch when not given.
        texts: prompts and reports of the training split.
        images: some of its pictures.
        seed: of the weights.
        tower: in place of a small Swin.
    """
    sizes = knobs.tiny
    tokenizer = train_tokenizer(texts, sizes.vocabulary, image=form.image_token)
    tokenizer.add_tokens(list(form.tokens), special_tokens=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if sizes.tower is not None:
            tower = load_tower(sizes.tower, sizes.image_size)
        tower = tower or _small_swin(sizes.image_size or _SMALL_EDGE, images)
        language = LlamaForCausalLM(text_config(sizes, tokenizer))
        image_id = int(tokenizer.vocab[form.image_token])
        count = tokens or tower.patches
        model = put_together(tower, language, image_id, connector, count, 1.0, average_views=form.views)
    write_system(
        model,
        form,
        folder,
        tokenizer=tokenizer,
        pictures=tower.image_processor,
        edge=tower.image_size,
        published=False,
    )


def _small_swin(edge: int, images: Sequence[Path]) -> Tower:
    unit = _SMALL_PATCH * 2 ** (len(_SMALL_DEPTHS) - 1)
    if edge % unit:
        raise DataError(f"policy.tiny.image_size: expected a multiple of {unit} for a small Swin, got {edge}")
    settings = SwinConfig(
        image_size=edge,
        patch_size=_SMALL_PATCH,
        embed_dim=_SMALL_WIDTH,
        depths=list(_SMALL_DEPTHS),
        num_heads=[2**stage * 2 for stage in range(len(_SMALL_DEPTHS))],
        window_size=min(_WINDOW, edge // unit),
        drop_path_rate=0.0,
    )
    model = SwinModel(settings)
    keep_scale(model)
    return tower_of("a small Swin", model, standardised(edge, images), edge, (edge // unit) ** 2)


def tower_of(name: str, model: PreTrainedModel, pictures: Any, edge: int, patches: int) -> Tower:
    """A tower from noise."""
    return Tower(
        name=name,
        model=model,
        image_processor=pictures,
        image_size=edge,
        patches=patches,
        others=0,
        width=int(getattr(model.config, "hidden_size", 0)),
    )
