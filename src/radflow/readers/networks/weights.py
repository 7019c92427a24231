"""Weights of a network: read without running code from the file, put in only where they fit exactly, hashed.

The hash is the network's name in the cache of readings (``text_cache.py``).
"""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radflow.errors import DataError, MissingFileError

if TYPE_CHECKING:
    import torch
    from torch import nn


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict from ``.safetensors`` or from a file of ``torch.save``, without running code from it.

    A checkpoint's ``model_state_dict`` or ``state_dict`` is taken out, and ``module.``, which DataParallel
    puts before every name, is taken off.

    Raises:
        MissingFileError: no such file.
        DataError: the file is damaged, holds more than tensors and plain values, or holds no state dict.
    """
    return _state_dict(read_plain(path), path)


def read_plain(path: Path, *, allowed: Iterable[Any] = ()) -> Any:
    """Read what ``.safetensors`` or a file of ``torch.save`` holds, tensors and plain values alone.

    Args:
        path: the file.
        allowed: classes that may be made besides, or pairs of a class and the name in the file that it
            stands for, as ``torch.serialization.safe_globals`` takes them.

    Raises:
        MissingFileError: no such file.
        DataError: the file is damaged, or holds more.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise MissingFileError(f"Expected weights at {path}, found no file.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Mapped where the format allows: the optimiser's state, most of a checkpoint, is never read.
        mapped = zipfile.is_zipfile(path)
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"Expected tensors and plain values in {path}, got a damaged file or one that needs code to be "
            f"read ({_first_line(error)}). If you trust it, load it where it was made and save its state "
            "dict with safetensors.torch.save_file."
        ) from error
    except (SafetensorError, EOFError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise DataError(
            f"Expected weights in {path}, got a damaged file ({_first_line(error)}). Fetch it again."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _state_dict(content: Any, path: Path) -> dict[str, torch.Tensor]:
    import torch

    for name in ("model_state_dict", "state_dict"):
        if isinstance(content, dict) and name in content:
            content = content[name]
    tensors = isinstance(content, dict) and all(isinstance(v, torch.Tensor) for v in content.values())
    if not tensors:
        raise DataError(f"Expected a state dict (names to tensors) in {path}, got {type(content).__name__}.")
    prefix = "module."
    if content and all(name.startswith(prefix) for name in content):
        return {name.removeprefix(prefix): tensor for name, tensor in content.items()}
    return dict(content)


def load_weights(
    model: nn.Module, weights: dict[str, torch.Tensor], source: Path | str, *, unused: Iterable[str] = ()
) -> None:
    """Put weights into a network, every one of them and nothing else.

    Args:
        model: changed in place.
        weights: names to tensors.
        source: the file they came from.
        unused: beginnings of names that may be there and are left out.

    Raises:
        DataError: names are missing or left over, or shapes differ; all are listed.
    """
    unused = tuple(unused)
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith(unused)}
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in kept.items()}
    both = sorted(wanted.keys() & kept.keys())
    problems = {
        "missing": sorted(wanted.keys() - kept.keys()),
        "unexpected": sorted(kept.keys() - wanted.keys()),
        "of another shape": [f"{n} {shapes[n]} for {wanted[n]}" for n in both if shapes[n] != wanted[n]],
    }
    found = "; ".join(f"{what}: {', '.join(names)}" for what, names in problems.items() if names)
    if found:
        raise DataError(
            f"Expected the weights of {type(model).__name__} in {source}, got others. {found}. "
            "Check that weights and configuration belong together."
        )
    model.load_state_dict(kept)


def fingerprint(model: nn.Module, *facts: Any) -> str:
    """A hash of all that decides a network's readings: its weights and whatever JSON can hold beside them.

    Taken from what was loaded, so a ``.pth`` and its safetensors conversion are the same model, wherever they
    lie, and a reading is never taken for another model's.

    Args:
        model: the network, before it is moved or cast.
        facts: configuration, tokenizer, number type, layer.
    """
    import torch

    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def config_facts(config: Any) -> dict[str, Any]:
    """A transformers configuration without what says where it came from."""
    origin = ("_name_or_path", "transformers_version", "dtype", "architectures")
    return {name: value for name, value in config.to_dict().items() if name not in origin}


def tokenizer_facts(tokenizer: Any) -> Any:
    """All that a tokenizer does to text, without the padding and truncation that calls leave behind."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return sorted(tokenizer.get_vocab().items())
    return {
        name: value
        for name, value in json.loads(backend.to_str()).items()
        if name not in ("padding", "truncation")
    }


@contextmanager
def quietly() -> Generator[None]:
    """Without transformers' progress bar and report on weights; for callers that check these themselves."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
