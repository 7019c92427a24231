"""Log-probabilities of given completions: the plain forward, one padded row per completion.

Axes: ``N`` completions, ``T`` tokens of the longest completion, ``V`` vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from radflow.policy.families import reserved_tokens
from radflow.policy.passes.packing import readable
from radflow.policy.prompts import EncodedPrompt, collate


def completion_logprobs(
    model: nn.Module,
    prompts: Sequence[EncodedPrompt],
    completions: Sequence[Sequence[int]],
    *,
    pad_id: int,
    temperature: float = 1.0,
) -> tuple[Float[Tensor, "N T"], Bool[Tensor, "N T"]]:
    """Log-probability of every completion token given its prompt and what stands before it.

    Args:
        model: called as a module, so that data-parallel wrappers see the pass.
        prompts: one per completion; the same object may stand several times.
        completions: token ids, ragged, each at least one token long.
        pad_id: fills the rows, and is what the model reads in place of a reserved token in a completion.
        temperature: the logits are divided by it, as they were in sampling.

    Returns:
        Log-probabilities in nats, 0 where the mask is false; and the mask, true on completion tokens.

    Raises:
        ValueError: a completion is empty.
    """
    logits, mask = completion_logits(model, prompts, completions, pad_id=pad_id, temperature=temperature)
    targets = pad_sequence([torch.tensor(c) for c in completions], batch_first=True).to(logits.device)
    logprobs = logits.log_softmax(-1).gather(-1, targets[..., None]).squeeze(-1)
    return logprobs.masked_fill(~mask, 0.0), mask


def completion_logits(
    model: nn.Module,
    prompts: Sequence[EncodedPrompt],
    completions: Sequence[Sequence[int]],
    *,
    pad_id: int,
    temperature: float = 1.0,
) -> tuple[Float[Tensor, "N T V"], Bool[Tensor, "N T"]]:
    """Logits, divided by the temperature, from which every completion token was drawn; and the mask.

    Arguments are those of `completion_logprobs`.
    """
    if not all(completions):
        raise ValueError("expected every completion to have at least one token")
    device = next(model.parameters()).device
    reserved = reserved_tokens(model)
    read = [readable(tokens, pad_id, reserved) for tokens in completions]
    batch = collate(prompts, read, pad_id=pad_id, device=device)
    length = batch["input_ids"].shape[1]
    starts = torch.tensor([len(p.input_ids) for p in prompts], device=device)
    keep = length - int(starts.min()) + 1
    logits = model(**batch, use_cache=False, logits_to_keep=keep).logits

    sizes = torch.tensor([len(c) for c in completions], device=device)
    steps = torch.arange(int(sizes.max()), device=device)
    mask = steps < sizes[:, None]
    # The logits at position t predict token t + 1; the kept ones begin at `length - keep`.
    positions = (starts[:, None] + steps).clamp(max=length - 1)
    rows = torch.arange(len(completions), device=device)[:, None]
    return logits[rows, positions - 1 - (length - keep)].float() / temperature, mask
