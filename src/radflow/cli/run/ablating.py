"""``radflow ablate``: rows of overrides on recipes, over seeds; the paper's tables, or anyone's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich import box
from rich.table import Table

from radflow.cli import screens
from radflow.cli.overrides import names_in, pairs_of
from radflow.cli.run.recipes import SHIPPED, find_recipe
from radflow.errors import DataError, RecipeError, TrainingError
from radflow.files import make_folder

if TYPE_CHECKING:
    from rich.console import Console

    from radflow.ablation.forms import Line
    from radflow.ablation.plan import Plan, Source
    from radflow.ablation.results import AblationResult
    from radflow.ablation.scores import Scores

Words = Annotated[
    str,
    Parameter(
        name="RECIPE",
        allow_leading_hyphen=True,
        help="A TOML file, or the name of a shipped recipe; several are several columns.",
    ),
]


def ablate(
    *recipes: Words,
    table: Literal[1, 2, 3, 4, 5, 6] | None = None,
    ablation: Path | None = None,
    seeds: str | None = None,
    jobs: int = 1,
    out: Path | None = None,
    pool: str | None = None,
    plan: Annotated[bool, Parameter(negative=())] = False,
    figure: str | None = None,
    figure_rows: str | None = None,
    figure_format: str | None = None,
) -> None:
    """Run the rows of an ablation over seeds, and print the table with the paper's figures beside it.

    Each row is a run with some knobs changed; what runs have in common (studies, SFT, Target Exploration) is
    run once. Killed at any moment, the same command goes on; started twice on one folder, also from two
    machines, both work on it. Knobs after the recipes, `--rft.steps 20`, hold for every row.

    Args:
        table: One of the paper's tables.
        ablation: A TOML file with rows of your own (docs/ablations.md).
        seeds: Seeds of every row, as 0,1,2; the recipe's own when not given.
        jobs: Runs at a time on this machine; 0 runs nothing and makes the tables of what is done.
        out: The ablation's folder; runs/ and the name of the table or file when not given.
        pool: Files scores.jsonl.xz, separated by commas, that this ablation left elsewhere: the cells in them
            are not run again. Each ablation writes one, with scores and without a word of a report.
        plan: List the runs, what they share and what stands in their way; run nothing.
        figure: Test studies, separated by commas, to draw side by side as SVG: pictures, reference, reports.
        figure_rows: The rows to draw, separated by commas; all when not given.
        figure_format: What to write beside SVG, separated by commas: pdf, png.
    """
    from radflow.ablation.definition import PAPER, read_definition
    from radflow.ablation.plan import make_plan
    from radflow.ablation.scores import left, read_kept

    if (table is None) == (ablation is None):
        raise RecipeError("expected --table 1 to 6, or --ablation FILE.toml; one of the two")
    if jobs < 0:
        raise DataError(f"--jobs: expected at least 0, got {jobs}")
    path = ablation if table is None else PAPER[table]
    assert path is not None
    sources, overrides = _split(recipes)
    planned = make_plan(
        read_definition(path),
        path,
        sources,
        overrides=overrides,
        seeds=_seeds(seeds),
        out=out or Path("runs", path.stem),
    )
    pooled = read_kept(Path(name) for name in names_in(pool or ""))
    if plan:
        _print_plan(left(planned, pooled))
        return
    _run(
        planned,
        pooled,
        jobs,
        names_in(figure or ""),
        names_in(figure_rows) if figure_rows else None,
        names_in(figure_format or ""),
    )


def _run(
    plan: Plan,
    pooled: Scores,
    jobs: int,
    studies: list[str],
    rows: list[str] | None,
    formats: list[str],
) -> None:
    """Run what is neither done nor pooled, write tables and figures, and print the tables.

    Raises:
        TrainingError: a row has no result; the tables are there and say why.
    """
    from radflow.ablation.collect import collect
    from radflow.ablation.figure import draw_figures
    from radflow.ablation.plan import obstacles
    from radflow.ablation.runner import run_plan
    from radflow.ablation.scores import KEPT, left, read_cells, write_kept
    from radflow.ablation.writing import write_all
    from radflow.viewer.charts.rendering import Renderer

    renderer = Renderer(formats) if formats else None  # before hours of runs, should it be missing
    make_folder(plan.out)
    to_run = left(plan, pooled)
    failures = run_plan(
        to_run, jobs=jobs, say=lambda line: screens.screen.print(line, markup=False), skip=obstacles(to_run)
    )
    scores = read_cells(to_run, failures, pooled)
    result = collect(plan, failures, scores)
    write_kept(plan.out / KEPT, scores)
    write_all(result, {}, plan.out)
    print_tables(screens.screen, result)
    if studies:
        write_all(result, draw_figures(plan, failures, studies, rows), plan.out, renderer)
    screens.screen.print(
        f"page: {plan.out / 'report.html'}; table.md, .tex, .csv, .json; {KEPT}", markup=False
    )
    if result.failed:
        raise TrainingError(f"rows without a result, or without a seed: {result.failed}; the table says why")


def print_tables(screen: Console, result: AblationResult) -> None:
    """Print every table with its notes."""
    from radflow.ablation.forms import grids
    from radflow.ablation.results import all_notes

    screen.print(f"\n{result.title}", markup=False, style="bold")
    for table in result.tables:
        for grid in grids(table):
            printed = Table(
                title=screens.plain(grid.caption), title_justify="left", box=box.SIMPLE_HEAD, show_edge=False
            )
            printed.add_column("", overflow="fold")
            for column in grid.columns:
                printed.add_column(screens.plain(column), justify="right", overflow="fold")
            for line in grid.lines:
                _add(printed, line)
            screen.print(printed)
            for line in grid.lines:
                if line.kind == "missing":
                    screen.print(f"- {line.name}: {line.cells[0]}", markup=False, style="yellow")
        for note in all_notes(result, table):
            screen.print(f"- {note}", markup=False)


def _add(table: Table, line: Line) -> None:
    styles = {"group": "bold", "paper": "dim italic", "row": "", "missing": "yellow"}
    shown = () if line.kind == "missing" else line.cells  # its reason stands below the table
    cells = (screens.plain(cell.replace(" [", "\n[").replace("] p ", "]\np ")) for cell in shown)
    name = f"  {line.name}" if line.kind == "paper" else line.name
    table.add_row(screens.plain(name), *cells, style=styles[line.kind])


def _split(words: tuple[str, ...]) -> tuple[list[Source], dict[str, str]]:
    """Recipes, and the knobs behind them."""
    from radflow.ablation.plan import Source

    first = next((i for i, word in enumerate(words) if word.startswith("--")), len(words))
    named, options = words[:first] or (None,), words[first:]
    paths = [find_recipe(name) for name in named]
    stems = [path.stem for path in paths]
    sources = [
        Source(
            label=path.stem if stems.count(path.stem) == 1 else str(path),
            path=path,
            folder=Path.cwd() / "recipes" if path.parent == SHIPPED else None,
        )
        for path in paths
    ]
    if twice := next((str(path) for path in paths if paths.count(path) > 1), None):
        raise RecipeError(f"{twice}: expected each recipe once, got it twice")
    return sources, pairs_of(options)


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise RecipeError(f"--seeds: expected whole numbers separated by commas, got {text!r}") from None
    if len(set(seeds)) < len(seeds):
        raise RecipeError(f"--seeds: expected each seed once, got {text!r}")
    return seeds


def _print_plan(plan: Plan) -> None:
    """What would run: shared stages, and the cells that begin with them."""
    from radflow.ablation.plan import obstacles
    from radflow.ablation.runner import is_done

    found = obstacles(plan)

    def print_below(parent: str | None, indent: str) -> None:
        for task in plan.tasks:
            if (task.parent.key if task.parent else None) != parent:
                continue
            same = [row for (_, row, _), cell in plan.cells.items() if cell is task][1:]
            said = f"{indent}{task.title}" + (f" (also {'; '.join(dict.fromkeys(same))})" if same else "")
            state = "done" if is_done(task) else found.get(task.key, "")
            screens.screen.print(f"{said}: {state}" if state else said, markup=False)
            screens.screen.print(f"{indent}  {task.folder.relative_to(plan.out)}", markup=False, style="dim")
            print_below(task.key, f"{indent}  ")

    print_below(None, "")
    cells = len({task.key for task in plan.cells.values()})
    screens.screen.print(
        f"{cells} cells for {len(plan.cells)} rows (seeds {', '.join(map(str, plan.seeds))}) and "
        f"{len(plan.tasks) - cells} shared runs of stages, in {plan.out}",
        markup=False,
    )
