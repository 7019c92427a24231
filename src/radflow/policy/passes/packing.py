"""Several groups in one row without padding: each prefix once, then its completions.

    [prefix_1 | o_11 .. o_1G | prefix_2 | o_21 .. o_2G | ...]

Every completion goes on from its own prefix: its positions start where the prefix ended, and attention
(`radflow.policy.passes.attention`) shows it the prefix and itself. The last token of a completion is only
ever predicted, so it is not in the row.

Axes: ``L`` tokens of the row, ``N`` completions, ``T`` tokens of the longest, ``M`` predicted tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from radflow.policy.prompts import EncodedPrompt


@dataclass(frozen=True, kw_only=True)
class Span:
    """Where one group stands in the row.

    Attributes:
        start: first token of its prefix.
        prefix: tokens of the prefix.
        tails: tokens of each completion that are in the row, which is all but the last; may be 0.
    """

    start: int
    prefix: int
    tails: tuple[int, ...]

    @property
    def stop(self) -> int:
        """One past its last token."""
        return self.start + self.prefix + sum(self.tails)

    @property
    def depth(self) -> int:
        """Tokens of the prefix and the longest tail: the longest sequence that attention sees."""
        return self.prefix + max(self.tails)


@dataclass(frozen=True, kw_only=True)
class PackedRow:
    """The row, and where to read the predictions.

    Attributes:
        input_ids: tokens.
        position_ids: rotary positions, ``(1, L)``, or ``(3, 1, L)`` where they have three axes.
        token_fields: other inputs with one entry per token; 0 on completions, which are text.
        spans: where the groups are.
        keep: the token of the row whose state predicts each completion token, completion after completion.
            The end of a prefix stands there once for each of its completions.
        targets: the predicted tokens.
        mask: true on completion tokens; row-major, its true entries are ``keep`` and ``targets``.
    """

    input_ids: Int[Tensor, "1 L"]
    position_ids: Int[Tensor, "*axes L"]
    token_fields: dict[str, Int[Tensor, "1 L"]]
    spans: tuple[Span, ...]
    keep: Int[Tensor, "M"]
    targets: Int[Tensor, "M"]
    mask: Bool[Tensor, "N T"]


def lay_out(prefixes: Sequence[int], groups: Sequence[Sequence[int]]) -> tuple[Span, ...]:
    """Place groups one after another, given the lengths of their prefixes and completions.

    >>> [(s.start, s.tails, s.stop) for s in lay_out([5, 3], [[4, 1], [2]])]
    [(0, (3, 0), 8), (8, (1,), 12)]
    """
    spans, start = [], 0
    for prefix, lengths in zip(prefixes, groups, strict=True):
        if not lengths or min(lengths) < 1:
            raise ValueError("expected every group to have completions of at least one token")
        spans.append(Span(start=start, prefix=prefix, tails=tuple(n - 1 for n in lengths)))
        start = spans[-1].stop
    return tuple(spans)


def predicting_states(spans: Sequence[Span]) -> list[int]:
    """The token of the row whose state predicts each completion token, completion after completion.

    >>> predicting_states(lay_out([5, 3], [[4, 1], [2]]))
    [4, 5, 6, 7, 4, 10, 11]
    """
    states: list[int] = []
    for span in spans:
        begin = span.start + span.prefix
        for tail in span.tails:
            states += [span.start + span.prefix - 1, *range(begin, begin + tail)]
            begin += tail
    return states


def pack(
    prompts: Sequence[EncodedPrompt],
    positions: Sequence[Int[Tensor, "*axes _"]],
    groups: Sequence[Sequence[Sequence[int]]],
    *,
    pad_id: int,
    reserved: Collection[int] = (),
    device: torch.device | str = "cpu",
) -> PackedRow:
    """Pack groups into one row.

    Args:
        prompts: one per group.
        positions: rotary positions of each prompt, ``(T,)`` or ``(3, T)``.
        groups: token ids of the completions, ragged, each at least one token long.
        pad_id: what a model reads in place of a reserved token.
        reserved: ids that a model would take for a picture.
        device: where to put the row.

    Raises:
        ValueError: a group or a completion is empty.
    """
    spans = lay_out([len(p.input_ids) for p in prompts], [[len(c) for c in g] for g in groups])
    tails = [[torch.tensor(readable(c[:-1], pad_id, reserved), dtype=torch.long) for c in g] for g in groups]
    ids = [piece for p, texts in zip(prompts, tails, strict=True) for piece in (p.input_ids, *texts)]
    places = [
        piece
        for own, texts in zip(positions, tails, strict=True)
        for piece in (own, *(_continued(own, len(text)) for text in texts))
    ]
    fields = {
        name: torch.cat(
            [
                piece
                for p, span in zip(prompts, spans, strict=True)
                for piece in (p.token_fields[name], p.token_fields[name].new_zeros(sum(span.tails)))
            ]
        )
        for name in prompts[0].token_fields
    }
    lengths = torch.tensor([len(c) for g in groups for c in g])
    targets = torch.tensor([token for g in groups for c in g for token in c])
    return PackedRow(
        input_ids=torch.cat(ids)[None].to(device),
        position_ids=torch.cat(places, -1).unsqueeze(-2).to(device),
        token_fields={name: field[None].to(device) for name, field in fields.items()},
        spans=spans,
        keep=torch.tensor(predicting_states(spans)).to(device),
        targets=targets.to(device),
        mask=(torch.arange(int(lengths.max())) < lengths[:, None]).to(device),
    )


def readable(tokens: Sequence[int], pad_id: int, reserved: Collection[int]) -> list[int]:
    """The tokens as a model may read them: the padding token in place of a reserved one.

    >>> readable([5, 90, 6], 0, (90, 91))
    [5, 0, 6]
    """
    return [pad_id if token in reserved else token for token in tokens]


def _continued(positions: Int[Tensor, "*axes T"], length: int) -> Int[Tensor, "*axes R"]:
    after = positions.max() + 1 + torch.arange(length, dtype=positions.dtype)
    return after.expand(*positions.shape[:-1], length)
