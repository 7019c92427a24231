"""Log-probabilities of whole groups: every image encoded once, every prefix computed once.

A plain forward repeats image and prompt for each of the G completions of a study. Here several groups go
through the model as one packed row (`radflow.policy.passes.packing`), and nothing in it is padding.
Log-probabilities and gradients are those of the plain forward (`radflow.policy.passes.logprobs`) but for
rounding.

Axes: ``N`` completions, ``T`` tokens of the longest, ``M`` completion tokens in all, ``D`` width, ``V``
vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from radflow.policy.families import bare, prompt_positions, reserved_tokens
from radflow.policy.images.features import ImageFeatures, join_features
from radflow.policy.passes.attention import packed_attention, under_way
from radflow.policy.passes.packing import PackedRow, pack
from radflow.policy.prompts import EncodedPrompt, join_images

LOGITS_AT_ONCE = 2**24
"""Logits held at a time, 64 MiB in float32; where there are more, the backward pass makes them again."""


def shared_prefix_logprobs(
    model: nn.Module,
    prompts: Sequence[EncodedPrompt],
    groups: Sequence[Sequence[Sequence[int]]],
    *,
    features: Sequence[ImageFeatures] | None = None,
    pad_id: int,
    temperature: float = 1.0,
) -> tuple[Float[Tensor, "N T"], Bool[Tensor, "N T"]]:
    """Log-probability of every completion token given its prompt and what stands before it.

    Args:
        model: called as a module, so that data-parallel wrappers see the pass.
        prompts: one per group.
        groups: token ids of each group's completions, ragged, each at least one token long.
        features: of each prompt's images, where they are known already; otherwise the tower runs, with
            gradients where it is trained.
        pad_id: what the model reads in place of a reserved token.
        temperature: the logits are divided by it, as they were in sampling.

    Returns:
        Log-probabilities in nats, 0 where the mask is false; and the mask, true on completion tokens. Rows
        are the completions in the order of the groups.

    Raises:
        SharedPrefixError: the model's attention does something that the packed row does not do.
        ValueError: a group or a completion is empty.
    """
    row, states, head = _states(model, prompts, groups, features=features, pad_id=pad_id)
    values = _token_logprobs(head, states, row.targets, temperature)
    return values.new_zeros(row.mask.shape).masked_scatter(row.mask, values), row.mask


def group_logits(
    model: nn.Module,
    prompt: EncodedPrompt,
    completions: Sequence[Sequence[int]],
    *,
    features: Sequence[ImageFeatures] | None = None,
    pad_id: int,
    temperature: float = 1.0,
) -> Float[Tensor, "M V"]:
    """Logits from which each completion token of one group was drawn, completion after completion.

    What the exact policy shift over the vocabulary needs. Arguments are as in `shared_prefix_logprobs`; the
    logits are divided by the temperature already.
    """
    _, states, head = _states(model, [prompt], [completions], features=features, pad_id=pad_id)
    return head(states).float() / temperature


def _states(
    model: nn.Module,
    prompts: Sequence[EncodedPrompt],
    groups: Sequence[Sequence[Sequence[int]]],
    *,
    features: Sequence[ImageFeatures] | None,
    pad_id: int,
) -> tuple[PackedRow, Float[Tensor, "M D"], nn.Module]:
    """The packed row, the states that predict its completion tokens, and the head that reads them."""
    core = bare(model)
    head = core.get_output_embeddings()
    device = head.weight.device
    row = pack(
        prompts,
        [prompt_positions(core, prompt) for prompt in prompts],
        groups,
        pad_id=pad_id,
        reserved=reserved_tokens(core),
        device=device,
    )
    images: dict[str, Any] = {}
    if features is not None:
        images["mm_encoder_outputs"] = {"image": join_features(features)}
    else:
        images = {k: v.to(device) for k, v in join_images(prompts).items()}
    caught: list[Tensor] = []

    def catch(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if not under_way():
            return None
        caught.append(inputs[0])
        return (inputs[0][:, :1],)  # the logits are made below, a few at a time

    hook = head.register_forward_pre_hook(catch)
    try:
        with packed_attention(core.config.get_text_config(), row.spans):
            model(
                input_ids=row.input_ids,
                # Without it, positions that start again would be taken for separate sequences.
                attention_mask=torch.ones_like(row.input_ids),
                position_ids=row.position_ids,
                use_cache=False,
                logits_to_keep=row.keep,
                **row.token_fields,
                **images,
            )
    finally:
        hook.remove()
    return row, caught[0][0], head


def _token_logprobs(
    head: nn.Module, states: Float[Tensor, "M D"], targets: Int[Tensor, "M"], temperature: float
) -> Float[Tensor, "M"]:
    """Log-probabilities of the targets, with no more than `LOGITS_AT_ONCE` logits in memory."""
    rows = max(1, LOGITS_AT_ONCE // head.get_parameter("weight").shape[0])
    if len(targets) <= rows:
        return _picked(head, states, targets, temperature)
    parts = [
        checkpoint(_picked, head, some, wanted, temperature, use_reentrant=False, preserve_rng_state=False)
        for some, wanted in zip(states.split(rows), targets.split(rows), strict=True)
    ]
    return torch.cat(parts)


def _picked(
    head: nn.Module, states: Float[Tensor, "M D"], targets: Int[Tensor, "M"], temperature: float
) -> Float[Tensor, "M"]:
    logits = head(states).float()
    if temperature != 1.0:
        logits = logits / temperature
    return -F.cross_entropy(logits, targets, reduction="none")
