"""``radflow merge`` on the command line; `radflow.run.merging` does the work."""

from __future__ import annotations

from pathlib import Path

from radflow.cli import screens
from radflow.run.merging import Number, merge_command


def merge(model: Path, *, out: Path, base: str | None = None, dtype: Number = "auto") -> None:
    """Fold an adapter into its base model: one folder that transformers and vLLM load without PEFT.

    It holds the weights as safetensors, the processor and the model card. Weights are added in float32 and
    rounded once.

    Args:
        model: A run's folder (its RFT model, or its SFT model before that is done), or any PEFT folder.
        out: The folder to write: new, or empty. It is written whole or not at all.
        base: The base model's folder or name, if not the one that the adapter names.
        dtype: Number type of the merged weights; auto: the base model's.
    """
    merge_command(screens.screen, model, out, base, dtype)
