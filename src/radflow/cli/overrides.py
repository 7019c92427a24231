"""``--section.key VALUE`` on the command line: knobs of the recipe beside the options of a command."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from radflow.config import Recipe, load_recipe
from radflow.errors import MissingFileError, RecipeError, did_you_mean

Overrides = Annotated[
    str,
    Parameter(show=False, allow_leading_hyphen=True, help="Any knob of the recipe, as --section.key VALUE."),
]
SHIPPED = Path(__file__).parents[1] / "recipes"


def read_recipe(path: Path | str, overrides: tuple[str, ...]) -> Recipe:
    """Load a recipe: a file, or the name of a shipped one; with overrides from the command line."""
    path = Path(path)
    if not path.exists() and path.suffix == "":
        names = sorted(shipped.stem for shipped in SHIPPED.glob("*.toml"))
        if path.name not in names:
            raise MissingFileError(
                f"{path}: no such recipe; expected a TOML file, or one of {', '.join(names)}."
                + did_you_mean(path.name, names)
            )
        path = SHIPPED / f"{path.name}.toml"
    return load_recipe(path, pairs_of(overrides))


def pairs_of(tokens: tuple[str, ...]) -> dict[str, str]:
    """``--section.key VALUE`` and ``--section.key=VALUE`` as a dictionary."""
    pairs: dict[str, str] = {}
    rest = list(tokens)
    while rest:
        key = rest.pop(0)
        if not key.startswith("--"):
            raise RecipeError(f"expected --section.key VALUE, got {key!r}")
        name, equals, value = key[2:].partition("=")
        if not equals:
            if not rest:
                raise RecipeError(f"--{name}: expected a value after it")
            value = rest.pop(0)
        pairs[name.replace("-", "_")] = value
    return pairs


def judge_options(overrides: tuple[str, ...], command: Callable[..., None]) -> dict[str, str]:
    """What is left for a judge's knobs; an option that the command does not have is an error."""
    pairs = pairs_of(overrides)
    for name in pairs:
        if "." not in name:
            options = [known.replace("_", "-") for known in signature(command).parameters]
            option = name.replace("_", "-")
            raise RecipeError(f"--{option}: no such option.{did_you_mean(option, options)}")
    return pairs
