"""The network behind RadGraph: DyGIE++ (Wadden et al. 2019, arXiv:1909.03546) without its training half.

A span of words i..j, at most K long, is the vector g = [h_i; h_j; width(j - i)] of its first word, its last
word and its width. With feed-forward networks FFN:

    entity     label(g)     = argmax(0, W FFN(g))               0 is "no entity"
    mention    m(g)         = w FFN'(g)                         the best ceil(words x share) are kept
    relation   label(g, g') = argmax(0, W'' FFN''([g; g'; g g']) + m(g) + m(g'))

Two things are done otherwise than written, with the same result up to float rounding. The first layer of an
FFN is linear in its concatenated parts, so it is applied to each word, width or mention once and the parts
are added for each span or pair. And relations are computed only between kept mentions that are entities,
because a graph shows no others.

Nothing is padded here: words, spans, mentions and pairs of all reports of a batch stand one after another, so
a report meets no other report.

Axes: ``W`` words, ``D`` the encoder's width, ``F`` the width's, ``K`` widths of spans, ``M`` mentions, ``P``
pairs of mentions, ``L`` labels without the empty one, ``R`` reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from radflow.readers.networks.radgraph_words import Batch

PAIRS_AT_ONCE = 8_192  # their products of mentions take 50 MB for BERT-base


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the heads look like.

    Attributes:
        encoder_width: length of a word's vector.
        widths: the longest span in words.
        width_features: length of a width's vector.
        hidden: units of each hidden layer of the feed-forward networks.
        entity_labels, relation_labels: how many there are, without the empty one.
        mentions_a_word: how many mentions are kept for each word of a report.
    """

    encoder_width: int
    widths: int
    width_features: int
    hidden: tuple[int, ...]
    entity_labels: int
    relation_labels: int
    mentions_a_word: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was read in a batch, in order of reports and words.

    Attributes:
        entities: report, first word, last word (both counted in the report), label.
        relations: two positions in ``entities``, label.
    """

    entities: Int[Tensor, "E 4"]
    relations: Int[Tensor, "N 3"]


class FeedForward(nn.Module):
    """Linear layers with ReLU between and a linear scorer behind them, its first layer cut by input parts."""

    def __init__(self, parts: Sequence[int], hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        sizes = (sum(parts), *hidden)
        self.parts = tuple(parts)
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.scorer = nn.Linear(sizes[-1], outputs)

    def first(self) -> tuple[Tensor, ...]:
        """The first layer's weight for each part of the input, transposed, and its bias."""
        layer = cast(nn.Linear, self.layers[0])
        return (*(weight.T for weight in layer.weight.split(self.parts, dim=1)), layer.bias)

    def rest(self, hidden: Float[Tensor, "*rows H"]) -> Float[Tensor, "*rows outputs"]:
        """Scores from what the first layer gave, before its ReLU."""
        for layer in self.layers[1:]:
            hidden = layer(hidden.relu_())
        return self.scorer(hidden.relu_())


class SpanModel(nn.Module):
    """Words to entities and relations.

    Args:
        encoder: a transformers encoder such as ``BertModel``.
        shape: of the heads.
    """

    def __init__(self, encoder: nn.Module, shape: Shape) -> None:
        super().__init__()
        words = (shape.encoder_width, shape.encoder_width, shape.width_features)
        self.encoder = encoder
        self.width = nn.Embedding(shape.widths, shape.width_features)
        self.entity = FeedForward(words, shape.hidden, shape.entity_labels)
        self.mention = FeedForward(words, shape.hidden, 1)
        self.relation = FeedForward([sum(words)] * 3, shape.hidden, shape.relation_labels)
        self.shape = shape

    def forward(self, batch: Batch) -> Found:
        """Read a batch; call it in ``torch.inference_mode``."""
        return self.find(self.words(batch), batch.sizes)

    def words(self, batch: Batch) -> Float[Tensor, "W D"]:
        """The mean of the last hidden states of each word's pieces, in the heads' number type."""
        hidden = self.encoder(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        pieces = hidden.flatten(0, 1).to(self.width.weight.dtype)
        return nn.functional.embedding_bag(batch.pieces, pieces, batch.firsts, mode="mean")

    def find(self, words: Float[Tensor, "W D"], sizes: Int[Tensor, "R"]) -> Found:
        """Entities and relations, from the vectors of words and how many words each report has."""
        ends, inside = _spans(sizes, self.shape.widths)
        reports = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)
        score, label = self.span_scores(self.entity, words, ends).max(dim=-1)
        start, width = (inside & (score > 0)).nonzero(as_tuple=True)  # by first word, then width
        report = reports[start]
        first = start - (sizes.cumsum(0) - sizes)[report]
        entities = torch.stack([report, first, first + width, label[start, width]], dim=1)

        mention = self.span_scores(self.mention, words, ends).squeeze(-1)
        keep = torch.ceil(sizes.float() * self.shape.mentions_a_word).long()
        best = _best(mention[inside], reports[:, None].expand_as(inside)[inside], keep)
        kept = torch.zeros_like(inside).masked_scatter(inside, best)
        chosen = kept[start, width].nonzero().squeeze(1)
        start, width = start[chosen], width[chosen]
        spans = torch.cat([words[start], words[start + width], self.width(width)], dim=-1)
        relations = self._relations(spans, mention[start, width], report[chosen])
        relations[:, :2] = chosen[relations[:, :2]]
        return Found(entities=entities, relations=relations)

    def span_scores(
        self, network: FeedForward, words: Float[Tensor, "W D"], ends: Int[Tensor, "W K"]
    ) -> Float[Tensor, "W K outputs"]:
        """Scores of every span by first word and width, given its last word."""
        of_first, of_last, of_width, bias = network.first()
        hidden = (words @ of_last)[ends]
        hidden += (words @ of_first)[:, None]
        hidden += self.width.weight @ of_width + bias
        return network.rest(hidden)

    def _relations(
        self, spans: Float[Tensor, "M S"], mention: Float[Tensor, "M"], reports: Int[Tensor, "M"]
    ) -> Int[Tensor, "N 3"]:
        """Position of both mentions and label, for every pair that is related."""
        of_one, of_other, of_product, bias = self.relation.first()
        one, other = spans @ of_one + bias, spans @ of_other
        found = [reports.new_empty(0, 3)]
        sizes = reports.bincount()[reports]  # pairs that start at a mention: the mentions of its report
        ends = sizes.cumsum(0)
        first_of_report = torch.searchsorted(reports, reports)
        for at in range(0, int(sizes.sum()), PAIRS_AT_ONCE):
            pair = torch.arange(at, min(at + PAIRS_AT_ONCE, int(ends[-1])), device=spans.device)
            i = torch.searchsorted(ends, pair, right=True)
            j = first_of_report[i] + pair - (ends - sizes)[i]
            hidden = (spans[i] * spans[j]) @ of_product
            hidden += one[i]
            hidden += other[j]
            score, label = self.relation.rest(hidden).max(dim=-1)
            related = score + (mention[i] + mention[j]) > 0
            found.append(torch.stack([i, j, label], dim=1)[related])
        return torch.cat(found)


def _spans(sizes: Int[Tensor, "R"], widths: int) -> tuple[Int[Tensor, "W K"], Bool[Tensor, "W K"]]:
    """Last word of each span by first word and width, and whether it lies in the first word's report.

    >>> ends, inside = _spans(torch.tensor([2, 1]), 2)
    >>> ends.tolist(), inside.tolist()
    ([[0, 1], [1, 2], [2, 2]], [[True, True], [True, False], [True, False]])
    """
    stop = sizes.cumsum(0).repeat_interleave(sizes)
    ends = torch.arange(len(stop), device=sizes.device)[:, None] + torch.arange(widths, device=sizes.device)
    return ends.clamp(max=len(stop) - 1), ends < stop[:, None]


def _best(scores: Float[Tensor, "N"], group: Int[Tensor, "N"], keep: Int[Tensor, "R"]) -> Bool[Tensor, "N"]:
    """Mark the ``keep`` highest scores of each group; of equal ones the earlier.

    >>> _best(torch.tensor([1.0, 3, 2, 5]), torch.tensor([0, 0, 0, 1]), torch.tensor([2, 1])).tolist()
    [False, True, True, True]
    """
    order = scores.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    sizes = group.bincount(minlength=len(keep))
    rank = torch.arange(len(scores), device=scores.device) - (sizes.cumsum(0) - sizes)[group[order]]
    return torch.zeros_like(group, dtype=torch.bool).scatter(0, order, rank < keep[group[order]])
