"""Published weights: read as tensors alone, each taken once or left out for a reason that is said.

No code of a checkpoint's authors runs. What a file names that is neither read nor left out on purpose, and
what a model needs that no file has, is an error with the published names in it.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from radflow.errors import DataError, MissingFileError
from radflow.readers.networks.weights import read_plain

WHOLE = ("model.safetensors", "pytorch_model.bin")
INDEX = tuple(f"{name}.index.json" for name in WHOLE)
SETTINGS: tuple[Any, ...] = (
    Namespace,
    (dict, "lightning.fabric.utilities.data.AttributeDict"),
    (dict, "lightning_fabric.utilities.data.AttributeDict"),
    (dict, "lightning.pytorch.utilities.parsing.AttributeDict"),
    (dict, "pytorch_lightning.utilities.parsing.AttributeDict"),
)
"""What its settings may be: a parsed command line, or Lightning's dictionary, read as a plain one."""
_LORA_A, _LORA_B = ".lora_A.default.weight", ".lora_B.default.weight"
_SHOWN = 3


@dataclass(kw_only=True)
class Published:
    """The tensors of a checkpoint that nothing has taken yet.

    Attributes:
        source: the file or folder.
        left: names to tensors.
        beside: what the file holds beside them.
        notes: what was left out and why, a line each.
    """

    source: Path
    left: dict[str, Tensor]
    beside: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def take(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under a prefix, by their names behind it."""
        names = [name for name in self.left if name.startswith(prefix)]
        return {name.removeprefix(prefix): self.left.pop(name) for name in names}

    def leave(self, *prefixes: str, why: str, ending: str = "") -> None:
        """Leave out the tensors under some prefixes, or those of them with an ending."""
        names = [name for name in self.left if name.startswith(prefixes) and name.endswith(ending)]
        for name in names:
            del self.left[name]
        if names:
            there = [prefix for prefix in prefixes if any(name.startswith(prefix) for name in names)]
            which = f"{', '.join(there)}{f' ... {ending}' if ending else ''}"
            count = f"{len(names)} tensor{'s' if len(names) > 1 else ''}"
            self.notes.append(f"left out {count} ({which}): {why}")

    def close(self) -> list[str]:
        """Every tensor has found its place.

        Raises:
            DataError: some have not.
        """
        if self.left:
            raise DataError(
                f"{self.source}: expected no tensors but those of the system, got {_some(self.left)} besides"
            )
        return self.notes


def read_published(path: Path, *, key: str | None = None) -> Published:
    """Read a checkpoint: a file, or a folder with a whole file of weights or an index and its shards.

    Args:
        path: the file or folder.
        key: under which a file of ``torch.save`` has its tensors, beside other things.

    Raises:
        MissingFileError: no such file, or a shard is not there.
        DataError: damaged, or something else than tensors and settings is in it.
    """
    if path.is_dir():
        return Published(source=path, left=_from_folder(path))
    content = read_plain(path, allowed=SETTINGS)
    if key is None or path.suffix == ".safetensors":
        return Published(source=path, left=_tensors(content, path))
    if not isinstance(content, dict) or key not in content:
        held = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise DataError(f"{path}: expected a checkpoint with its weights under {key!r}, got {held[:200]}")
    beside = {name: value for name, value in content.items() if name != key}
    return Published(source=path, left=_tensors(content[key], path), beside=beside)


def _from_folder(folder: Path) -> dict[str, Tensor]:
    for name in INDEX:
        if (folder / name).is_file():
            return _shards(folder, name)
    whole = [folder / name for name in WHOLE if (folder / name).is_file()]
    if not whole:
        raise MissingFileError(f"{folder}: expected {' or '.join(WHOLE)}, or the shards of one; found none")
    return _tensors(read_plain(whole[0]), whole[0])


def _shards(folder: Path, index: str) -> dict[str, Tensor]:
    try:
        places = json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"]
        shards = sorted(set(places.values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{folder / index}: expected a weight_map ({type(error).__name__})") from None
    absent = [name for name in shards if Path(name).name != name or not (folder / name).is_file()]
    if absent:
        raise MissingFileError(
            f"{folder}: {index} names {len(shards)} shards; {absent[0]} is not there"
            f"{f', and {len(absent) - 1} more' if len(absent) > 1 else ''}; fetch it again"
        )
    found: dict[str, Tensor] = {}
    for name in shards:
        found |= _tensors(read_plain(folder / name), folder / name)
    return found


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected names with tensors, got {type(content).__name__}")
    for name, value in content.items():
        if not isinstance(value, Tensor):
            raise DataError(f"{path}: expected a tensor under {name!r}, got {type(value).__name__}")
    return dict(content)


def settings_of(published: Published) -> dict[str, Any]:
    """The settings that a checkpoint was trained with; empty where it has none."""
    found = published.beside.get("config", {})
    found = vars(found) if isinstance(found, Namespace) else found
    return dict(found) if isinstance(found, dict) else {}


def check_fits(
    wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], source: Path | str, prefix: str = ""
) -> None:
    """Names and shapes are those of a part of the model.

    Args:
        wanted: by name; of the tensors only the shapes count.
        found: in the checkpoint, behind ``prefix``.
        source: the checkpoint.
        prefix: of the published names.

    Raises:
        DataError: a tensor is missing, left over, or of another shape.
    """
    both = sorted(wanted.keys() & found.keys())
    odd = {name: found[name] for name in both if found[name].shape != wanted[name].shape}
    faults = [
        f"{what} {_some(names, prefix)}"
        for what, names in (
            ("missing", sorted(wanted.keys() - found.keys())),
            ("not known", sorted(found.keys() - wanted.keys())),
            ("of another shape", sorted(odd)),
        )
        if names
    ]
    if odd:
        name = next(iter(odd))
        faults.append(f"{prefix}{name} is {_times(found[name])} there, the model's {_times(wanted[name])}")
    if faults:
        raise DataError(f"{source}: these are not the published weights: {'; '.join(faults)}")


def same(weights: dict[str, Tensor], name: str, other: Tensor | None, source: Path) -> None:
    """Put in a tensor that was saved under a second name as well, or under that alone.

    Raises:
        DataError: the two differ.
    """
    if other is None:
        return
    if name in weights and not torch.equal(weights[name], other):
        raise DataError(f"{source}: expected one tensor under the two names of {name}, got two that differ")
    weights[name] = other


def folded(weights: Mapping[str, Tensor], alpha: float, source: Path) -> dict[str, Tensor]:
    """Fold LoRA into the layers it stands beside: ``W + alpha / r * B A``, in float32 (2106.09685, eq. 3).

    Names are PEFT's, older and newer: ``X.weight`` or ``X.base_layer.weight`` beside
    ``X.lora_A.default.weight`` ``(r, inputs)`` and ``X.lora_B.default.weight`` ``(outputs, r)``.

    Raises:
        DataError: a layer lacks one of the three, or their shapes do not go together.
    """
    whole = {name.replace(".base_layer.", "."): t for name, t in weights.items() if ".lora_" not in name}
    layers = {name.partition(".lora_")[0] for name in weights if ".lora_" in name}
    for layer in sorted(layers):
        a, b = weights.get(f"{layer}{_LORA_A}"), weights.get(f"{layer}{_LORA_B}")
        base = whole.get(f"{layer}.weight")
        if a is None or b is None or base is None:
            raise DataError(
                f"{source}: expected {layer} with weight, lora_A and lora_B, found it without one"
            )
        if a.dim() != 2 or b.dim() != 2 or a.shape[0] != b.shape[1] or (len(b), a.shape[1]) != base.shape:
            raise DataError(
                f"{source}: {layer}: lora_A {_times(a)} and lora_B {_times(b)} do not go with {_times(base)}"
            )
        update = alpha / len(a) * (b.float() @ a.float())
        whole[f"{layer}.weight"] = (base.float() + update).to(base.dtype)
    return whole


def _some(names: Iterable[str], prefix: str = "") -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"{prefix}{name}" for name in names[:_SHOWN]) + more


def _times(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))
