from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.policy.passes.packing import PackedRow, Span, pack
from radflow.policy.prompts import EncodedPrompt

TOKENS = st.lists(st.integers(1, 60), min_size=1, max_size=6)
GROUPS = st.lists(st.tuples(TOKENS, st.lists(TOKENS, min_size=1, max_size=4)), min_size=1, max_size=3)


def packed(groups, axes: int = 1) -> tuple[PackedRow, list[torch.Tensor]]:
    """Groups of (prefix, completions) in one row, with positions that do not simply count."""
    prompts = [
        EncodedPrompt(
            input_ids=torch.tensor(prefix),
            token_fields={"kind": torch.ones(len(prefix), dtype=torch.long)},
            image_fields={},
        )
        for prefix, _ in groups
    ]
    places = [torch.arange(len(prefix)) * 2 % 5 for prefix, _ in groups]
    places = [p if axes == 1 else torch.stack([p, p * 0, p + 1]) for p in places]
    return pack(prompts, places, [own for _, own in groups], pad_id=0, reserved=(7,)), places


def members(spans: tuple[Span, ...]) -> list[tuple[slice, slice]]:
    """Of each completion in turn: where its prefix stands, and where its tail does."""
    found = []
    for span in spans:
        begin = span.start + span.prefix
        for tail in span.tails:
            found.append((slice(span.start, span.start + span.prefix), slice(begin, begin + tail)))
            begin += tail
    return found


@settings(max_examples=40)
@given(GROUPS)
def test_every_completion_can_be_read_back(groups) -> None:
    row, _ = packed(groups)
    wanted = [(prefix, tokens) for prefix, own in groups for tokens in own]
    targets, states = list(row.targets.split(row.mask.sum(1).tolist())), row.keep.tolist()
    for (prefix, tail), (start, tokens), target in zip(members(row.spans), wanted, targets, strict=True):
        assert row.input_ids[0, prefix].tolist() == start
        assert row.input_ids[0, tail].tolist() == [0 if t == 7 else t for t in tokens[:-1]]
        assert target.tolist() == tokens
        read = [states.pop(0) for _ in tokens]
        assert read == [prefix.stop - 1, *range(tail.start, tail.stop)]


@settings(max_examples=40)
@given(GROUPS)
def test_nothing_is_padding(groups) -> None:
    row, _ = packed(groups)
    needed = sum(len(prefix) + sum(len(tokens) - 1 for tokens in own) for prefix, own in groups)
    assert row.input_ids.shape == (1, needed)
    assert row.token_fields["kind"].sum() == sum(len(prefix) for prefix, _ in groups)


@settings(max_examples=40)
@given(GROUPS, st.sampled_from([1, 3]))
def test_positions_go_on_where_their_own_prefix_ended(groups, axes: int) -> None:
    row, places = packed(groups, axes)
    positions = row.position_ids.reshape(axes, -1)
    owners = [place for place, (_, own) in zip(places, groups, strict=True) for _ in own]
    for (prefix, tail), place in zip(members(row.spans), owners, strict=True):
        assert torch.equal(positions[:, prefix], place.reshape(axes, -1))
        length = tail.stop - tail.start
        assert torch.equal(positions[:, tail], (place.max() + 1 + torch.arange(length)).expand(axes, -1))


@pytest.mark.parametrize("groups", [[([5, 6], [])], [([5, 6], [[5], []])]])
def test_an_empty_group_or_completion_is_refused(groups) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        packed(groups)
