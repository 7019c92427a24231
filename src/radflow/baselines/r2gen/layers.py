"""The layers of R2Gen: relational memory, norms conditioned on it, and a Transformer with norms first.

Source: Chen, Song, Chang, Wan: Generating Radiology Reports via Memory-driven Transformer, EMNLP 2020
(arXiv:2010.16056), sections 2.2 and 2.3, and the authors' code (zhjohnchan/R2Gen, modules/encoder_decoder.py)
where the text leaves something open. Theirs computes all tokens anew for each; here keys, values and the
memory of earlier tokens are kept.

Axes: ``N`` rows, ``T`` tokens, ``K`` keys, ``D`` width, ``R`` slots of the memory.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache
from transformers.modeling_layers import GradientCheckpointingLayer

_EPSILON = 1e-6


class MemoryCache(DynamicCache):
    """Keys and values of the decoder's layers, and the memory after the last token.

    Attributes:
        memory: ``(N, R, D)``; ``None`` before the first token.
    """

    memory: Float[Tensor, "N R D"] | None = None

    def reorder_cache(self, beam_idx: Int[Tensor, "N"]) -> None:
        """Keep these rows, in this order: what beam search asks for."""
        super().reorder_cache(beam_idx)  # ty: ignore[invalid-argument-type]
        if self.memory is not None:
            self.memory = self.memory.index_select(0, beam_idx)


def sinusoids(positions: Int[Tensor, "N T"], width: int) -> Float[Tensor, "N T D"]:
    """Vaswani's encoding of positions."""
    rates = torch.exp(torch.arange(0, width, 2, device=positions.device) * (-math.log(10_000.0) / width))
    angles = positions[..., None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)[..., :width]


class Norm(nn.Module):
    """Layer norm with the sample deviation, to which epsilon is added: not that of torch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, x: Float[Tensor, "N T D"]) -> Float[Tensor, "N T D"]:
        """Normalised along the width."""
        return self.gamma * standardised(x) + self.beta


class MemoryNorm(nn.Module):
    """Memory-driven conditional layer normalisation (MCLN, Eq. 9 to 13).

    The memory of a token shifts scale and offset: ``gamma + MLP(m)``, ``beta + MLP(m)``.

    Args:
        width: D.
        slots: R.
    """

    def __init__(self, width: int, slots: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width))
        self.mlp_gamma, self.mlp_beta = (
            nn.Sequential(nn.Linear(slots * width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in range(2)
        )

    def forward(self, x: Float[Tensor, "N T D"], memory: Float[Tensor, "N T RD"]) -> Float[Tensor, "N T D"]:
        """Normalised along the width, each token by its memory."""
        scale, offset = self.gamma + self.mlp_gamma(memory), self.beta + self.mlp_beta(memory)
        return scale * standardised(x) + offset


def standardised(x: Float[Tensor, "N T D"]) -> Float[Tensor, "N T D"]:
    """Less its mean, by its sample deviation."""
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + _EPSILON)


class Attention(nn.Module):
    """Scaled dot-product attention with several heads."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def split(self, x: Float[Tensor, "N K D"]) -> tuple[Tensor, Tensor]:
        """Keys and values of some states, ``(N, heads, K, D / heads)`` each."""
        return self._heads(self.key(x)), self._heads(self.value(x))

    def forward(
        self,
        x: Float[Tensor, "N T D"],
        keys: Float[Tensor, "N H K d"],
        values: Float[Tensor, "N H K d"],
        mask: Bool[Tensor, "N 1 _ K"] | None = None,
    ) -> Float[Tensor, "N T D"]:
        """What each state gathers; ``mask`` is true where it may look."""
        dropout = self.dropout if self.training else 0.0
        found = F.scaled_dot_product_attention(
            self._heads(self.query(x)), keys, values, attn_mask=mask, dropout_p=dropout
        )
        return self.output(found.transpose(1, 2).flatten(2))

    def _heads(self, x: Float[Tensor, "N K D"]) -> Float[Tensor, "N H K d"]:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class RelationalMemory(nn.Module):
    """A memory that each token of the report changes (Eq. 4 to 8).

    The slots attend to themselves and to the token; a residual, a perceptron, and gates of input and of
    forgetting decide what of it becomes the next memory.

    Args:
        width: D.
        slots: R.
        heads: of its attention.
    """

    def __init__(self, width: int, slots: int, heads: int) -> None:
        super().__init__()
        self.slots = slots
        self.attention = Attention(width, heads, dropout=0.1)  # the authors' own rate, not the model's
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.of_token = nn.Linear(width, 2 * width)
        self.of_memory = nn.Linear(width, 2 * width)

    def start(self, words: Float[Tensor, "N T D"]) -> Float[Tensor, "N R D"]:
        """The memory before the first token: slot i is the i-th unit vector."""
        eye = torch.eye(self.slots, words.shape[2], dtype=words.dtype, device=words.device)
        return eye.expand(len(words), -1, -1)

    def step(self, word: Float[Tensor, "N D"], memory: Float[Tensor, "N R D"]) -> Float[Tensor, "N R D"]:
        """The memory after one more token."""
        token = word[:, None]
        found = memory + self.attention(memory, *self.attention.split(torch.cat([memory, token], dim=1)))
        found = found + self.mlp(found)
        entering, kept = (self.of_token(token) + self.of_memory(memory.tanh())).sigmoid().chunk(2, dim=2)
        return entering * found.tanh() + kept * memory

    def forward(
        self,
        words: Float[Tensor, "N T D"],
        memory: Float[Tensor, "N R D"],
        mask: Bool[Tensor, "N T"],
    ) -> tuple[Float[Tensor, "N T RD"], Float[Tensor, "N R D"]]:
        """The memory of every token, slots side by side, and the last one; padding changes nothing."""
        found = []
        for place in range(words.shape[1]):
            memory = torch.where(mask[:, place, None, None], self.step(words[:, place], memory), memory)
            found.append(memory.flatten(1))
        return torch.stack(found, dim=1), memory


def feed_forward(width: int, inner: int, dropout: float) -> nn.Sequential:
    """Two linear layers with a ReLU between them."""
    return nn.Sequential(nn.Linear(width, inner), nn.ReLU(), nn.Dropout(dropout), nn.Linear(inner, width))


class EncoderLayer(GradientCheckpointingLayer):
    """Self-attention and a feed-forward network, each with a norm before it and a residual round it."""

    def __init__(self, width: int, inner: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.forwards = feed_forward(width, inner, dropout)
        self.norms = nn.ModuleList(Norm(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "N M D"], mask: Bool[Tensor, "N 1 1 M"]) -> Float[Tensor, "N M D"]:
        """States of pictures that have seen each other."""
        seen = self.norms[0](x)
        x = x + self.dropout(self.attention(seen, *self.attention.split(seen), mask))
        return x + self.dropout(self.forwards(self.norms[1](x)))


class DecoderLayer(GradientCheckpointingLayer):
    """Self-attention, attention to the pictures and a feed-forward network, with norms of the memory."""

    def __init__(self, width: int, inner: int, heads: int, slots: int, dropout: float, number: int) -> None:
        super().__init__()
        self.number = number
        self.attention, self.sight = (Attention(width, heads, dropout) for _ in range(2))
        self.forwards = feed_forward(width, inner, dropout)
        self.norms = nn.ModuleList(MemoryNorm(width, slots) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "N T D"],
        memory: Float[Tensor, "N T RD"],
        states: Float[Tensor, "N M D"],
        mask: Bool[Tensor, "N 1 T K"],
        sight: Bool[Tensor, "N 1 1 M"],
        cache: MemoryCache | None = None,
    ) -> Float[Tensor, "N T D"]:
        """States of tokens that have seen those before them, and the pictures."""
        own = self.norms[0](x, memory)
        keys, values = self.attention.split(own)
        if cache is not None:
            keys, values = cache.update(keys, values, self.number)
        x = x + self.dropout(self.attention(own, keys, values, mask))
        asked = self.norms[1](x, memory)
        x = x + self.dropout(self.sight(asked, *self.sight.split(states), sight))
        return x + self.dropout(self.forwards(self.norms[2](x, memory)))
