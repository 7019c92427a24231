"""``--section.key VALUE`` on the command line: knobs of the recipe beside the options of a command."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from radflow.cli.run.recipes import SHIPPED, find_recipe
from radflow.config import Recipe, knob_of, knobs, load_recipe, suggest_option
from radflow.errors import RadflowError, RecipeError, did_you_mean

OF_RUN = {knob.partition(".")[0]: f"--{knob.partition('.')[0]}." for knob in knobs() if "." in knob}
OF_JUDGE = {"judge": "--judge."}
OF_DATA = {"data": "--"}
"""How a command without a recipe spells the keys of a section; for `in_flags`."""

Overrides = Annotated[
    str,
    Parameter(show=False, allow_leading_hyphen=True, help="Any knob of the recipe, as --section.key VALUE."),
]


def read_recipe(path: Path | str | None, overrides: tuple[str, ...]) -> Recipe:
    """Load a recipe: a file, or the name of a shipped one; with overrides from the command line.

    Relative paths in a shipped recipe start in ``recipes`` of the current folder, as `radflow init` would
    copy it there: next to the installed package nobody has data.
    """
    found = find_recipe(path)
    folder = Path.cwd() / "recipes" if found.parent == SHIPPED else None
    return load_recipe(found, _options(overrides), folder=folder)


def pairs_of(tokens: tuple[str, ...]) -> dict[str, str]:
    """``--section.key VALUE`` and ``--section.key=VALUE`` as a dictionary, by the names of the keys."""
    return {knob_of(option): value for option, value in _options(tokens).items()}


def _options(tokens: tuple[str, ...]) -> dict[str, str]:
    """The same by what was typed."""
    pairs: dict[str, str] = {}
    rest = list(tokens)
    while rest:
        option = rest.pop(0)
        if not option.startswith("--"):
            meant = f" Did you mean '--{option}'?" if knob_of(option) in knobs() else ""
            raise RecipeError(f"expected an option as --name VALUE, got {option!r}.{meant}")
        name, equals, value = option[2:].partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                meant = "" if knob_of(name) in knobs() else _suggestion(name)
                raise RecipeError(
                    f"--{name}: expected a value after it, got {rest[0] if rest else 'none'}.{meant}"
                )
            value = rest.pop(0)
        pairs[name] = value
    return pairs


def _suggestion(name: str) -> str:
    return did_you_mean(f"--{name}", ["--dry-run", "--explain", "--texts"]) or suggest_option(name)


def judge_options(overrides: tuple[str, ...], command: Callable[..., object]) -> dict[str, str]:
    """What is left for a judge's knobs; an option that the command does not have is an error."""
    pairs = pairs_of(overrides)
    for name in pairs:
        if "." not in name:
            options = [known.replace("_", "-") for known in signature(command).parameters]
            option = name.replace("_", "-")
            raise RecipeError(f"--{option}: no such option.{did_you_mean(option, options)}")
    return pairs


def flags_of(recipe: Path | None) -> Mapping[str, str]:
    """For `in_flags`: of a run whose recipe is not the user's own file."""
    return {} if recipe is not None and recipe.suffix else OF_RUN


@contextmanager
def in_flags(flags: Mapping[str, str]) -> Generator[None]:
    """Let errors name the option that a user without a recipe can type, where they name a recipe's key.

    Args:
        flags: what stands before the key of a section: ``{"data": "--"}``, ``{"judge": "--judge."}``.
    """
    try:
        yield
    except RadflowError as error:
        error.args = (as_flags(str(error), flags),)
        raise


def as_flags(text: str, flags: Mapping[str, str]) -> str:
    """A text with keys of a recipe as options.

    >>> as_flags("name it in data.columns.view, or use views = 'all'; see data.csv", {"data": "--"})
    "name it in --columns.view, or use --views 'all'; see data.csv"
    >>> as_flags("Set allow_remote_text = true", {"judge": "--judge."})
    'Set --judge.allow-remote-text true'
    """
    for section, flag in flags.items():
        names = [knob.removeprefix(f"{section}.") for knob in knobs() if knob.startswith(f"{section}.")]
        names = sorted({*names, *(n.partition(".")[0] for n in names)}, key=len, reverse=True)
        words = "|".join(map(re.escape, names))
        pattern = rf"(?<![\w./'-])(?:{section}\.({words})\b( = )?|({words})( = ))"
        text = re.sub(pattern, partial(_as_flag, flag), text)
    return text


def _as_flag(flag: str, found: re.Match[str]) -> str:
    name = (found[1] or found[3]).replace("_", "-")
    return f"{flag}{name}{' ' if found[2] or found[4] else ''}"


def names_in(value: str) -> list[str]:
    """The names of an option that takes several, separated by commas.

    >>> names_in("bleu2, rouge_l,")
    ['bleu2', 'rouge_l']
    """
    return [name for part in value.split(",") if (name := part.strip())]
