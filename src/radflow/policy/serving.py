"""What vLLM asks of an adapter folder, checked when one is saved, so that a model card can say so.

From vLLM's own checks (``vllm/lora/peft_helper.py``: ``validate_legal``; ``vllm/lora/lora_model.py``:
``from_local_checkpoint``; ``vllm/config/lora.py``): plain LoRA without a bias, without DoRA and without
whole modules saved beside it; a rank that ``--max-lora-rank`` can be set to; two matrices per layer in
``adapter_model.safetensors``; and, unless it is started with ``--enable-tower-connector-lora``, layers of
the language model only: others are silently left out. Whether vLLM knows the base model is not checked here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

MAX_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM's ``--max-lora-rank`` may be; its default is 16."""
WEIGHTS = "adapter_model.safetensors"
_MATRICES = (".lora_A.weight", ".lora_B.weight")
_LANGUAGE_MODEL = ("language_model.", "text_model.")


def vllm_rank(rank: int) -> int | None:
    """The smallest ``--max-lora-rank`` that takes an adapter of this rank, or ``None`` where none does.

    >>> vllm_rank(8), vllm_rank(12), vllm_rank(600)
    (8, 16, None)
    """
    return next((most for most in MAX_RANKS if rank <= most), None)


def vllm_obstacles(folder: Path) -> list[str]:
    """Why vLLM would refuse an adapter folder or leave out a part of it, one line each; empty: nothing found.

    Raises:
        OSError: the folder has no ``adapter_config.json``.
    """
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    found = _of_config(config)
    if not (folder / WEIGHTS).is_file():
        return [*found, f"there is no {WEIGHTS}"]
    with safe_open(folder / WEIGHTS, "np") as file:
        return found + _of_names(file.keys())


def _of_config(config: Mapping[str, Any]) -> list[str]:
    """What the configuration of an adapter has that vLLM does not take.

    >>> _of_config({"peft_type": "LORA", "r": 8, "bias": "none", "modules_to_save": None})
    []
    >>> _of_config({"peft_type": "LORA", "r": 8, "bias": "all", "use_dora": True})
    ["it trains biases (bias='all')", 'it is DoRA']
    """
    found = []
    if config.get("peft_type") != "LORA":
        return [f"it is of type {config.get('peft_type')}, not LORA"]
    if config.get("modules_to_save"):
        found.append(f"it holds whole modules ({', '.join(config['modules_to_save'])})")
    if config.get("bias", "none") != "none":
        found.append(f"it trains biases (bias={config['bias']!r})")
    if config.get("use_dora"):
        found.append("it is DoRA")
    if config.get("rank_pattern") or config.get("alpha_pattern"):
        found.append("its layers have unlike ranks or scales")
    if vllm_rank(config["r"]) is None:
        found.append(f"its rank is {config['r']}, above {MAX_RANKS[-1]}")
    return found


def _of_names(names: Iterable[str]) -> list[str]:
    """What tensors there are that vLLM would refuse, or that lie outside the language model.

    >>> _of_names(["base_model.model.model.vision_tower.layers.0.q_proj.lora_A.weight"])
    ['1 of its layers are outside the language model, such as model.vision_tower.layers.0.q_proj']
    """
    names = sorted(names)
    found = []
    if other := [name for name in names if not name.endswith(_MATRICES)]:
        found.append(f"{len(other)} of its tensors are no LoRA matrices, such as {other[0]}")
    layers = {name.removeprefix("base_model.model.").rsplit(".lora_", 1)[0] for name in names}
    outside = sorted(layer for layer in layers if not any(part in layer for part in _LANGUAGE_MODEL))
    if outside:
        found.append(f"{len(outside)} of its layers are outside the language model, such as {outside[0]}")
    return found
