"""Encoded prompts on disk, in a folder of bounded size, so that a run decodes and resizes a picture once.

A file's name is a hash of all that its content depends on: the pictures by path, size and time of change,
the text, the processor with its settings, and the versions of what decodes and resizes. A picture that is
replaced by another of the same size within the same tick of the clock is not noticed.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import PIL
import transformers
from torch import Tensor

from radflow import __version__
from radflow.policy.images.feature_files import FeatureFiles
from radflow.policy.images.pixels_packed import pack, unpack

SUFFIX = ".pixels"


class PixelFiles:
    """The tensors of encoded prompts by their pictures and text; threads and processes may share the folder.

    Args:
        folder: made when the first file is written; only files of this class's suffix are ever removed.
        max_bytes: bound on those files; the least recently used go first.
        processor: makes the tensors.
        settings: what else they depend on.
    """

    def __init__(self, folder: Path, *, max_bytes: int, processor: Any, settings: Any = None) -> None:
        self._files = FeatureFiles(folder, max_bytes=max_bytes, suffix=SUFFIX, what="prepared images")
        self._maker = processor_fingerprint(processor, settings)
        self._lock = threading.Lock()

    def read(self, images: Sequence[Path], text: str) -> dict[str, Tensor] | None:
        """The tensors of a prompt; ``None`` where there are none, or where their file is damaged."""
        key = self._key(images, text)
        packed = self._files.read(key) if key is not None else None
        return unpack(packed) if packed is not None else None

    def write(self, images: Sequence[Path], text: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep the tensors of a prompt."""
        key = self._key(images, text)
        if key is not None:
            packed = pack(tensors)
            with self._lock:
                self._files.write(key, packed)

    def _key(self, images: Sequence[Path], text: str) -> str | None:
        try:
            status = [path.stat() for path in images]
        except OSError:  # reading the picture will say what is wrong with it
            return None
        files = [[str(p), s.st_size, s.st_mtime_ns] for p, s in zip(images, status, strict=True)]
        return hashlib.sha256(json.dumps([self._maker, text, files]).encode()).hexdigest()[:48]


def processor_fingerprint(processor: Any, settings: Any = None) -> str:
    """A hash of a processor's settings and vocabulary, and of the versions that decode and resize."""
    tokenizer = processor.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    words = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    told = [
        type(processor).__name__,
        processor.to_json_string(),
        processor.image_processor.to_json_string(),
        words,
        [__version__, transformers.__version__, PIL.__version__, _installed("pydicom")],
        settings,
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
