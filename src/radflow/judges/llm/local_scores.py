"""How probable a causal language model finds each of two answers to each of many prompts.

Prompts are padded on the left, as in generation, and read once; their keys and values are then doubled, and
the two answers are read token by token behind them. Masks and positions are given, so in float32 a prompt
scores the same alone and in any batch up to rounding (below 1e-5).

Axes: ``N`` prompts, ``T`` tokens of the longest prompt.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from radflow.readers.networks.inference import pad

_ANY = 0  # fills rows; never attended to, so any token will do


@torch.inference_mode()
def answer_logprobs(
    model: Any, prompts: Sequence[Sequence[int]], answers: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> Float[Tensor, "N 2"]:
    """Log-probability of each of two answers as the continuation of each prompt, in nats.

    Args:
        model: a transformers model that keeps a cache of keys and values.
        prompts: token ids, ragged, each at least one token long.
        answers: for each prompt the token ids of both, each at least one token long.

    Returns:
        the sum over all tokens of an answer, in float32 on the CPU; exactly 0 for no answer.
    """
    targets, scored = pad([answer for pair in answers for answer in pair], _ANY, model.device)
    ids, mask = _pad_left(prompts, model.device)
    output = _read(model, ids, mask, None)
    twice = torch.arange(len(prompts), device=model.device).repeat_interleave(2)
    cache = output.past_key_values
    cache.reorder_cache(twice)
    mask, logits = mask[twice], output.logits[twice, -1]
    total = torch.zeros(len(twice), device=model.device)
    for step in range(targets.shape[1]):
        token = targets[:, step : step + 1]
        logprob = logits.float().log_softmax(-1).gather(-1, token).squeeze(-1)
        total = torch.where(scored[:, step] == 1, total + logprob, total)
        if step + 1 < targets.shape[1]:
            mask = torch.cat([mask, torch.ones_like(token)], dim=1)
            logits = _read(model, token, mask, cache).logits[:, -1]
    return total.view(len(prompts), 2).cpu()


def _read(model: Any, ids: Int[Tensor, "N t"], mask: Int[Tensor, "N T"], cache: Any) -> Any:
    """One forward over the last ``t`` of ``T`` tokens; logits of the last one."""
    inputs = {
        "input_ids": ids,
        "attention_mask": mask,
        "past_key_values": cache,
        "use_cache": True,
        "logits_to_keep": 1,
    }
    if "position_ids" in inspect.signature(model.forward).parameters:  # ALiBi takes them from the mask
        inputs["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    return model(**inputs)


def _pad_left(
    rows: Sequence[Sequence[int]], device: torch.device
) -> tuple[Int[Tensor, "N T"], Int[Tensor, "N T"]]:
    """Token ids to a rectangle with all ends at the right, and its mask."""
    ids, mask = pad([row[::-1] for row in rows], _ANY, device)
    return ids.flip(-1), mask.flip(-1)
