"""The model that a recipe names: ``tiny``, ``small``, a folder, or a name on the hub; found without torch."""

from __future__ import annotations

import json
import os
from pathlib import Path

from radflow.config import Policy
from radflow.config.packaged import PACKAGED, look_for_package
from radflow.config.policy import FROM_NOISE, SMALL
from radflow.errors import DataError, MissingFileError, did_you_mean
from radflow.judges.llm.local_folder import weight_files

_HUB_SECONDS = 3.0
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")


def look_for_policy(knobs: Policy) -> str:
    """`look_for_model`, and the tower that the tiny policy is put on.

    Raises:
        MissingDependencyError: a packaged part is not installed.
        MissingFileError: no such folder, or no such name.
        DataError: it is a file.
    """
    tower = knobs.tiny.tower
    if not knobs.from_noise or tower is None:
        return look_for_model(knobs.model)
    if tower in PACKAGED:
        look_for_package(tower)
    elif Path(tower).exists() and not (Path(tower) / "config.json").is_file():
        raise DataError(
            f"{tower}: expected the folder of a vision tower (policy.tiny.tower), with config.json"
        )
    elif not Path(tower).is_dir() and (_is_path(tower) or not _is_cached(tower)):
        raise MissingFileError(
            f"{tower}: no such folder, and not in the local cache (policy.tiny.tower){near(Path(tower))}"
        )
    return f"{knobs.model}: built from the recipe, on the vision tower {tower}"


def look_for_model(name: str) -> str:
    """A model by what ``policy.model`` says: ``tiny``, ``small``, a folder, or a name on the hub.

    Raises:
        MissingDependencyError: a package that ``small`` is made from is not installed.
        MissingFileError: no such folder, or the folder lacks a file; no such name, or no way to the hub.
        DataError: it is a file.
    """
    if name in FROM_NOISE:
        return f"{name}: built from the recipe, trained whole"
    if name == SMALL:
        for part in PACKAGED:
            look_for_package(part)
        return f"small: {' and '.join(PACKAGED)}, from their packages"
    folder = Path(name)
    if folder.is_dir():
        return _model_in(folder)
    if folder.exists():
        raise DataError(f"{name}: expected the folder of a model, got a file")
    if _is_cached(name):
        return _on_hub(name, cached=True)
    if _is_path(name):
        raise MissingFileError(f"{name}: no such folder; expected a model (policy.model){near(folder)}")
    if "/" in name and folder.parent.is_dir():
        raise MissingFileError(
            f"{name}: no such folder{near(folder)}; as there is a folder {folder.parent}, it is not taken "
            f"for a name on the hub: hf download {name} first, if it is one"
        )
    if "/" not in name:
        built = (*FROM_NOISE, SMALL)
        raise MissingFileError(
            f"policy.model: expected {', '.join(map(repr, built))}, a folder, or a hub name as org/name; got "
            f"{name!r}, and there is no such folder.{did_you_mean(name, [*built, *_names(Path())])}"
        )
    return _on_hub(name, cached=False)


def model_in(path: Path) -> Path | None:
    """The model folder behind a path: the path itself, or of a run its RFT model, or else its SFT model."""
    places = (path, path / "rft" / "model", path / "sft" / "model")
    files = ("config.json", "adapter_config.json")
    return next((place for place in places if any((place / file).is_file() for file in files)), None)


def is_here(name: str) -> bool:
    """Whether a model that was found can be loaded without fetching it."""
    return name in (*FROM_NOISE, SMALL) or Path(name).is_dir() or _is_cached(name)


def _is_path(name: str) -> bool:
    """Whether a name that is not a folder can only have meant one.

    >>> [_is_path(name) for name in ("/models/x", "./x", "~/x", "org/name/", "a/b/c", "org/name")]
    [True, True, True, True, True, False]
    """
    windows = "\\" in name or name[1:2] == ":"
    return name.startswith(("/", ".", "~")) or name.endswith("/") or name.count("/") > 1 or windows


def _model_in(folder: Path) -> str:
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        base = json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path") or ""
        return f"adapter in {folder}, on {look_for_model(base)}"
    for names in (("config.json",), _PROCESSORS):
        if not any((folder / name).is_file() for name in names):
            raise MissingFileError(
                f"{folder}: expected the folder of a model (policy.model), with {' or '.join(names)}; "
                "found none"
            )
    size = sum(path.stat().st_size for path in weight_files(folder))
    return f"{folder}: {size / 1e9:.2f} GB of weights"


def _is_cached(name: str) -> bool:
    if Path(name).is_absolute() or not 0 <= name.count("/") <= 1:
        return False
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(name, "config.json"), str)
    except HFValidationError:
        return False


def _on_hub(name: str, *, cached: bool) -> str:
    """Ask the hub, once and briefly; without an answer a cached model is used, and nobody asks again."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RepositoryNotFoundError

    where = f"{name}: in the local cache"
    if constants.is_offline_mode():
        if cached:
            return f"{where} (HF_HUB_OFFLINE)"
        raise MissingFileError(
            f"{name}: not in the local cache, and HF_HUB_OFFLINE is set; no such folder either"
        )
    try:
        info = HfApi().model_info(name, timeout=_HUB_SECONDS, files_metadata=True)
    except RepositoryNotFoundError:
        raise MissingFileError(
            f"{name}: no such model on the hub, or a private one (hf auth login); no such folder either"
        ) from None
    except Exception as error:  # of requests, httpx or httpx2, by the hub's version
        if not cached:
            raise MissingFileError(
                f"{name}: no such folder, not in the local cache, and the hub cannot be reached "
                f"({type(error).__name__}); name a folder, or fetch it first: hf download {name}"
            ) from None
        constants.HF_HUB_OFFLINE = True  # or each file of it costs half a minute of retries
        os.environ["HF_HUB_OFFLINE"] = "1"
        return f"{where}; the hub cannot be reached, and is not asked"
    size = sum(file.size or 0 for file in info.siblings or () if file.rfilename.endswith(".safetensors"))
    return where if cached else f"{name}: on the hub, {size / 1e9:.1f} GB to fetch"


def near(path: Path) -> str:
    """`did_you_mean` for a path that is not there, among what its folder holds."""
    return did_you_mean(path.name, _names(path.absolute().parent)).replace(" Did", "; did")


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
