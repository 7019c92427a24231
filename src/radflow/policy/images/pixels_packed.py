"""Pixel arrays in a quarter or half of their memory, bit for bit.

A picture of 8 bits has at most 256 values per channel, and after a processor's scaling and normalising it
has few more than that. So an array of floats is kept as a table of its values and an index into
it, of 1 or 2 bytes per pixel. Nothing is assumed about the processor: an array with more values is kept as it
is.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_INDEX, _VALUES = "#index", "#values"
_BITS = {torch.float32: torch.int32, torch.float16: torch.int16, torch.bfloat16: torch.int16}
_SMALL = 1024


def pack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace each large array of few values by its index (``name#index``) and table (``name#values``).

    >>> sorted(pack({"pixel_values": torch.zeros(2_000), "ids": torch.zeros(3)}))
    ['ids', 'pixel_values#index', 'pixel_values#values']
    """
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        parts = _indexed(tensor.contiguous())
        packed |= {name: tensor} if parts is None else {name + _INDEX: parts[0], name + _VALUES: parts[1]}
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo `pack`: the same types, shapes and bits."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in packed.items():
        if name.endswith(_INDEX):
            whole = name.removesuffix(_INDEX)
            flat = tensor.reshape(-1).to(torch.int32)
            tensors[whole] = packed[whole + _VALUES].index_select(0, flat).reshape(tensor.shape)
        elif not name.endswith(_VALUES):
            tensors[name] = tensor
    return tensors


def _indexed(tensor: Tensor) -> tuple[Tensor, Tensor] | None:
    """Index and table; ``None`` where that would save nothing."""
    bits = _BITS.get(tensor.dtype)
    if bits is None or tensor.numel() < _SMALL:
        return None
    # By their bits, so that 0.0 and -0.0 stay two values.
    values, index = torch.unique(tensor.view(bits), return_inverse=True)
    if len(values) > 65_536 or (tensor.element_size() == 2 and len(values) > 256):
        return None
    kind = torch.uint8 if len(values) <= 256 else torch.uint16
    return index.to(kind), values.view(tensor.dtype)
