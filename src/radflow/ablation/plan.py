"""Which runs an ablation takes, and which stages of theirs are run once.

A cell is one recipe: a row on a recipe with a seed. Rows that come to the same recipe share a cell. Cells of
one seed whose recipes agree up to a stage share that stage: it is a task of its own, in a folder that is a
run itself, and cells begin with hard links to what it left (`radflow.ablation.sharing`). What agrees is
decided by what the stages of a run depend on (`radflow.run.inputs`), so a shared stage is one that the cell
would skip as done already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from radflow import __version__
from radflow.ablation.definition import Definition, Row, options_of
from radflow.config import Evaluation, Recipe, Reward, load_recipe
from radflow.errors import RadflowError, RecipeError
from radflow.run.inputs import own_inputs
from radflow.workspace import file_fingerprint, fingerprint

SHARED = ("prepare", "sft", "predict", "exploration", "rft")
"""Stages that cells share, each with those before it; what comes after is the cell's own."""
LAST = "evaluation"
"""The stage that finishes a cell."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A recipe that somebody named: a column of the tables.

    Attributes:
        label: printed for it.
        path: its file.
        folder: where relative paths in it start; its own when not given.
    """

    label: str
    path: Path
    folder: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something to run: the stages that cells share, or a cell.

    Attributes:
        key: of everything that its result depends on.
        recipe: with its own folder as ``out``.
        stage: the last one that it runs.
        parent: the task whose stages it begins with.
        title: for people.
    """

    key: str
    recipe: Recipe
    stage: str
    parent: Task | None
    title: str

    @property
    def folder(self) -> Path:
        """The run's."""
        return self.recipe.out


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that an ablation runs.

    Attributes:
        definition: what was asked.
        sources: the recipes, in the order given.
        seeds: of every cell.
        out: the ablation's folder.
        tasks: in an order in which each comes after its parent.
        cells: place of the source, title of the row and seed, to the task of the cell.
    """

    definition: Definition
    sources: tuple[Source, ...]
    seeds: tuple[int, ...]
    out: Path
    tasks: tuple[Task, ...]
    cells: Mapping[tuple[int, str, int], Task]


def make_plan(
    definition: Definition,
    path: Path,
    sources: Sequence[Source],
    *,
    overrides: Mapping[str, str],
    seeds: Sequence[int] | None,
    out: Path,
) -> Plan:
    """Plan an ablation.

    Args:
        definition: what was asked.
        path: its file, for messages and relative paths.
        sources: the recipes.
        overrides: of every row, from the command line; a row's own go before them.
        seeds: of every cell; each recipe's own when not given, which must be the same.
        out: the ablation's folder.

    Raises:
        RecipeError: an override is not of a recipe, or out of range; names file and row.
    """
    named: dict[tuple[int, str, int], Recipe] = {}
    for place, source in enumerate(sources):
        base = load_recipe(source.path, dict(overrides), folder=source.folder)
        for row in definition.rows:
            if not row.unavailable:
                for seed in seeds or (base.seed,):
                    recipe = _recipe(source, row, definition, path, overrides, seed)
                    named[place, row.title, seed] = recipe
    found = tuple(dict.fromkeys(seed for _, _, seed in named))
    if seeds is None and len(found) > 1:
        raise RecipeError(
            f"expected recipes of one seed, got {', '.join(map(str, found))}; say which with --seeds"
        )
    tasks, cells = _tasks(named, sources, out.absolute())
    return Plan(
        definition=definition,
        sources=tuple(sources),
        seeds=tuple(seeds or found),
        out=out.absolute(),
        tasks=tasks,
        cells=cells,
    )


def _recipe(
    source: Source,
    row: Row,
    definition: Definition,
    path: Path,
    overrides: Mapping[str, str],
    seed: int,
) -> Recipe:
    options = {**overrides, **options_of(row, definition, path), "seed": str(seed)}
    try:
        return load_recipe(source.path, options, folder=source.folder)
    except RecipeError as error:
        # What the row or the command set is blamed as an option; the recipe itself was read before.
        raise RecipeError(f"{path}: row {row.title!r}: {str(error).removeprefix('--')}") from None


def _tasks(
    named: Mapping[tuple[int, str, int], Recipe], sources: Sequence[Source], out: Path
) -> tuple[tuple[Task, ...], dict[tuple[int, str, int], Task]]:
    """The tasks in order, and the cell of each row."""
    keys = {cell: _stage_keys(recipe) for cell, recipe in named.items()}
    under: dict[tuple[str, str], dict[str, None]] = {}  # a stage with its key, to the cells that share it
    for found in keys.values():
        for level in found.items():
            under.setdefault(level, {})[found[LAST]] = None
    tasks: dict[tuple[str, str], Task] = {}
    cells = {}
    for cell, recipe in named.items():
        place, row, seed = cell
        levels = list(keys[cell].items())
        parent: Task | None = None
        for level, deeper in zip(levels, [*levels[1:], None], strict=True):
            stage, key = level
            if deeper is not None and (len(under[level]) == 1 or under[level] == under[deeper]):
                continue
            label, name = sources[place].label, f"{_slug(sources[place].label)}-seed{seed}-{key[:8]}"
            folder = out / "runs" / name if stage == LAST else out / "stages" / f"{stage}-{name}"
            shown = row if stage == LAST else f"stages up to {stage} of {len(under[level])} cells"
            title = f"{shown}, seed {seed}" if len(sources) == 1 else f"{label}: {shown}, seed {seed}"
            parent = tasks.setdefault(
                level,
                Task(
                    key=f"{stage}-{key}",
                    recipe=_up_to(stage, recipe).model_copy(update={"out": folder}),
                    stage=stage,
                    parent=parent,
                    title=title,
                ),
            )
        assert parent is not None
        cells[cell] = parent
    return tuple(tasks.values()), cells


def _up_to(stage: str, recipe: Recipe) -> Recipe:
    """The recipe without what later stages need: what one cell lacks is that cell's own trouble."""
    if stage == LAST:
        return recipe
    evaluation = Evaluation(batch_size=recipe.evaluation.batch_size)
    reward = recipe.reward if stage == "rft" else Reward()
    return recipe.model_copy(update={"evaluation": evaluation, "reward": reward})


def _stage_keys(recipe: Recipe) -> dict[str, str]:
    """Stage to a fingerprint of all that its result depends on; those that are shared, and the last one."""
    own = own_inputs(recipe, recipe.evaluation.trained_controls)
    before: list[object] = [__version__, recipe.seed, recipe.threads]
    keys = {}
    for stage in (*SHARED, LAST):
        before.append([own[stage]] if stage in SHARED else list(own.values()))
        keys[stage] = fingerprint(before)
    return keys


_ELSEWHERE: Any = {
    **dict.fromkeys(("name", "out", "threads", "track", "seed"), True),
    "policy": {"image_features_folder"},
    "judge": {"store"},
}
"""Of a recipe, what changes no figure."""


def identity(recipe: Recipe) -> str:
    """What a cell's figures depend on, wherever its data lie, on however many threads, under whatever name.

    Of the settings those that differ from their defaults, so that a knob which radflow gets later does not
    make other cells of old ones.
    """
    folders = {str(value) for value in _paths(recipe)}

    def placeless(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: placeless(one) for name, one in value.items() if one != {}}
        return None if isinstance(value, str) and value in folders else value

    said = recipe.model_dump(mode="json", exclude_defaults=True, exclude=_ELSEWHERE)
    manifest = recipe.data.manifest
    content = file_fingerprint(manifest) if manifest is not None and manifest.is_file() else None
    return fingerprint([__version__, recipe.seed, placeless(said), content])


def _paths(section: BaseModel) -> Iterator[Path]:
    for _, value in section:
        if isinstance(value, BaseModel):
            yield from _paths(value)
        elif isinstance(value, Path):
            yield value


def needed(cells: Iterable[Task]) -> list[Task]:
    """The tasks with those that they build on, each after its parent."""
    found: dict[str, Task] = {}

    def add(task: Task) -> None:
        if task.parent is not None:
            add(task.parent)
        found.setdefault(task.key, task)

    for task in cells:
        add(task)
    return list(found.values())


def _slug(label: str) -> str:
    """A name as part of a folder's.

    >>> _slug("recipes/IU X-Ray.toml")
    'recipes-iu-x-ray.toml'
    """
    return re.sub(r"[^\w.]+", "-", label.lower()).strip("-.") or "recipe"


def obstacles(plan: Plan) -> dict[str, str]:
    """What would end a cell at its start, by the key of its task: a model or package that is not there."""
    from radflow.run.starting import check_start

    found = {}
    for task in plan.cells.values():
        try:
            check_start(task.recipe)
        except RadflowError as error:
            found[task.key] = str(error)
    return found
