"""``--dry-run``: check and try once everything that a run needs, before the first hour is spent.

The checks of every start come first. Then the first studies of the data set are read, and the few with the
longest reports go through the run's own stages in a temporary folder, as a run of a few steps: nothing here
is a copy of training code. No judge is asked (the rules stand in), no model is fetched, and the run's own
folder is not touched. The estimate is the time of a step times the number of steps in the recipe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table

from radflow.cli import screens
from radflow.cli.overrides import as_flags
from radflow.config import Recipe
from radflow.errors import RadflowError, RecipeError, TrainingError
from radflow.run.rehearsal import NotHereError, Rehearsal


@dataclass(frozen=True, kw_only=True)
class Check:
    """A line of the table."""

    name: str
    state: Literal["ok", "failed", "not tried"]
    found: str


def dry_run(screen: Console, recipe: Recipe, *, after: str | None, flags: Mapping[str, str]) -> None:
    """Check, try, measure, and print one table.

    Args:
        screen: where it is printed.
        recipe: of the run.
        after: the stage that must be done before the one that is asked for.
        flags: how keys of the recipe are said, as `radflow.cli.overrides.in_flags` wants them.

    Raises:
        RecipeError: there are several processes.
        TrainingError: something failed; the table says what.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError("--dry-run: expected one process, got several; it measures one: leave torchrun out")
    with TemporaryDirectory(prefix="radflow-dry-run-") as folder:
        rehearsal = Rehearsal(recipe, Path(folder))
        checks: list[Check] = []
        table = Table("check", "state", "what it found", box=box.SIMPLE_HEAD, show_edge=False)
        with screen.status("dry run") as status:
            for name, needs, look in rehearsal.steps(after):
                status.update(f"dry run: {name}")
                checks.append(_tried(name, needs, look, checks))
        for check in checks:
            colour = {"ok": "green", "failed": "red", "not tried": "yellow"}[check.state]
            table.add_row(
                check.name, f"[{colour}]{check.state}[/]", screens.plain(as_flags(check.found, flags))
            )
        screen.print(f"dry run of {recipe.name}", markup=False)
        screen.print(table)
        for line in rehearsal.basis():
            screen.print(line, markup=False)
    failed = [check.name for check in checks if check.state == "failed"]
    if failed:
        raise TrainingError(f"the dry run failed at: {', '.join(failed)}; the table says why")


def _tried(name: str, needs: Sequence[str], look: Callable[[], str], before: Sequence[Check]) -> Check:
    lacking = [c.name for c in before if c.name in needs and c.state != "ok"]
    if lacking:
        return Check(name=name, state="not tried", found=f"needs: {', '.join(lacking)}")
    try:
        return Check(name=name, state="ok", found=look())
    except RadflowError as error:
        return Check(name=name, state="failed", found=str(error))
    except NotHereError as why:
        return Check(name=name, state="not tried", found=str(why))
    except Exception as error:  # the point of a dry run is to meet what nobody expected
        said = str(error).strip().splitlines() or [""]
        return Check(name=name, state="failed", found=f"{type(error).__name__}: {said[0]}")
