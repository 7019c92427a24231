"""What differs between model families, and for which ones the fast paths are proven."""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Int
from peft import PeftModel
from torch import Tensor, nn

from radflow.policy.prompts import EncodedPrompt

KNOWN = frozenset(
    {
        "gemma3",
        "idefics3",
        "internvl",
        "llava",
        "qwen2_5_vl",
        "qwen2_vl",
        "qwen3_vl",
        "radflow_llava",
        "smolvlm",
    }
)
"""``model_type`` of the families with a parity test (``tests/policy/passes/test_shared_prefix.py``)."""


Part = Literal["language", "adapter", "connector", "vision"]
_CONNECTORS = frozenset(
    {"multi_modal_projector", "connector", "enc_to_dec_proj", "merger", "deepstack_merger_list"}
)
"""What the families call what stands between tower and language model."""


def is_known(model: nn.Module) -> bool:
    """Whether the packed row and prefilling once are proven for this model's family."""
    return bare(model).config.model_type in KNOWN


def bare(model: nn.Module) -> Any:
    """The transformers model inside data-parallel and PEFT wrappers."""
    while isinstance(inner := getattr(model, "module", None), nn.Module):
        model = inner
    return model.get_base_model() if isinstance(model, PeftModel) else model


def parts_of(model: nn.Module) -> dict[Part, list[nn.Parameter]]:
    """The parameters of a model by what they belong to; ``adapter`` are LoRA's, wherever they are."""
    base = bare(model)
    heads = (base.get_decoder(), base.get_output_embeddings())
    language = {id(p) for part in heads if part is not None for p in part.parameters()}
    parts: dict[Part, list[nn.Parameter]] = {"language": [], "adapter": [], "connector": [], "vision": []}
    for name, parameter in model.named_parameters():
        part: Part = "vision"
        if ".lora_" in name:
            part = "adapter"
        elif id(parameter) in language:
            part = "language"
        elif _CONNECTORS & set(name.split(".")):
            part = "connector"
        parts[part].append(parameter)
    return parts


def tower_layers(model: nn.Module) -> list[nn.Module]:
    """The layers of the vision tower, first to last; of a hierarchical one its stages."""
    vision = {id(p) for p in parts_of(model)["vision"]}

    def weight(layers: nn.ModuleList) -> int:
        return sum(p.numel() for p in layers.parameters() if id(p) in vision)

    found = [module for module in bare(model).modules() if isinstance(module, nn.ModuleList)]
    longest = max(found, key=weight, default=None)  # the outermost of those that hold as much
    return list(longest) if longest is not None and weight(longest) else []


def reserved_tokens(model: nn.Module) -> tuple[int, ...]:
    """Ids that stand for a piece of a picture or video.

    They are never sampled. Where a completion holds one all the same, every forward reads the padding token
    in its place, because the model would look for a picture; as a target it keeps its id.
    """
    config = bare(model).config
    ids = (getattr(config, name, None) for name in ("image_token_id", "video_token_id"))
    return tuple(i for i in ids if i is not None)


def prompt_positions(model: nn.Module, prompt: EncodedPrompt) -> Int[Tensor, "*axes T"]:
    """Rotary positions of a prompt; what follows it goes on at the largest of them plus one.

    Returns:
        ``(3, T)`` (time, height, width) for the Qwen-VL families, whose image tokens lie on a grid; ``(T,)``,
        counting from 0, for all others.
    """
    indexer = getattr(bare(model).base_model, "get_rope_index", None)
    types = prompt.token_fields.get("mm_token_type_ids")
    if indexer is None or types is None:
        return torch.arange(len(prompt.input_ids))
    positions, _ = indexer(
        prompt.input_ids[None],
        mm_token_type_ids=types[None],
        image_grid_thw=prompt.image_fields.get("image_grid_thw"),
    )
    return positions[:, 0]
