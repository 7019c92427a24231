"""The weights of a pretrained model, complete, or an error that says what is wrong with the folder."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from radflow.errors import DataError, MissingDependencyError, MissingFileError
from radflow.policy.forms import know_form
from radflow.readers.networks.weights import quietly

_UNREAD = ("pooler", ".head.")
"""In the names of weights that no caption goes through; conversions leave them out."""

_KINDS = {
    AutoModelForCausalLM: "a causal language model",
    AutoModelForImageTextToText: "an image-text-to-text model",
}
"""What is asked for, in words."""


def load_pretrained(
    kind: Any,
    source: str,
    *,
    dtype: torch.dtype | Literal["auto"],
    trust_remote_code: bool = False,
    pickled: bool = False,
    left: list[str] | None = None,
) -> Any:
    """Load a model from safetensors, with every weight that its configuration names.

    transformers fills missing weights with random numbers and goes on; here that is an error.

    Args:
        kind: one of transformers' ``AutoModelFor...``.
        source: hub name or folder.
        dtype: number type of the weights; ``auto`` for that which they are saved in.
        trust_remote_code: whether code that comes with the model may run.
        pickled: take files of ``torch.save`` where there are no safetensors; they too are read as tensors.
        left: gets the names of weights in the files that the model has no place for.

    Raises:
        MissingFileError: no model there, or none with safetensors weights.
        DataError: it is damaged, incomplete, of another kind, or comes with code that may not run.
        MissingDependencyError: it needs a package that is not installed.
    """
    know_form(source)
    safe = not pickled or any(Path(source).glob("*.safetensors*"))
    settings: dict[str, Any] = {"use_safetensors": safe, "trust_remote_code": trust_remote_code}
    try:
        with quietly():
            model, account = kind.from_pretrained(source, dtype=dtype, output_loading_info=True, **settings)
    except ImportError as error:
        raise MissingDependencyError(f"{source}: it needs a package that is missing: {error}") from None
    except OSError as error:
        raise MissingFileError(
            f"{source}: expected the name or folder of {_KINDS.get(kind, 'a model')} with safetensors "
            f"weights ({_first_line(error)})"
        ) from None
    except torch.OutOfMemoryError:
        raise
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{source}: expected weights that are tensors and nothing else, got a file that needs code to be "
            f"read ({_first_line(error)}); it is not run"
        ) from None
    except (ValueError, RuntimeError, KeyError, SafetensorError, StrictDataclassError) as error:
        raise DataError(_unloadable(source, error)) from None
    missing = sorted(n for n in account["missing_keys"] if not any(part in n for part in _UNREAD))
    if missing:
        raise DataError(
            f"{source}: expected all weights of {type(model).__name__}, got a model without {len(missing)} "
            f"of them, such as {missing[0]}; fetch or convert it again"
        )
    if left is not None:
        left += sorted(account["unexpected_keys"])
    return model


def _unloadable(source: str, error: Exception) -> str:
    said = _first_line(error)
    if "custom code" in said or "trust_remote_code" in said:
        return (
            f"{source}: its model comes with code of its own, which does not run unless you trust it "
            "(policy.trust_remote_code); or take the model in transformers' own form (InternVL: the name "
            "that ends in -hf)"
        )
    if "ignore_mismatched_sizes" in said:
        said = "its weights have other shapes than its config.json says"
    return (
        f"{source}: expected a model that transformers {transformers.__version__} loads, got one that it "
        f"does not ({said}); fetch it again, or take one of the families in the README"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
