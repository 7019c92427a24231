"""``radflow init``: the recipes that come with radflow, listed, explained and copied."""

from __future__ import annotations

import os
import re
from itertools import takewhile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from radflow.config import Recipe, load_recipe
from radflow.errors import MissingFileError, RecipeError, did_you_mean
from radflow.files import write_atomic

SHIPPED = Path(__file__).parents[2] / "recipes"
_ABOUT = 220  # characters


def find_recipe(path: Path | str | None) -> Path:
    """The file of a recipe: what was named, or the shipped one of that name.

    Raises:
        RecipeError: none was named.
        MissingFileError: there is none of that name.
    """
    names = shipped_names()
    if path is None:
        raise RecipeError(
            f"expected a recipe: a TOML file, or one of {', '.join(names)}; `radflow init` says what "
            "each is, `radflow run quickstart` starts the small one"
        )
    path = Path(path)
    if path.is_dir():
        raise RecipeError(f"{path}: expected a recipe (TOML), got a folder{_recipe_inside(path)}")
    if path.suffix or path.exists():
        return path
    if path.name != str(path) or path.name not in names:
        raise MissingFileError(
            f"{path}: no such recipe; expected a TOML file, or one of {', '.join(names)}."
            + did_you_mean(path.name, names)
        )
    return SHIPPED / f"{path.name}.toml"


def _recipe_inside(folder: Path) -> str:
    inside = folder / "recipe.toml"
    return f"; did you mean {inside}?" if inside.is_file() else ""


def shipped_names() -> list[str]:
    """Of the recipes that come with radflow."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def init_command(screen: Console, name: str | None, out: Path | None) -> None:
    """List the shipped recipes, or copy one of them.

    Raises:
        RecipeError: a place for a copy of nothing.
        MissingFileError: there is no such recipe.
        NotWritableError: the place cannot be written, or is taken.
    """
    if name is None:
        if out is not None:
            raise RecipeError(f"--out: expected a recipe to copy too, one of {', '.join(shipped_names())}")
        screen.print(_listing())
        screen.print("copy one:   radflow init NAME [--out FILE.toml]")
        screen.print("check it:   radflow run FILE.toml --dry-run")
        screen.print("start it:   radflow run FILE.toml      (or by its name, as it is)")
        return
    if name not in shipped_names():
        raise MissingFileError(
            f"{name}: no such recipe; expected one of {', '.join(shipped_names())}."
            + did_you_mean(name, shipped_names())
        )
    target = Path(f"{name}.toml") if out is None else out
    if target.is_dir():
        target /= f"{name}.toml"
    if target.exists():
        raise RecipeError(f"{target}: there already, and left as it is; give another place with --out")
    write_atomic(target, _moved((SHIPPED / f"{name}.toml").read_text(encoding="utf-8"), target))
    screen.print(f"wrote {target}", markup=False)
    screen.print(f"next: edit it, then radflow run {target} --dry-run", markup=False)


def _moved(text: str, target: Path) -> str:
    """The text with its paths, which start in the folder ``recipes``, starting in the folder of the copy."""
    here = os.path.relpath(Path.cwd(), target.absolute().parent)
    return text.replace("../data/", "data/" if here == "." else f"{Path(here).as_posix()}/data/")


def _listing() -> Table:
    table = Table.grid(padding=(0, 2, 1, 0))
    for name in shipped_names():
        path = SHIPPED / f"{name}.toml"
        table.add_row(name, f"{_about(path)}\n{_settings(load_recipe(path))}")
    return table


def _about(path: Path) -> str:
    """The first sentences of a recipe's opening comment: as many as fit in three lines, one at least."""
    comment = takewhile(lambda line: re.match("# ?\\S", line), path.read_text(encoding="utf-8").splitlines())
    first, *others = re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(line.lstrip("# ") for line in comment))
    while others and len(first) + len(others[0]) < _ABOUT:
        first += f" {others.pop(0)}"
    return first.rstrip(":")


def _settings(recipe: Recipe) -> str:
    sft, rft = recipe.sft, recipe.rft
    judges = dict.fromkeys((recipe.reward.judge, recipe.data.triage))
    return (
        f"data {recipe.data.source}; model {recipe.policy.model}; judge {', '.join(judges)}; "
        f"SFT {sft.epochs:g} epochs, batch {sft.batch_size}; keeps {recipe.exploration.keep_percent:g} %; "
        f"RFT {rft.steps:,} steps of {rft.studies_per_step} x {rft.group_size} reports; out {recipe.out}"
    )
