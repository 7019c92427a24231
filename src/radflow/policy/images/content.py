"""A hash of tensors, to recognise equal content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def content_key(tensors: Mapping[str, Tensor]) -> str:
    """A SHA-256 of names, types, shapes and contents; the order of the names does not matter.

    >>> content_key({"a": torch.ones(2)}) == content_key({"a": torch.ones(2)})
    True
    >>> content_key({"a": torch.ones(2)}) == content_key({"a": torch.ones(2, 1)})
    False
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
