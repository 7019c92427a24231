"""Attention over a packed row: prefixes and completions separately, without a row-by-row mask.

Two functions are registered with transformers under one name. Where no packed row is under way both do what
``sdpa`` does, so the name is set once on the language model's configuration and stays; a saved configuration
does not carry it.

    mask function        called once per forward (twice if layers differ); hands on the row's layout, and
                         compact masks where the model's own mask is not plainly causal
    attention function   called by every layer; gets that object as its mask

The layout reaches the mask function through a context variable. From there on it travels as an input of the
layers, so gradient checkpointing finds it again when it recomputes a layer long after the forward.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from radflow.errors import TrainingError
from radflow.policy.passes.packing import Span

NAME = "radflow_shared_prefix"
"""What the language model's ``_attn_implementation`` is called."""

HARMLESS = frozenset({"is_causal", "position_ids", "sliding_window", "use_cache"})
"""Arguments of a layer that are already in the layout or the masks."""


class SharedPrefixError(TrainingError):
    """The model's attention does something that the packed row does not do."""


@dataclass(frozen=True, kw_only=True)
class GroupMasks:
    """Which keys a group's queries see; true where they do.

    Attributes:
        prefix: prefix by prefix.
        completion: ``R`` tokens of a completion by the prefix and the completion itself.
    """

    prefix: Bool[Tensor, "1 1 Q Q"]
    completion: Bool[Tensor, "1 1 R K"]


@dataclass(frozen=True, kw_only=True)
class PackedMask:
    """What the layers get as their mask: the layout, and masks where it is not plainly causal."""

    spans: tuple[Span, ...]
    masks: tuple[GroupMasks, ...] | None


_layout: ContextVar[tuple[Span, ...] | None] = ContextVar("radflow_packed_layout", default=None)


@contextmanager
def packed_attention(text_config: Any, spans: tuple[Span, ...]) -> Generator[None]:
    """Within the block, a forward of the model reads its row by this layout.

    Args:
        text_config: of the language model.
        spans: the layout of the row.

    Raises:
        SharedPrefixError: the language model attends by something else than ``sdpa``.
    """
    if text_config._attn_implementation != NAME:
        if text_config._attn_implementation != "sdpa":
            raise SharedPrefixError(
                f"expected a language model that attends by sdpa, got {text_config._attn_implementation!r}; "
                "load it with attn_implementation='sdpa' to share prefixes"
            )
        text_config._attn_implementation = NAME
    token = _layout.set(spans)
    try:
        yield
    finally:
        _layout.reset(token)


def under_way() -> bool:
    """Whether a packed row is being computed in this context."""
    return _layout.get() is not None


def _mask(
    *,
    q_length: int,
    kv_length: int,
    mask_function: Callable[..., Tensor],
    allow_is_causal_skip: bool = True,
    local_size: int | None = None,
    device: torch.device | str = "cpu",
    **others: Any,
) -> Tensor | PackedMask | None:
    """The registered mask function; arguments are those of transformers' ``sdpa_mask``."""
    spans = _layout.get()
    if spans is None:
        return sdpa_mask(
            q_length=q_length,
            kv_length=kv_length,
            mask_function=mask_function,
            allow_is_causal_skip=allow_is_causal_skip,
            local_size=local_size,
            device=device,
            **others,
        )
    if not q_length == kv_length == spans[-1].stop:
        raise SharedPrefixError(f"expected a row of {spans[-1].stop} tokens, got {q_length} by {kv_length}")
    deepest = max(span.depth for span in spans)
    if allow_is_causal_skip and (local_size is None or deepest <= local_size):
        return PackedMask(spans=spans, masks=None)
    return PackedMask(spans=spans, masks=tuple(_compact(mask_function, span, device) for span in spans))


def _compact(mask_function: Callable[..., Tensor], span: Span, device: torch.device | str) -> GroupMasks:
    """The model's own mask for one group, as if its prefix and one completion stood alone in the row.

    The indices begin at the group's place in the row: differences, which windows look at, do not notice,
    and token types, which Gemma3 looks up by index, are those of the group's own prefix. Past the prefix
    they find some completion of the group, and all of these are text.
    """
    index = torch.arange(span.start, span.start + span.depth, device=device)
    zero = index.new_zeros(1, 1, 1, 1)

    def evaluated(queries: Tensor, keys: Tensor) -> Tensor:
        seen = mask_function(zero, zero, queries[None, None, :, None], keys[None, None, None, :])
        return seen.expand(1, 1, len(queries), len(keys))

    prefix, rest = index[: span.prefix], index[span.prefix :]
    return GroupMasks(prefix=evaluated(prefix, prefix), completion=evaluated(rest, index))


def _attention(
    module: nn.Module,
    query: Float[Tensor, "B H L D"],
    key: Float[Tensor, "B C S D"],
    value: Float[Tensor, "B C S E"],
    attention_mask: Any,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """The registered attention function; arguments are those of transformers' ``sdpa_attention_forward``."""
    if not isinstance(attention_mask, PackedMask):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
    _refuse_what_is_unknown(module, others)
    spans = attention_mask.spans
    sizes = [size for span in spans for size in (span.prefix, *span.tails)]
    # One split of the whole row: slices of it would each be a row of zeros in the backward pass.
    pieces = zip(*(x.split(sizes, 2) for x in (query, key, value)), strict=True)
    masks = attention_mask.masks or (None,) * len(spans)
    outputs: list[Tensor] = []
    for span, mask in zip(spans, masks, strict=True):
        own = list(islice(pieces, 1 + len(span.tails)))
        outputs += _attend_group(own, mask, dropout=dropout, scale=scaling)
    return torch.cat(outputs, 1), None


def _refuse_what_is_unknown(module: nn.Module, others: Mapping[str, Any]) -> None:
    """Soft caps, sinks, position biases and whatever comes next are not in the packed row."""
    strange = [k for k, v in others.items() if k not in HARMLESS and v is not None and v is not False]
    causal = others.get("is_causal")
    if not (getattr(module, "is_causal", True) if causal is None else causal):
        strange.append("is_causal=False")
    if strange:
        raise SharedPrefixError(
            f"{type(module).__name__}: its attention wants {', '.join(sorted(strange))}, "
            "which a shared prefix does not do"
        )


def _attend_group(
    pieces: Sequence[tuple[Tensor, Tensor, Tensor]], masks: GroupMasks | None, **how: Any
) -> list[Tensor]:
    """Attention of one group.

    Args:
        pieces: query, key and value, ``(1, H, tokens, D)``, of the prefix and of each completion.
        masks: where it is not plainly causal.
        how: dropout and scale.

    Returns:
        Outputs ``(1, tokens, H, D)`` of the prefix and of each completion.
    """
    (query, key, value), *tails = pieces
    before, lengths = query.shape[2], [q.shape[2] for q, _, _ in tails]
    seen: dict[str, Any] = {"is_causal": True} if masks is None else {"attn_mask": masks.prefix}
    outputs = [_sdpa(query, key, value, **seen, **how).transpose(1, 2)]
    longest = max(lengths)
    if longest == 0:
        return [*outputs, *(outputs[0][:, :0] for _ in tails)]
    queries, keys, values = (_rows(column, longest) for column in zip(*tails, strict=True))
    mask = _lower_right(longest, before, query.device) if masks is None else masks.completion
    answers = _sdpa(
        queries,
        torch.cat([key.expand(len(tails), -1, -1, -1), keys], 2),
        torch.cat([value.expand(len(tails), -1, -1, -1), values], 2),
        attn_mask=mask,
        **how,
    )
    rows = answers.transpose(1, 2).split(1)
    return outputs + [row if n == longest else row[:, :n] for row, n in zip(rows, lengths, strict=True)]


def _rows(pieces: Sequence[Tensor], longest: int) -> Tensor:
    """Stack ``(1, H, tokens, D)`` pieces, padding at the end; causality keeps what is padded out of sight."""
    padded = [p if p.shape[2] == longest else F.pad(p, (0, 0, 0, longest - p.shape[2])) for p in pieces]
    return torch.cat(padded)


def _lower_right(queries: int, before: int, device: torch.device) -> Any:
    """The causal mask whose last query sees the last key; on a GPU a form that the flash kernels know."""
    if device.type == "cuda":
        return causal_lower_right(queries, before + queries)
    return torch.ones(queries, before + queries, dtype=torch.bool, device=device).tril(before)


def _sdpa(query: Tensor, key: Tensor, value: Tensor, *, dropout: float, **how: Any) -> Tensor:
    repeats = query.shape[1] // key.shape[1]
    grouped = query.device.type == "cpu" or (
        query.dtype != torch.float32 and type(how.get("attn_mask")) is not Tensor
    )
    if repeats > 1 and not grouped:  # no quick kernel on a GPU takes fewer heads with these
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    return F.scaled_dot_product_attention(
        query, key, value, dropout_p=dropout, enable_gqa=repeats > 1 and grouped, **how
    )


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, _mask)
