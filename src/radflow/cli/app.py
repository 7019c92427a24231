"""``radflow``: every command, its options and its help. The modules and rooms beside this one do the work.

Nothing here imports torch until a command needs it, so that ``radflow --help`` is quick.
"""

from __future__ import annotations

import errno
import sys
import warnings
from pathlib import Path
from typing import Literal

from cyclopts import App

from radflow import __version__
from radflow.cli import screens
from radflow.cli.baselines import baselines
from radflow.cli.drafting import draft
from radflow.cli.judge.verdicts import verdicts
from radflow.cli.options import AgreeOptions, LabelOptions, ReportColumn, TriageOptions
from radflow.cli.overrides import OF_DATA, OF_JUDGE, Overrides, in_flags, judge_options, pairs_of
from radflow.cli.run.ablating import ablate
from radflow.cli.run.running import (
    assemble,
    controls,
    evaluate,
    explore,
    generate,
    headroom,
    init,
    merge,
    quickstart,
    rft,
    run,
    sft,
)
from radflow.errors import RadflowError
from radflow.modality import ModalityName

app = App(name="radflow", version=__version__, help_format="markdown", suppress_keyboard_interrupt=False)
app.help = "Fine-tune a vision-language model the way radiologists report: describe, interpret, refine."


_REMEDIES = {
    errno.ENOSPC: "make room, then start it again",
    errno.EDQUOT: "make room, then start it again",
    errno.ENAMETOOLONG: "expected a path that a file system can hold",
    errno.EACCES: "ask for the right to it, or name another",
    errno.EPERM: "ask for the right to it, or name another",
    errno.EROFS: "name a place that can be written",
    errno.ELOOP: "its links lead in a circle",
    errno.EIO: "the disk or the network it is on failed; start it again",
}
"""What can be done about errors of the system that no module expects; any other is a fault of radflow's."""


def main(tokens: list[str] | None = None) -> None:
    """Run a command; an error that radflow raised on purpose is one line, and exit status 1.

    Args:
        tokens: the command and its arguments; those of the process when not given.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # of peft, not of ours
    try:
        app(tokens)
    except RadflowError as error:
        screens.errors.print(f"[bold red]error[/]: {screens.plain(str(error))}")
        sys.exit(1)
    except OSError as error:  # of a library, or of a path that nothing can be asked about
        remedy = _REMEDIES.get(error.errno or 0)
        if remedy is None:
            raise
        said = f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror}"
        screens.errors.print(f"[bold red]error[/]: {screens.plain(said)}; {remedy}")
        sys.exit(1)
    except KeyboardInterrupt:
        screens.errors.print("stopped; run the same command again to go on from the last checkpoint")
        sys.exit(130)


for command in (quickstart, init, run, sft, explore, rft, controls, generate, evaluate, headroom, ablate):
    app.command(command)


@app.command
def prepare(
    source: str | None = None,
    *overrides: Overrides,
    root: Path | None = None,
    out: Path = Path("data/studies.jsonl"),
    views: Literal["frontal", "lateral", "all"] | None = None,
    max_images: int | None = None,
    workers: int | None = None,
    count: int | None = None,
    images: Path | None = None,
    seed: int | None = None,
    image_size: int | None = None,
    contact_sheet: Path | None = None,
) -> None:
    """Turn a data set into a manifest that recipes and other tools read.

    Data sets on disk: mimic-cxr, chexpert-plus, rexgradient, iu-xray, rexrank, r2gen, and table for one of
    your own (docs/datasets.md). Drawn: carotid-phantom; and iu-xray without --root, also called open-i. A
    data set's own options follow it, such as `--sections any`. Started again, a stopped preparation resumes.

    Args:
        source: The data set.
        root: Its folder, for a data set on disk.
        out: The manifest to write; drawn images and the list of what was left out go beside it.
        views: Which pictures of a study; all when not given.
        max_images: At most this many pictures per study, frontal before lateral.
        workers: Processes that check or draw images; one per core when not given.
        count: How many studies to draw, or at most how many reports of iu-xray without --root.
        images: Folder of the images, if not the root. For iu-xray without --root: of the real radiographs,
            which are drawn without it.
        seed: Seed of the drawings, and of splits that are not official.
        image_size: Edge of a drawn image in pixels.
        contact_sheet: Also draw a grid of some studies with their tags to this PNG.
    """
    from radflow.cli.preparing import PrepareOptions, prepare_command

    options = PrepareOptions(
        root=root,
        out=out,
        views=views,
        max_images=max_images,
        workers=workers,
        count=count,
        images=images,
        seed=seed,
        image_size=image_size,
        contact_sheet=contact_sheet,
        extra=pairs_of(overrides),
    )
    with in_flags(OF_DATA):
        prepare_command(screens.screen, source, options)


@app.command
def score(
    predictions: Path,
    *overrides: Overrides,
    reference: Path | None = None,
    metrics: str | None = None,
    modality: ModalityName = "chest-xray",
    out: Path | None = None,
    track: Literal["findings+impression", "findings"] = "findings+impression",
    chexbert: str | None = None,
    radgraph: str | None = None,
    bertscore: str | None = None,
    system: str | None = None,
    train: Path | None = None,
    write_rexrank: Path | None = None,
    judge: str | None = None,
    any_language: bool = False,
    report_column: ReportColumn = None,
    reference_column: str | None = None,
    id_column: str | None = None,
) -> None:
    """Score generated reports against their references, beside a template and another study's report.

    Started again with the same `out`, a stopped run resumes after its last finished chunk.
    After the file, `--judge.key VALUE` sets how a judge is asked, as in a recipe's section `judge`.

    Args:
        predictions: A table (CSV, JSON as ReXrank's, JSONL, Parquet, Excel; docs/datasets.md) with a study id
            and a report, and the reference unless `--reference` has it.
        reference: File with the reference reports, paired by study id.
        metrics: Names separated by commas; all that apply and need nothing more when not given. Some are
            named with their model: ratescore:NER+ENCODER, green:FOLDER or green:openai:MODEL, and
            crimson:openai:MODEL, which `--judge.key VALUE` says how to ask.
        modality: Decides which metrics apply.
        out: Folder for per-report scores (scores.csv), the summary (scores.json), the page (report.html) and
            what did not pair (unpaired.csv).
        track: Score both sections, or only the Findings: ReXrank's two tracks.
        chexbert: Folder of CheXbert's weights: CheXpert F1 from the network, and SembScore.
        radgraph: Folder of RadGraph's weights: RadGraph F1 from the network.
        bertscore: FOLDER@5 of distilroberta-base: BERTScore, rescaled. With the other two also RadCliQ.
        system: Its name in the tables; the file's name when not given.
        train: File with training reports, from which the baselines are made; the references when not given.
        write_rexrank: Also write the reports as a ReXrank submission: .json, or .csv with study_id,report.
        judge: Who says whether an Impression follows from its Findings: rules, openai:MODEL, local:FOLDER.
        any_language: Also read reports in languages other than English; most of what is read will be wrong.
        report_column: Where the generated report stands, when the column has none of the usual names.
        reference_column: Where the reference stands, likewise.
        id_column: Where the study's id stands, likewise.
    """
    from radflow.cli.score.scoring import Networks, PredictionColumns, ScoreOptions, score_command

    options = ScoreOptions(
        reference=reference,
        metrics=metrics,
        modality=modality,
        out=out,
        track=track,
        networks=Networks(chexbert=chexbert, radgraph=radgraph, bertscore=bertscore),
        system=system,
        train=train,
        write_rexrank=write_rexrank,
        judge=judge,
        knobs=judge_options(overrides, score),
        any_language=any_language,
        columns=PredictionColumns(study_id=id_column, report=report_column, reference=reference_column),
    )
    with in_flags(OF_JUDGE):
        score_command(screens.screen, screens.errors, predictions, options)


@app.command
def compare(
    a: Path,
    b: Path,
    /,
    *,
    metrics: str | None = None,
    out: Path | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> None:
    """Compare two scored systems on the studies that both have: paired differences, intervals, corrected p.

    Args:
        a: A folder of `radflow score --out`, its scores.csv, or a run's evaluation/scores/SYSTEM.jsonl.
        b: The other system; differences are B - A.
        metrics: Names separated by commas; all that both have when not given.
        out: Folder for comparison.html, comparison.json and comparison.csv.
        resamples: Number of resamples behind each bootstrap interval and permutation test.
        seed: Seed of both.
    """
    from radflow.cli.score.comparing import compare_command

    compare_command(screens.screen, a, b, metrics=metrics, out=out, resamples=resamples, seed=seed)


@app.command
def label(reports: Path, *, options: LabelOptions = LabelOptions()) -> None:  # noqa: B008  (frozen)
    """Label reports with the 14 CheXpert observations, or the carotid ones; CSV out.

    States are 1 stated, 0 denied, -1 uncertain, blank not mentioned.

    Args:
        reports: A table (CSV, JSON, JSONL, chats, Parquet, Excel; docs/datasets.md), plain text with one
            report per line, or a folder with one report per .txt file.
    """
    from radflow.cli.labelling import label_command

    label_command(screens.screen, screens.errors, reports, options)


@app.command
def triage(studies: Path, *overrides: Overrides, options: TriageOptions) -> None:
    """Let a judge annotate every study as critical or not, and compare it with the rules.

    After the manifest, `--judge.key VALUE` sets how the judge is asked, as in a recipe's section `judge`:
    `radflow triage studies.jsonl --judge openai:llama3 --judge.base-url http://localhost:11434/v1`.
    Verdicts are kept in verdicts.sqlite3 beside the manifest; run again, it asks only what is missing.

    Args:
        studies: A manifest, as `radflow prepare` writes one.
    """
    from radflow.cli.judge.triaging import triage_command

    knobs = judge_options(overrides, TriageOptions)
    with in_flags(OF_JUDGE):
        triage_command(screens.screen, screens.errors, studies, options, knobs)


@app.command
def agree(reports: Path, *overrides: Overrides, options: AgreeOptions) -> None:
    """Ask two judges the same question about the same reports, and measure how far they agree.

    After the file, `--judge.key VALUE` sets how both are asked, as in a recipe's section `judge`;
    `--first.key` and `--second.key` set it for one of them. Verdicts are kept in verdicts.sqlite3 beside
    `out`, or beside the reports when no `out` is given.

    Args:
        reports: Any file that `radflow label` reads.
    """
    from radflow.cli.judge.agreeing import agree_command

    knobs = judge_options(overrides, AgreeOptions)
    with in_flags(OF_JUDGE):
        agree_command(screens.screen, screens.errors, reports, options, knobs)


app.command(verdicts)
app.command(baselines)


app.command(draft)
app.command(merge)
app.command(assemble)


@app.command
def doctor() -> None:
    """What works on this machine, what is missing, and how to get it."""
    from radflow.cli.doctor import doctor_command

    doctor_command(screens.screen)
