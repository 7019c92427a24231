"""A key-value cache for decoding: filled once per prompt, copied to G rows, written in place from then on.

The cache of transformers is concatenated anew for every token and every layer. This one is allocated once for
the tokens that may come; a token costs one write, and what attention reads is a view.

Axes: ``N`` rows, ``R`` rows kept, ``T`` new tokens, ``H`` key-value heads, ``L`` visible tokens, ``M``
room in tokens, ``D`` width of a head.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer


class PreallocatedLayer(DynamicLayer):
    """Keys and values of one layer.

    A sliding layer keeps all of them too, and shows attention the window: completions are short beside what a
    window spares.

    Args:
        window: tokens a query sees, itself included; ``None`` for all.
    """

    def __init__(self, window: int | None = None) -> None:
        super().__init__()
        self.is_sliding = window is not None
        self._window = window
        self._length = 0

    def update(
        self,
        key_states: Float[Tensor, "N H T D"],
        value_states: Float[Tensor, "N H T D"],
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Float[Tensor, "N H L D"], Float[Tensor, "N H L D"]]:
        """Append keys and values, and return those that the new tokens may see."""
        first = self._first_visible()
        start, self._length = self._length, self._length + key_states.shape[-2]
        if self.keys is None or self.values is None:
            self.keys, self.values, self.is_initialized = key_states, value_states, True
        else:
            self.keys[:, :, start : self._length] = key_states
            self.values[:, :, start : self._length] = value_states
        return self.keys[:, :, first : self._length], self.values[:, :, first : self._length]

    def get_seq_length(self) -> int:
        """Tokens written."""
        return self._length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Keys that `update` will return for this many new tokens, and the index of the first of them."""
        first = self._first_visible()
        return self._length + query_length - first, first

    def select(self, rows: Int[Tensor, "R"], room: int = 0) -> None:
        """Keep these rows, in this order; a row may stand several times, and gets room for more tokens."""
        self.keys, self.values = (self._selected(states, rows, room) for states in (self.keys, self.values))

    def _selected(self, states: Tensor | None, rows: Int[Tensor, "R"], room: int) -> Float[Tensor, "R H M D"]:
        assert states is not None
        _, heads, capacity, width = states.shape
        kept = states.new_empty(len(rows), heads, capacity + room, width)
        kept[:, :, : self._length] = states[rows, :, : self._length]
        return kept

    def _first_visible(self) -> int:
        return 0 if self._window is None else max(self._length - self._window + 1, 0)


class RowCache(Cache):
    """The preallocated layers of a model."""

    layers: list[PreallocatedLayer]

    def select(self, rows: Int[Tensor, "R"], room: int = 0) -> None:
        """Keep these rows, in this order; a row may stand several times, and gets room for more tokens."""
        for layer in self.layers:
            layer.select(rows, room)


def build_cache(config: Any) -> RowCache | None:
    """An empty cache for a model, or ``None`` where a layer remembers more than keys and values.

    Args:
        config: the model's; its text configuration says which layers slide.
    """
    layers = DynamicCache(config=config).layers
    if not layers or {type(layer) for layer in layers} - {DynamicLayer, DynamicSlidingWindowLayer}:
        return None
    return RowCache([PreallocatedLayer(getattr(layer, "sliding_window", None)) for layer in layers])
