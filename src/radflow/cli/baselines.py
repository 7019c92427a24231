"""``radflow baselines``: the compared systems, listed; published weights, made loadable; others, run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cyclopts import App
from rich.table import Table
from rich.text import Text

from radflow.baselines.systems import BASELINES, System, system
from radflow.cli import screens
from radflow.errors import DataError, MissingFileError, RecipeError
from radflow.modality import attribute

baselines = App(
    name="baselines", help="The compared systems: list them, make published weights loadable, run others."
)


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


@baselines.command
def run(
    studies: Path,
    /,
    *,
    contract: str,
    out: Path,
    split: Literal["train", "validate", "test"] = "test",
    timeout: float | None = None,
    folder: Path | None = None,
) -> None:
    """Let any other system write reports, in its own environment: ReXrank's contract.

    It is called as `COMMAND --input_json_file F --save_json_file G --img_root_dir D`. It sees images and
    context, and no reference. `radflow score OUT` scores what it wrote.

    Args:
        studies: A manifest; a run's folder; or a recipe whose run is prepared.
        contract: The command: 'ENVIRONMENT/bin/python inference.py'. No shell reads it.
        out: JSON file to write; what the system prints goes to OUT.log.
        split: Which studies.
        timeout: Seconds after which the system is ended; never when not given.
        folder: Where it runs; the current folder when not given.
    """
    from radflow.baselines.contract import Contract, run_contract
    from radflow.studies.manifest import read_manifest

    if out.suffix != ".json":
        raise RecipeError(f"--out: expected a name ending in .json, got {out}")
    if timeout is not None and timeout <= 0:
        raise RecipeError(f"--timeout: expected seconds above 0, got {timeout:g}")
    if folder is not None and not folder.is_dir():
        raise MissingFileError(f"--folder: no such folder: {folder}")
    manifest = _manifest(studies)
    read = read_manifest(manifest).studies
    chosen = [study for study in read if (study.split or "test") == split]
    if not chosen:
        raise DataError(f"{manifest}: expected studies of the split {split}, got none among {len(read):,}")
    out.parent.mkdir(parents=True, exist_ok=True)
    called = Contract(command=contract, timeout=timeout, folder=folder)
    empty = run_contract(called, chosen, out, out.with_name(f"{out.name}.log"))
    screen = screens.screen
    screen.print(f"wrote {len(chosen):,} reports to {out}", markup=False)
    if empty:
        screen.print(f"[yellow]warning[/]: {empty:,} of them are empty, and will be scored so")
    screen.print(f"next: radflow score {out}", markup=False)


def _manifest(studies: Path) -> Path:
    """The manifest behind a manifest, a run's folder, or a recipe."""
    if studies.suffix == ".toml":
        from radflow.cli.overrides import read_recipe

        studies = read_recipe(studies, ()).out
        if not studies.is_dir():
            raise MissingFileError(
                f"{studies}: no such run yet; `radflow run` prepares it, or name a manifest"
            )
    path = studies / "prepare" / "studies.jsonl" if studies.is_dir() else studies
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; expected a manifest, a run's folder or a recipe")
    return path


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
