"""Recipes as TOML: read, override, check, write."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from radflow.config.packaged import PACKAGED
from radflow.config.policy import FROM_NOISE, SMALL
from radflow.config.recipe import Recipe
from radflow.errors import MissingFileError, RecipeError, did_you_mean

_PATHS = (
    "data.manifest",
    "data.root",
    "data.images",
    "data.reports",
    "data.headers",
    "judge.store",
    "policy.image_features_folder",
)
"""Written absolute, so that the recipe in a run's folder means the same as the one it came from."""
_MODELS = ("policy.model", "policy.tiny.tower")
"""Likewise where it is a folder, and not a name."""
_NAMES = ("", *FROM_NOISE, SMALL, *PACKAGED)
"""Of models, whatever folders there are."""
_RETIRED = {
    ("rft", "stale_updates"): 0,
    ("policy", "image_cache_gib"): 0.0,
    ("evaluation", "confidence"): 0.95,
}
"""Knobs that are gone, with the value that changes nothing: older runs have written every default out."""


def load_recipe(
    path: Path | str, overrides: Mapping[str, str] | None = None, *, folder: Path | None = None
) -> Recipe:
    """Read a recipe file and apply ``section.key`` overrides.

    Relative paths in the file (``data.manifest``, ``data.root``, ``data.images``, ``data.reports``,
    ``judge.store`` and others) are taken from the recipe's folder; ``out`` and overrides from the current
    folder. A ``policy.model`` or ``policy.tiny.tower`` that is a folder, from either, becomes its absolute
    path.

    Args:
        path: the file.
        overrides: as the command line writes them, ``rft.inner_steps`` or ``rft.inner-steps``.
        folder: where relative paths of the file start instead.

    Raises:
        MissingFileError: there is no such file.
        RecipeError: it is not TOML, a key is unknown (with a suggestion), or a value is out of range. What an
            override did is blamed on the override.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such recipe; `radflow init` lists the shipped ones") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: expected TOML, got {error}") from None
    except OSError as error:
        raise RecipeError(f"{path}: the recipe cannot be read ({error.strerror or error})") from None
    _drop_retired(raw, path)
    start = path.absolute().parent if folder is None else folder
    for dotted in (*_PATHS, *_MODELS):
        *sections, key = dotted.split(".")
        knobs: Any = raw
        for section in sections:
            knobs = knobs.get(section) if isinstance(knobs, dict) else None
        if isinstance(knobs, dict) and isinstance(value := knobs.get(key), str):
            knobs[key] = placed(dotted, value, start)
    written, options = deepcopy(raw), {knob_of(option): option for option in overrides or {}}
    for dotted, option in options.items():
        _assign(raw, dotted, placed(dotted, (overrides or {})[option], Path.cwd()))
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        old = [(e["loc"], e["type"]) for e in _errors(written)]
        blamed = {True: options, False: {}}
        raise RecipeError(
            "; ".join(
                _explain(e, str(path), blamed[(e["loc"], e["type"]) not in old]) for e in error.errors()
            )
        ) from None


def placed(dotted: str, value: str, start: Path) -> str:
    """The value of a knob, made absolute where it is a path; a model's name that is no folder stays as it is.

    Args:
        dotted: the knob.
        value: as it was written.
        start: the folder where relative paths start.

    >>> placed("data.root", "../cxr", Path("/data/recipes")), placed("rft.steps", "3", Path("/data"))
    ('/data/cxr', '3')
    """
    if dotted in _PATHS:
        return os.path.normpath(start / Path(value).expanduser())
    return _as_folder(value, start, Path.cwd()) if dotted in _MODELS else value


def _as_folder(name: str, *starts: Path) -> str:
    """A name as the path of the first folder that it names; as it is where it names none."""
    if name in _NAMES:
        return name
    places = (start / Path(name).expanduser() for start in starts)
    return next((os.path.normpath(place) for place in places if place.is_dir()), name)


def _drop_retired(raw: dict[str, Any], path: Path) -> None:
    for (section, key), neutral in _RETIRED.items():
        knobs = raw.get(section)
        if isinstance(knobs, dict) and key in knobs and (value := knobs.pop(key)) != neutral:
            raise RecipeError(
                f"{path}: {section}.{key} = {value!r} is gone; radflow does what {neutral!r} did. "
                "Take the line out"
            )


def make_recipe(
    raw: Mapping[str, Any], *, where: str = "recipe", options: Mapping[str, str] | None = None
) -> Recipe:
    """Validate nested dictionaries into a recipe.

    Args:
        raw: sections and their keys.
        where: what they were read from; it opens every error message.
        options: the keys that came from the command line, each with the option that the user typed.

    >>> make_recipe({"rft": {"steps": 3}}).rft.steps
    3
    >>> make_recipe({"rft": {"stepz": 3}})
    Traceback (most recent call last):
    ...
    radflow.errors.RecipeError: recipe: unknown key 'rft.stepz'. Did you mean 'steps'?
    >>> make_recipe({"rft": {"stepz": 3}}, options={"rft.stepz": "rft.stepz"})
    Traceback (most recent call last):
    ...
    radflow.errors.RecipeError: --rft.stepz: no such option. Did you mean '--rft.steps'?
    """
    try:
        return Recipe.model_validate(dict(raw))
    except ValidationError as error:
        raise RecipeError("; ".join(_explain(e, where, options or {}) for e in error.errors())) from None


def knobs(model: type[BaseModel] = Recipe, section: str = "") -> Iterator[str]:
    """Every key of a recipe, dotted.

    >>> list(knobs())[:2], "rft.steps" in knobs(), "policy.tiny.heads" in knobs(), "rft" in knobs()
    (['name', 'seed'], True, True, False)
    """
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        yield from (f"{section}{name}",) if inner is None else knobs(inner, f"{section}{name}.")


def knob_of(option: str) -> str:
    """The key that an option names; the user's own words in it (of ``data.splits``) stay as they are.

    >>> knob_of("rft.inner-steps"), knob_of("data.splits.hold-out")
    ('rft.inner_steps', 'data.splits.hold-out')
    """
    own = "data.splits."
    return option if option.startswith(own) else option.replace("-", "_")


def suggest_option(typed: str) -> str:
    """`did_you_mean` for an option that is no key of a recipe: keys with the same last word, or a close one.

    >>> suggest_option("learning-rate")
    " Did you mean '--sft.learning-rate' or '--rft.learning-rate' or '--controls.learning-rate'?"
    >>> suggest_option("rft-steps"), suggest_option("sed"), suggest_option("zzzzz")
    (" Did you mean '--rft.steps'?", " Did you mean '--seed'?", '')
    """
    dotted = knob_of(typed)
    last = dotted.rpartition(".")[2]
    same = [knob for knob in knobs() if knob.rpartition(".")[2] == last]
    if not same:
        same = get_close_matches(dotted, list(knobs()), n=1, cutoff=0.7)
    spelt = [f"'--{knob.replace('_', '-') if '-' in typed else knob}'" for knob in same[:3]]
    return f" Did you mean {' or '.join(spelt)}?" if spelt else ""


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


def _errors(raw: Mapping[str, Any]) -> list[Any]:
    try:
        Recipe.model_validate(raw)
    except ValidationError as error:
        return list(error.errors())
    return []


def _explain(error: Mapping[str, Any], where: str, options: Mapping[str, str]) -> str:
    """One line; about the option that made the error, where one did."""
    location = [str(part) for part in error["loc"]]
    dotted = ".".join(location)
    typed = [option for knob, option in options.items() if _concerns(knob, dotted or _sections_in(error))]
    if typed and error["type"] == "extra_forbidden":
        meant = suggest_option(typed[0]) or did_you_mean(location[-1], _fields_of(location[:-1]))
        return f"--{typed[0]}: no such option.{meant}"
    if typed and error["type"] == "model_type":
        return (
            f"--{typed[0]}: a section; expected one of its keys, --{typed[0]}.KEY.{suggest_option(typed[0])}"
        )
    opening = ", ".join(f"--{option}" for option in typed) or where
    if error["type"] == "extra_forbidden":
        return f"{opening}: unknown key '{dotted}'.{did_you_mean(location[-1], _fields_of(location[:-1]))}"
    if error["type"] == "value_error":
        section = f"[{dotted}] " if dotted and not typed else ""
        return f"{opening}: {section}{error['ctx']['error']}"
    said = error["msg"].split(", unable to")[0].replace("Input should be", "expected")
    return f"{opening}: {'' if typed else f'{dotted}: '}{said}, got {error['input']!r}"


def _concerns(knob: str, dotted: str) -> bool:
    """Whether one is the other, or a part of it."""
    return knob == dotted or knob.startswith(f"{dotted}.") or dotted.startswith(f"{knob}.")


def _sections_in(error: Mapping[str, Any]) -> str:
    """The section that an error of the whole recipe speaks of."""
    return next((name for name in Recipe.model_fields if f"{name}." in str(error["msg"])), "")


def _section(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _fields_of(location: list[str]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        inner = _section(model.model_fields[part].annotation)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)
