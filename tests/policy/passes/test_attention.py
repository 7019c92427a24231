"""Attention in pieces against one dense mask over the whole row, which is what it stands for."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import LlamaConfig, MistralConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import (
    blockwise_overlay,
    causal_mask_function,
    or_masks,
    sdpa_mask,
    sliding_window_causal_mask_function,
)

from radflow.policy.passes.attention import NAME, PackedMask, SharedPrefixError, packed_attention, under_way
from radflow.policy.passes.attention import _attention as attention
from radflow.policy.passes.attention import _mask as make_mask
from radflow.policy.passes.packing import Span, lay_out

SHAPES = st.lists(
    st.tuples(st.integers(1, 9), st.lists(st.integers(1, 7), min_size=1, max_size=4)), min_size=1, max_size=3
)
LAYER = nn.Module()


def dense(spans: tuple[Span, ...], allowed: Callable[[Tensor, Tensor, Span], Tensor]) -> Tensor:
    """The (L, L) mask: own prefix or own completion, and what the model allows at logical positions."""
    length = spans[-1].stop
    mask = torch.zeros(length, length, dtype=torch.bool)
    for span in spans:
        prefix, begin = torch.arange(span.start, span.start + span.prefix), span.start + span.prefix
        for tail in span.tails:
            row = torch.cat([prefix, torch.arange(begin, begin + tail)])
            logical = torch.arange(len(row))
            mask[row[:, None], row[None]] = allowed(logical[:, None], logical[None], span)
            begin += tail
    return mask


def rows(length: int, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(length)
    return tuple(torch.randn(1, h, length, 8, dtype=torch.float64) for h in (heads, 2, 2))


def packed_mask(spans: tuple[Span, ...], config=None, **kwargs) -> PackedMask:
    length = spans[-1].stop
    sizes = {"batch_size": 1, "q_length": length, "kv_length": length}
    with packed_attention(config or LlamaConfig(attn_implementation="sdpa"), spans):
        return make_mask(**sizes, **{"mask_function": causal_mask_function, **kwargs})


def compare(spans: tuple[Span, ...], mask: PackedMask, whole: Tensor, heads: int = 4) -> None:
    query, key, value = rows(spans[-1].stop, heads)
    ours, _ = attention(LAYER, query, key, value, mask, scaling=0.3)
    theirs = F.scaled_dot_product_attention(query, key, value, attn_mask=whole, scale=0.3, enable_gqa=True)
    assert torch.allclose(ours, theirs.transpose(1, 2), atol=1e-10)


@settings(max_examples=40)
@given(SHAPES, st.sampled_from([2, 4]))
def test_causal(shapes, heads: int) -> None:
    spans = lay_out([p for p, _ in shapes], [own for _, own in shapes])
    mask = packed_mask(spans)
    assert mask.masks is None
    compare(spans, mask, dense(spans, lambda q, k, _: k <= q), heads)


@settings(max_examples=40)
@given(SHAPES, st.integers(1, 12))
def test_sliding_window(shapes, window: int) -> None:
    spans = lay_out([p for p, _ in shapes], [own for _, own in shapes])
    mask = packed_mask(spans, mask_function=sliding_window_causal_mask_function(window), local_size=window)
    assert (mask.masks is None) == (max(span.depth for span in spans) <= window)
    compare(spans, mask, dense(spans, lambda q, k, _: (k <= q) & (k > q - window)))


@settings(max_examples=40)
@given(SHAPES, st.data())
def test_two_way_attention_within_an_image(shapes, data) -> None:
    """Gemma3 looks up by index in the row which image a token belongs to."""
    spans = lay_out([p for p, _ in shapes], [own for _, own in shapes])
    images = torch.full((1, spans[-1].stop), -1)
    for number, span in enumerate(spans):
        first = data.draw(st.integers(0, span.prefix - 1))
        images[0, span.start + first : span.start + data.draw(st.integers(first, span.prefix))] = number
    own = or_masks(causal_mask_function, blockwise_overlay(images))
    mask = packed_mask(spans, mask_function=own, allow_is_causal_skip=False)

    def allowed(q: Tensor, k: Tensor, span: Span) -> Tensor:
        length = len(q)
        kind = torch.full((length,), -1)
        kind[: span.prefix] = images[0, span.start : span.start + span.prefix]
        return (k <= q) | ((kind[q] == kind[k]) & (kind[q] >= 0))

    compare(spans, mask, dense(spans, allowed))


def test_no_mask_is_as_large_as_the_row() -> None:
    spans = lay_out([9, 8], [[5, 5, 5, 5], [4, 4]])
    mask = packed_mask(spans, mask_function=sliding_window_causal_mask_function(3), local_size=3)
    assert mask.masks is not None
    assert [tuple(m.prefix.shape[2:]) for m in mask.masks] == [(9, 9), (8, 8)]
    assert [tuple(m.completion.shape[2:]) for m in mask.masks] == [(4, 13), (3, 11)]


def test_without_a_packed_row_it_is_sdpa() -> None:
    assert not under_way()
    padding = torch.tensor([[True, True, True, False]])
    sizes = {"batch_size": 1, "q_length": 4, "kv_length": 4}
    ours = make_mask(**sizes, mask_function=causal_mask_function, attention_mask=padding)
    assert torch.equal(ours, sdpa_mask(**sizes, attention_mask=padding))
    query, key, value = rows(4, 2)
    got, _ = attention(LAYER, query, key, value, ours, scaling=0.3)
    assert torch.equal(got, sdpa_attention_forward(LAYER, query, key, value, ours, scaling=0.3)[0])


def test_the_name_is_set_once_and_never_saved(tmp_path) -> None:
    config = MistralConfig(attn_implementation="sdpa")
    for _ in range(2):
        with packed_attention(config, lay_out([3], [[2]])):
            assert under_way()
        assert config._attn_implementation == NAME
    config.save_pretrained(tmp_path)
    assert NAME not in json.dumps(json.loads((tmp_path / "config.json").read_text()))


@pytest.mark.parametrize("name", ["eager", "flash_attention_2"])
def test_other_ways_to_attend_are_refused(name: str) -> None:
    config = LlamaConfig()
    config._attn_implementation = name
    spans = lay_out([3], [[2]])
    with pytest.raises(SharedPrefixError, match=f"sdpa, got '{name}'"), packed_attention(config, spans):
        pass
    assert config._attn_implementation == name
    assert not under_way()


@pytest.mark.parametrize("extra", [{"softcap": 30.0}, {"s_aux": torch.ones(4)}, {"is_causal": False}])
def test_what_it_does_not_know_is_refused(extra) -> None:
    spans = lay_out([3], [[2]])
    mask = packed_mask(spans)
    with pytest.raises(SharedPrefixError, match=next(iter(extra))):
        attention(LAYER, *rows(4, 4), mask, scaling=0.3, **extra)


def test_a_row_of_another_length_is_refused() -> None:
    config, spans = LlamaConfig(attn_implementation="sdpa"), lay_out([3], [[2]])
    with (
        packed_attention(config, spans),
        pytest.raises(SharedPrefixError, match="a row of 4 tokens, got 5 by 5"),
    ):
        make_mask(batch_size=1, q_length=5, kv_length=5, mask_function=causal_mask_function)
