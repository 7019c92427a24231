"""Recipes as TOML: read, override, check, write."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from radflow.config.recipe import Recipe
from radflow.errors import MissingFileError, RecipeError, did_you_mean

_PATHS = ("data.manifest", "data.root", "data.images", "data.reports", "judge.store")
"""Written absolute, so that the recipe in a run's folder means the same as the one it came from."""


def load_recipe(path: Path | str, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Read a recipe file and apply ``section.key`` overrides.

    Relative paths in the file (``data.manifest``, ``data.root``, ``data.images``, ``data.reports``,
    ``judge.store``) are taken from the recipe's folder; ``out`` and overrides from the current folder.

    Raises:
        MissingFileError: there is no such file.
        RecipeError: it is not TOML, a key is unknown (with a suggestion), or a value is out of range.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such recipe; `ls recipes` shows the shipped ones") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: expected TOML, got {error}") from None
    for section, key in (dotted.split(".") for dotted in _PATHS):
        knobs = raw.get(section)
        if isinstance(knobs, dict) and isinstance(knobs.get(key), str):
            knobs[key] = str(path.absolute().parent / Path(knobs[key]).expanduser())
    for key, value in (overrides or {}).items():
        _assign(raw, key, value if key not in _PATHS else str(Path(value).expanduser().absolute()))
    return make_recipe(raw, where=str(path))


def make_recipe(raw: Mapping[str, Any], *, where: str = "recipe") -> Recipe:
    """Validate nested dictionaries into a recipe; ``where`` opens every error message.

    >>> make_recipe({"rft": {"steps": 3}}).rft.steps
    3
    >>> make_recipe({"rft": {"stepz": 3}})
    Traceback (most recent call last):
    ...
    radflow.errors.RecipeError: recipe: unknown key 'rft.stepz'. Did you mean 'steps'?
    """
    try:
        return Recipe.model_validate(dict(raw))
    except ValidationError as error:
        raise RecipeError("; ".join(f"{where}: {_explain(e)}" for e in error.errors())) from None


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as TOML with every default written out; ``load_recipe`` reads it back."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))


def _assign(raw: dict[str, Any], dotted: str, value: str) -> None:
    """Set ``raw[a][b] = value`` for ``a.b``; pydantic turns the text into the field's type."""
    *sections, key = dotted.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise RecipeError(f"--{dotted}: '{section}' is a value, not a section")
    raw[key] = value


def _explain(error: Mapping[str, Any]) -> str:
    location = [str(part) for part in error["loc"]]
    dotted = ".".join(location)
    if error["type"] == "extra_forbidden":
        return f"unknown key '{dotted}'.{did_you_mean(location[-1], _fields_of(location[:-1]))}"
    if error["type"] == "value_error":
        return f"[{dotted}] {error['ctx']['error']}" if dotted else str(error["ctx"]["error"])
    return f"{dotted}: {error['msg']}, got {error['input']!r}"


def _fields_of(location: list[str]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
