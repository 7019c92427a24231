"""Image features of studies on disk: one safetensors file each, in a folder of bounded size.

Several processes may share the folder. A file appears whole or not at all, and a hash inside it covers its
tensors, so that what a crash, a full disk or a flipped bit left behind is detected and computed again.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from radflow.errors import NotWritableError
from radflow.files import write_atomic

SUFFIX = ".features"
_SHARE_UNSCANNED = 1 / 16
_log = logging.getLogger(__name__)


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


class FeatureFiles:
    """Named tensors by key, the least recently used removed first.

    Args:
        folder: made when the first file is written; only files of this suffix are ever removed.
        max_bytes: bound on those files. Each process checks the whole folder after it has written a
            sixteenth of the bound, so W processes may exceed it by W sixteenths for a moment.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self._slack = int(max_bytes * _SHARE_UNSCANNED)
        self._max_bytes = max_bytes
        self._unscanned = max_bytes  # what other runs left is counted at the first write

    def read(self, key: str) -> dict[str, Tensor] | None:
        """The tensors under a key; ``None`` where there are none, or where the file is damaged."""
        path = self._path(key)
        try:
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                promised = (file.metadata() or {}).get("content")
            os.utime(path)  # used now: removed last
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError) as error:
            _log.warning("%s: damaged (%s); computed again", path, error)
            return None
        if promised != content_key(tensors):
            _log.warning("%s: damaged (its content is not what was written); computed again", path)
            return None
        return tensors

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep tensors under a key. A folder that cannot be written costs time, not the run: it is logged."""
        held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        content = save(held, metadata={"content": content_key(held)})
        if len(content) > self._max_bytes:
            return
        try:
            write_atomic(self._path(key), content, sync=False)
        except NotWritableError as error:
            _log.warning("image features are not kept on disk: %s", error)
            return
        self._unscanned += len(content)
        if self._unscanned > self._slack:
            self._remove_oldest()
            self._unscanned = 0

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{SUFFIX}"

    def _remove_oldest(self) -> None:
        """Bring the folder under its bound, with room for what is written until the next look."""
        found = []
        # The second pattern: what atomic writes of killed processes left behind.
        for path in (*self._folder.glob(f"*{SUFFIX}"), *self._folder.glob(f".*{SUFFIX}.*")):
            try:
                status = path.stat()
            except FileNotFoundError:  # another process removed it
                continue
            found.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found)[:-1]:
            if total <= self._max_bytes - self._slack:
                return
            path.unlink(missing_ok=True)
            total -= size
