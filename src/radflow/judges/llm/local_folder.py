"""The folder of a causal language model: what must be in it, what it is called, how it is loaded.

Checks and name need neither torch nor the weights in memory, so a run can be repeated from a store of
verdicts on a machine that could not hold the model.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radflow.errors import DataError, MissingDependencyError, MissingFileError
from radflow.readers.networks.inference import DTYPES
from radflow.readers.networks.weights import quietly

if TYPE_CHECKING:
    import torch

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_WORDS = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
_CAUSAL = ("ForCausalLM", "LMHeadModel")
_OTHER_INPUTS = ("vision_config", "audio_config")
_DIGITS = 12


def check_folder(folder: Path) -> None:
    """Check that a folder holds a causal language model as safetensors.

    Raises:
        MissingFileError: there is no such folder, or its configuration, tokenizer or weights are not there.
        DataError: it holds an adapter or another kind of model.
    """
    if not folder.is_dir():
        raise MissingFileError(f"Expected the folder of a causal language model at {folder}, found none.")
    if (folder / "adapter_config.json").is_file():
        raise DataError(
            f"Expected a whole model in {folder}, got an adapter (adapter_config.json). "
            f"Merge it first: radflow merge {folder} --out MERGED"
        )
    _check_architecture(folder, read_config(folder))
    weight_files(folder)
    if not any((folder / name).is_file() for name in _WORDS):
        raise MissingFileError(
            f"Expected a tokenizer in {folder}, such as tokenizer.json; found none. Save it there too."
        )


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's ``config.json``; it raises as :func:`check_folder`."""
    return _read_object(folder / "config.json", "a causal language model's configuration")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that transformers reads.

    Raises:
        MissingFileError: there are none, or one that the index names is not there.
        DataError: the index is damaged.
    """
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
    if not (folder / _INDEX).is_file():
        others = sorted(path.name for pattern in ("*.bin", "*.pt*") for path in folder.glob(pattern))
        found = f"got {', '.join(others[:3])}, which can hold code" if others else "found none"
        raise MissingFileError(
            f"Expected weights in {folder}: {_WEIGHTS} or {_INDEX}; {found}. Save the model as safetensors "
            "(transformers' save_pretrained does)."
        )
    placed = _read_object(folder / _INDEX, "an index of weights").get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise DataError(f"Expected weight_map in {folder / _INDEX}, got none. Fetch it again.")
    files = [folder / name for name in sorted(set(placed.values()))]
    absent = [path.name for path in files if not path.is_file()]
    if absent:
        raise MissingFileError(f"Expected {', '.join(absent)} in {folder}, found none. Fetch them again.")
    return files


def content_name(folder: Path, *facts: str) -> str:
    """The folder's name and 12 hexadecimal digits of SHA-256 over all files and facts that decide answers."""
    paths = [folder / "config.json", *weight_files(folder), *(folder / name for name in _WORDS)]
    paths = [path for path in paths if path.is_file()]
    with ThreadPoolExecutor() as pool:  # hashing frees the interpreter; a large model has many files
        digests = list(pool.map(_digest, paths))
    named = [(path.name, digest) for path, digest in zip(paths, digests, strict=True)]
    whole = hashlib.sha256(json.dumps([*facts, named]).encode()).hexdigest()
    return f"{folder.resolve().name}@{whole[:_DIGITS]}"


def folder_dtype(config: dict[str, Any]) -> str:
    """The number type of the weights, as the configuration says; ``"float32"`` where it does not.

    >>> folder_dtype({"dtype": "bfloat16"}), folder_dtype({"torch_dtype": "float16"}), folder_dtype({})
    ('bfloat16', 'float16', 'float32')
    """
    dtype = config.get("dtype", config.get("torch_dtype"))
    return dtype if dtype in DTYPES else "float32"


def load_model(
    folder: Path, device: torch.device, dtype: torch.dtype, **of_tokenizer: Any
) -> tuple[Any, Any]:
    """The tokenizer, and the model in evaluation mode. No code from the folder is run, and nothing fetched.

    Raises:
        DataError: files are damaged or do not belong together, or transformers does not know the model.
        MissingDependencyError: the tokenizer or the weights need a package that is not installed.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    here: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quietly():
            tokenizer = AutoTokenizer.from_pretrained(str(folder), **here, **of_tokenizer)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=dtype,
                device_map={"": device},
                use_safetensors=True,
                output_loading_info=True,
                **here,
            )
    except ImportError as error:
        raise MissingDependencyError(f"{folder}: it needs a package that is missing: {error}") from error
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"Expected a causal language model in {folder} that this transformers loads; got: {reason}"
        ) from error
    model, account = loaded
    _check_loaded(folder, tokenizer, model, account["missing_keys"])
    return tokenizer, model.eval()


def _check_architecture(folder: Path, config: dict[str, Any]) -> None:
    named = config.get("architectures") or ["none"]
    what = ", ".join(map(str, named))
    other = next((name for name in _OTHER_INPUTS if name in config), None)
    if other or config.get("is_encoder_decoder") or not str(named[0]).endswith(_CAUSAL):
        raise DataError(
            f"Expected a causal language model in {folder}: architectures in config.json ending in "
            f"{' or '.join(_CAUSAL)}, text alone; got {what}{' with ' + other if other else ''}. Name "
            "another folder, or serve the model behind an endpoint and name that."
        )


def _check_loaded(folder: Path, tokenizer: Any, model: Any, missing: set[str]) -> None:
    if missing:
        raise DataError(
            f"Expected all weights of {type(model).__name__} in {folder}; missing: "
            f"{', '.join(sorted(missing)[:5])}. Fetch the folder again."
        )
    if "past_key_values" not in inspect.signature(model.forward).parameters:
        raise DataError(
            f"Expected a model in {folder} that keeps keys and values of what it has read; "
            f"{type(model).__name__} does not. Name another folder."
        )
    words = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > words:
        raise DataError(
            f"Expected a tokenizer of at most {words} tokens in {folder}, got {len(tokenizer)}. Take the one "
            "that belongs to the model."
        )


def _read_object(path: Path, what: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError(f"Expected {what} at {path}, found no file.") from error
    except ValueError as error:
        raise DataError(f"Expected JSON in {path}, got something else: {error}. Fetch it again.") from error
    if not isinstance(content, dict):
        raise DataError(f"Expected a JSON object in {path}, got {type(content).__name__}. Fetch it again.")
    return content


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
