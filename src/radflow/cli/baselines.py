"""``radflow baselines``: the compared systems, listed; their published weights, made loadable."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App
from rich.table import Table
from rich.text import Text

from radflow.baselines.systems import BASELINES, System, system
from radflow.cli import screens
from radflow.errors import MissingFileError, RecipeError
from radflow.modality import attribute

baselines = App(name="baselines", help="The compared systems: list them, make published weights loadable.")


@baselines.default
def show() -> None:
    """Every compared system: what it is, how it runs here, its licence, its row in the paper."""
    table = Table.grid(padding=(0, 2, 1, 0))
    for name, known in BASELINES.items():
        table.add_row(name, Text("\n".join(_lines(name, known))))
    screens.screen.print(table)


@baselines.command
def convert(name: str, /, *sources: Path, out: Path) -> None:
    """Write published weights as a folder that `policy.model` takes, and say what was left over.

    No code of theirs runs: weights are read as tensors.

    Args:
        name: The system, as `radflow baselines` lists it.
        sources: Its published files or folders, as the list says.
        out: Folder to write; it must not be there.
    """
    known = system(name)
    if known.convert is None:
        able = [other for other, one in BASELINES.items() if one.convert is not None]
        raise RecipeError(
            f"{name}: no published weights are read; of these they are: {', '.join(able) or 'none'}"
        )
    if not sources:
        raise RecipeError(f"{name}: expected {known.checkpoint}, got nothing")
    if missing := [path for path in sources if not path.exists()]:
        raise MissingFileError(f"{missing[0]}: not there; expected {known.checkpoint}")
    if out.exists():
        raise RecipeError(f"{out}: there already, and left as it is; give another place with --out")
    from radflow.folders import replaced_folder

    out.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(out) as fresh:
        left = attribute(known.convert)(sources, fresh)
    for line in left:
        screens.screen.print(line, markup=False)
    screens.screen.print(f"wrote {out}; use it with --policy.model {out}", markup=False)


def _lines(name: str, known: System) -> list[str]:
    trains = f"yes, from noise: --policy.model {name}" if known.build else "no"
    reads = f"yes: radflow baselines convert {name} ({known.checkpoint})" if known.convert else "no"
    return [
        known.what,
        f"runs: {known.run}" if known.run else f"trains here: {trains}",
        *([] if known.run else [f"published weights: {reads}"]),
        f"licence: {known.licence}",
        f"in the paper: {known.row}",
    ]
