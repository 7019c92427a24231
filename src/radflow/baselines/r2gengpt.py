"""R2GenGPT (Wang et al., 2309.09812): a Swin, a linear projection and a frozen Llama.

    pictures    Swin's patches of every view, averaged over a study's views
    connector   Linear, then LayerNorm: connector ``r2gengpt``
    prompt      ``Human: <Img>`` pictures ``</Img>`` words ``\\nAssistant:``
    weights     a ``.pth`` with ``model``, ``config``, ``epoch``, ``step``, and in ``model`` what trained:
                ``llama_proj`` and ``layer_norm`` (*shallow*), LoRA on Swin's queries and values besides
                (*delta*), or all of Swin (*deep*). The Swin and the Llama under it are named beside it
    decoding    three beams, no sampling, repetition penalty 2, length penalty 2, 80 to 120 new tokens (MIMIC;
                IU X-Ray 40 to 100). The authors set ``no_repeat_ngram_size`` too, and never pass it on

Read in the authors' public sources (wang-zhanyu/R2GenGPT, BSD-3); none of their code is here or runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from radflow import config
from radflow.baselines.llama_form import (
    Form,
    build_small,
    connector_states,
    joined,
    llama_config,
    llama_tokenizer,
    saved_names,
    swin_states,
    write_system,
)
from radflow.baselines.published import Published, check_fits, folded, read_published, settings_of
from radflow.errors import DataError
from radflow.files import write_json
from radflow.policy.assembly.assemble import NOTE
from radflow.policy.assembly.model import AssembledConfig
from radflow.policy.assembly.parts import load_language, load_tower

IMAGE = "<image>"
PROMPT = "Generate a comprehensive and detailed diagnosis report for this chest xray image."
FORM = Form(
    image_token=IMAGE,
    tokens=(IMAGE,),
    views=True,
    template=(
        "{%- for message in messages -%}{%- set asked = namespace(images='', words='') -%}"
        "{%- for part in message['content'] -%}{%- if part['type'] == 'image' -%}"
        "{%- set asked.images = asked.images + '<image>' -%}{%- else -%}"
        "{%- set asked.words = part['text'] -%}{%- endif -%}{%- endfor -%}"
        "{{- 'Human: <Img>' + asked.images + ' </Img> ' + asked.words + ' \\nAssistant:' -}}{%- endfor -%}"
    ),
    decoding={
        "num_beams": 3,
        "repetition_penalty": 2.0,
        "length_penalty": 2.0,
        "min_new_tokens": 80,
        "max_new_tokens": 120,
    },
    recipe={
        "name": "R2GenGPT",
        "policy": {"prompt": PROMPT, "prompt_context": False, "max_new_tokens": 120},
        "sft": {"language": "frozen", "connector": True, "vision": "none", "learning_rate": 1e-4},
        "evaluation": {"decoding": "own"},
    },
)
_PEFT = "base_model.model."
_ALPHA = 16
"""Of LoRA where the checkpoint's settings do not say it; its authors' own."""


def build(
    knobs: config.Policy, folder: Path, *, texts: Iterable[str], images: Sequence[Path], seed: int
) -> None:
    """Write a small one from noise: a Swin of 49 patches, all of which become visual tokens."""
    build_small(knobs, FORM, folder, connector="r2gengpt", tokens=None, texts=texts, images=images, seed=seed)


def convert(sources: Sequence[Path], folder: Path) -> list[str]:
    """Write published weights and the parts they were trained on as one folder.

    Args:
        sources: the ``.pth``, the folder of its Swin, the folder of its Llama. Without the first the
            connector is fresh, as where its authors begin to train.
        folder: to fill.

    Returns:
        which of the three forms it is, and what was left out.

    Raises:
        MissingFileError: a part is not there.
        DataError: a file is damaged or holds other weights, or the parts are not those it was trained on.
    """
    if len(sources) not in (2, 3):
        raise DataError(f"r2gengpt: expected [CHECKPOINT.pth] SWIN LLAMA, got {len(sources)} of them")
    *checkpoint, vision, language = sources
    published = read_published(checkpoint[0], key="model") if checkpoint else None
    swin = load_tower(str(vision))
    llama: Any = load_language(str(language))[0]
    if swin.model.config.model_type != "swin":
        raise DataError(f"{vision}: expected a Swin, got a model of type {swin.model.config.model_type}")
    words, width = llama.get_input_embeddings().weight.shape
    llama_config(language)
    tokenizer = llama_tokenizer(language, FORM, words=words)
    image_id = tokenizer.convert_tokens_to_ids(IMAGE)
    text = llama.config.to_dict() | {"vocab_size": words + 1, "tie_word_embeddings": False}
    settings = AssembledConfig(
        vision_config=swin.model.config,
        text_config=text,
        image_token_index=image_id,
        connector="r2gengpt",
        image_tokens=swin.patches,
        vision_width=swin.width,
        average_views=True,
        head_tokens=words,
        tie_word_embeddings=False,
    )
    head: Any = llama.get_output_embeddings()
    states = dict(llama.base_model.state_dict())
    notes = ["a fresh connector, as where its authors begin to train; SFT trains it"]
    if published is None:
        fresh = settings.fresh_connector()
        fresh.initialise(float(states["embed_tokens.weight"].float().std()), width=swin.width)
        connector, tower = fresh.state_dict(), dict(swin.model.state_dict())
    else:
        form, tower = _tower(published, swin.model, vision)
        states = _language(published, llama, states)
        connector = connector_states(
            settings,
            {
                "projection.": ("llama_proj.", published.take("llama_proj.")),
                "norm.": ("layer_norm.", published.take("layer_norm.")),
            },
            published.source,
        )
        notes = [f"the form is {form}", *published.close()]
    row = states["embed_tokens.weight"].new_zeros(1, width)  # of the token whose place visual tokens take
    states["embed_tokens.weight"] = torch.cat([states["embed_tokens.weight"], row])
    model = joined(
        settings,
        {"vision_tower": tower, "multi_modal_projector": connector, "language_model": states},
        head.weight.detach(),
    )
    write_system(
        model, FORM, folder, tokenizer=tokenizer, pictures=swin.image_processor, edge=swin.image_size
    )
    if published is None:
        write_json(folder / NOTE, {"tower": swin.name, "connector": "r2gengpt", "tokens": swin.patches})
    return notes


def _tower(published: Published, swin: Any, vision: Path) -> tuple[str, dict[str, Tensor]]:
    """The form of the weights, and Swin with what of it trained."""
    own = published.take("visual_encoder.")
    if not own:
        return "shallow", dict(swin.state_dict())
    base = saved_names(swin)
    bare = {name.removeprefix(_PEFT): tensor for name, tensor in own.items()}
    if any(".lora_" in name for name in bare):
        alpha = settings_of(published).get("vis_alpha", _ALPHA)
        form, weights = "delta", folded(base | bare, _number(alpha, published.source), published.source)
    else:
        parameters = dict(swin.named_parameters())
        assert len(base) == len(parameters)  # no buffer is saved, so all of Swin trains
        check_fits(base, bare, published.source, "visual_encoder.")
        form, weights = "deep", bare
    return form, swin_states(swin.config, weights, vision, "visual_encoder.")


def _language(published: Published, llama: Any, states: dict[str, Tensor]) -> dict[str, Tensor]:
    """Llama with the LoRA that was trained on it, if any was; in no form of the paper one was."""
    adapters = published.take(f"llama_model.{_PEFT}model.")
    if not adapters:
        return states
    alpha = settings_of(published).get("llm_alpha", _ALPHA)
    whole = folded(states | adapters, _number(alpha, published.source), published.source)
    check_fits(states, whole, published.source, f"llama_model.{_PEFT}model.")
    return whole


def _number(alpha: Any, source: Path) -> float:
    if not isinstance(alpha, int | float):
        raise DataError(f"{source}: expected a number as alpha of LoRA, got {alpha!r}")
    return float(alpha)
