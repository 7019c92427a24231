"""One cache of readings for all networks: what a model said of a text, in memory and, if wanted, on disk.

In a reward the same references come back at every step, and reading them is most of what a clinical metric
costs. A reading is found by a hash of the model (weights, configuration, tokenizer, number type) and of the
text, so another model or another letter is another reading. Texts themselves are not kept. But graphs hold
the report's words, and embeddings much of its sense: a folder of readings is as confidential as the reports.

The folder is ``TextCache(folder=...)``, or the environment variable ``RADFLOW_READER_CACHE`` for the cache
that readers share. Processes may share a folder. To clear it, call :meth:`TextCache.clear` or delete it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
from cachetools import LRUCache
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from radflow.errors import RadflowError, RecipeError
from radflow.readers.networks.text_store import TextStore

FOLDER_VARIABLE = "RADFLOW_READER_CACHE"

_ENTRY_BYTES = 250  # what Python itself needs for an entry
_TEXTS_AT_ONCE = 4096  # a killed call keeps what it had finished of a long list
_ARRAYS, _JSON = b"A", b"J"
_log = logging.getLogger(__name__)


class TextCache:
    """Readings by model and text, the least recently used dropped first.

    A reading is a mapping from names to arrays, or anything JSON can hold. What comes out is a copy of the
    caller's own, equal to what went in (JSON has no tuples: they come out as lists).

    When the file fails later on (disk full, locked for 30 s, damaged), the cache says so once in the log,
    leaves it alone from then on and works from memory: :attr:`disk_error` holds the reason.

    Args:
        memory_mb: bound on the memory that readings take; 0 keeps none.
        folder: keeps them on disk too.
        disk_mb: bound on the folder; the oldest written go first.

    Raises:
        RecipeError: a negative bound.
        NotWritableError: the folder cannot be written.
        DataError: the folder's file is damaged or not a cache of radflow's.

    >>> readings = TextCache()
    >>> readings.read("model", ["edema", "edema", "clear"], lambda texts: [len(text) for text in texts])
    [5, 5, 5]
    >>> readings.read("model", ["clear"], lambda texts: 1 / 0)
    [5]
    """

    def __init__(
        self, *, memory_mb: float = 256.0, folder: str | Path | None = None, disk_mb: float = 4096.0
    ) -> None:
        if memory_mb < 0 or disk_mb < 0:
            raise RecipeError(f"Expected bounds of at least 0 MB, got {memory_mb} and {disk_mb}.")
        self._entries: LRUCache[bytes, bytes] = LRUCache(int(memory_mb * 2**20), getsizeof=_size)
        self._lock = Lock()
        self._store = TextStore(Path(folder), bound=int(disk_mb * 2**20)) if folder else None
        self.disk_error: str | None = None

    def __len__(self) -> int:
        """Readings in memory."""
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """Memory that readings take, at most ``memory_mb``."""
        return int(self._entries.currsize)

    def read(
        self, model: str, texts: Sequence[str], compute: Callable[[list[str]], Sequence[Any]]
    ) -> list[Any]:
        """Return one reading per text, in order; each distinct text is computed at most once.

        Args:
            model: what reads: everything the reading depends on beside the text, as one string.
            texts: any strings.
            compute: distinct texts to their readings, in order. It may be called several times, for a few
                thousand texts each, or not at all.
        """
        keys = {text: _key(model, text) for text in texts}
        payloads = self._recall(keys.values())
        missing = [text for text, key in keys.items() if key not in payloads]
        for start in range(0, len(missing), _TEXTS_AT_ONCE):
            some = missing[start : start + _TEXTS_AT_ONCE]
            fresh = {keys[text]: _encode(value) for text, value in zip(some, compute(some), strict=True)}
            self._remember(fresh)
            self._on_disk(lambda store, fresh=fresh: store.put(fresh))
            payloads.update(fresh)
        return [_decode(payloads[keys[text]]) for text in texts]

    def clear(self) -> None:
        """Forget everything, in memory and on disk.

        Raises:
            NotWritableError: the file cannot be emptied; delete it.
        """
        with self._lock:
            self._entries.clear()
        if self._store is not None:
            self._store.clear()

    def _recall(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        found, missing = {}, []
        with self._lock:
            for key in keys:
                if key in self._entries:
                    found[key] = self._entries[key]
                else:
                    missing.append(key)
        if missing:
            stored = self._on_disk(lambda store: store.get(missing)) or {}
            self._remember(stored)
            found.update(stored)
        return found

    def _remember(self, fresh: Mapping[bytes, bytes]) -> None:
        with self._lock:
            for key, payload in fresh.items():
                if _size(payload) <= self._entries.maxsize and key not in self._entries:
                    self._entries[key] = payload

    def _on_disk(self, use: Callable[[TextStore], Any]) -> Any:
        """Use the folder, if there is one; the first time it fails is the last."""
        if self._store is None or self.disk_error is not None:
            return None
        try:
            return use(self._store)
        except RadflowError as error:
            self.disk_error = str(error)
            _log.warning("from now on readings are kept in memory only: %s", self.disk_error)
            return None


@cache
def shared_cache() -> TextCache:
    """The cache of this process that every network reader uses unless told otherwise: 256 MB of memory.

    Raises:
        NotWritableError: ``RADFLOW_READER_CACHE`` names a folder that cannot be written.
        DataError: the file in it is damaged or not a cache of radflow's.
    """
    return TextCache(folder=os.environ.get(FOLDER_VARIABLE) or None)


def open_cache(cache: TextCache | Literal["shared"] | None) -> TextCache:
    """What a reader's option ``cache`` means: the shared one, one of the caller's, or none.

    Raises:
        RecipeError: anything else.

    >>> len(open_cache(None))
    0
    """
    if cache is None:
        return TextCache(memory_mb=0)
    if isinstance(cache, TextCache):
        return cache
    if cache == "shared":
        return shared_cache()
    raise RecipeError(f"Expected cache to be 'shared', a TextCache or None, got {cache!r}.")


def _key(model: str, text: str) -> bytes:
    digest = hashlib.sha256(hashlib.sha256(model.encode()).digest())
    digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.digest()


def _size(payload: bytes) -> int:
    return len(payload) + _ENTRY_BYTES


def _encode(value: Any) -> bytes:
    if isinstance(value, Mapping) and value and all(isinstance(part, np.ndarray) for part in value.values()):
        return _ARRAYS + save_arrays(dict(value))
    return _JSON + json.dumps(value).encode()


def _decode(payload: bytes) -> Any:
    kind, content = payload[:1], payload[1:]
    return load_arrays(content) if kind == _ARRAYS else json.loads(content)
