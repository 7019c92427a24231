"""``radflow score``: files in, one number per metric and study out, with how far to trust them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from rich.console import Console

from radflow import __version__, config, judges, readers
from radflow.cli.judge.options import accounted, judge_knobs, judge_sections, opened
from radflow.cli.languages import say_languages
from radflow.cli.overrides import names_in
from radflow.cli.score.baselines import baselines_of
from radflow.cli.score.screen import print_scores
from radflow.cli.screens import say_remarks
from radflow.config import Recipe
from radflow.errors import DataError
from radflow.evaluation.choice import Chosen, Networks, choose, folder_facts
from radflow.evaluation.files.labels import LABELS, write_labels
from radflow.evaluation.files.predictions import Columns as PredictionColumns
from radflow.evaluation.files.predictions import Prediction, read_predictions
from radflow.evaluation.files.rexrank import BOTH, write_submission
from radflow.evaluation.files.scores import write_scores, write_unpaired
from radflow.evaluation.files.store import ReportStore, Unpaired
from radflow.evaluation.named_models import asks_a_model
from radflow.evaluation.scoring import Scorer, forget_chunks, score_pairs
from radflow.evaluation.summary import summarise_scores, worst_reports
from radflow.files import write_atomic, write_json
from radflow.folders import sweep
from radflow.judges.base import told
from radflow.metrics.table import CONSISTENCY
from radflow.modality import CHEST, modality_of
from radflow.reports.language import LanguageCount
from radflow.run.judges import judge_inputs
from radflow.tables import Remarks, shards_of
from radflow.viewer.scores import render_scores
from radflow.workspace import Hold, bar, file_fingerprint, fingerprint

Track = Literal["findings+impression", "findings"]
SHOWN = 5
_PAIRS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """What ``radflow score`` was asked for; its help says what each means."""

    reference: Path | None = None
    metrics: str | None = None
    modality: str = CHEST
    out: Path | None = None
    track: Track = BOTH
    networks: Networks = field(default_factory=Networks)
    system: str | None = None
    train: Path | None = None
    write_rexrank: Path | None = None
    judge: str | None = None
    knobs: Mapping[str, str] = field(default_factory=dict)
    any_language: bool = False
    columns: PredictionColumns = field(default_factory=PredictionColumns)


def score_command(screen: Console, errors: Console, predictions: Path, options: ScoreOptions) -> None:
    """Score a file of reports, print the table, and write what was asked for.

    Raises:
        RadflowError: a file that cannot be read or does not pair, a metric that cannot be computed, a judge
            that cannot be asked, a place that cannot be written.
    """
    names = None if options.metrics is None else names_in(options.metrics)
    knobs = _judge_knobs(predictions, options, names)
    chosen = choose(names, options.modality, options.networks, judge=options.judge or "rules", knobs=knobs)
    with ExitStack() as stack:
        for grader in chosen.graders.values():
            stack.enter_context(accounted(grader.judge, errors))
        if options.judge is not None and not chosen.consistency:
            raise DataError(
                f"--judge is asked for consistency, which --metrics leaves out; add {CONSISTENCY}"
            )
        judge = judges.load("rules")
        if options.judge is not None:
            judge = stack.enter_context(opened(options.judge, knobs, errors))
        store = stack.enter_context(_store(errors, predictions, options))
        _say_unpaired(screen, store, options)
        _say_languages(errors, store, predictions, options, chosen)
        if options.out is not None:
            stack.enter_context(Hold(options.out))
            sweep(options.out)
        if options.write_rexrank is not None:
            _submit(screen, store, predictions, options)
        baselines = baselines_of(store)
        wanted = modality_of(options.modality).labels.metric in chosen.metrics
        scorer = Scorer(
            metrics=chosen.metrics,
            consistency=chosen.consistency,
            judge=told(judge, options.modality),
            observations=tuple(readers.labeler(options.modality)([""])[0]) if wanted else (),
            readers=chosen.readers,
            labeler=chosen.labeler,
            baselines={name: write for name, (_, write) in baselines.items()},
        )
        with bar("score", len(store), errors) as advance:
            key = _key(predictions, options, scorer, chosen, knobs) if options.out else ""
            columns = score_pairs(store, scorer, out=options.out, key=key, advance=advance)
        ids, patients = store.ids()
        summary = summarise_scores(
            columns,
            store,
            chosen,
            system=options.system or Path(predictions.name.removesuffix(".gz")).stem,
            baselines={name: what for name, (what, _) in baselines.items()},
            patients=patients,
        )
        print_scores(screen, summary, title=predictions.name)
        if options.out is not None:
            written = write_scores(
                options.out, ids, patients, {name: columns[name] for name in chosen.labels}
            )
            write_labels(options.out / LABELS, ids, columns)
            page = render_scores(summary, worst_reports(store, columns, summary))
            _write(screen, options.out, written, summary, page)


def _judge_knobs(predictions: Path, options: ScoreOptions, metrics: Sequence[str] | None) -> config.Judge:
    """How language models are asked; their answers are kept in ``--out``, without it beside the reports."""
    values = judge_sections(options.knobs)["judge"]
    if values and options.judge is None and not asks_a_model(metrics or ()):
        raise DataError(f"--judge.{next(iter(values))}: expected --judge NAME too, got none")
    return judge_knobs(values, beside=options.out / "scores.csv" if options.out else predictions)


def _store(errors: Console, predictions: Path, options: ScoreOptions) -> ReportStore:
    remarks = Remarks()
    elsewhere = replace(options.columns, required=False)

    def read(path: Path | None) -> Iterator[Prediction] | None:
        return None if path is None else read_predictions(path, elsewhere, remarks)

    own = options.columns
    if options.reference is not None:
        own = replace(own, reference=None)  # it names the column of the other file
    rows = read_predictions(predictions, own, remarks)
    store = ReportStore(rows, read(options.reference), read(options.train), track=options.track)
    say_remarks(errors, remarks)
    return store


def _say_unpaired(screen: Console, store: ReportStore, options: ScoreOptions) -> None:
    """Counts and first ids on the screen, all of them in ``unpaired.csv``."""
    left_out = list(store.unpaired())
    for (side, reason), count in Counter((record.side, record.reason) for record in left_out).items():
        ids = [record.study_id for record in left_out if (record.side, record.reason) == (side, reason)]
        without = "without a reference" if side == "prediction" else "without a prediction"
        why = "" if reason in ("no reference", "no prediction") else f" ({reason})"
        more = ", ..." if count > SHOWN else ""
        _warn(screen, f"{count:,} {side}s {without}{why}, left out: {', '.join(ids[:SHOWN])}{more}")
    if alike := _alike(left_out):
        _warn(screen, f"{len(alike)} of them would pair but for spaces, case or a '.0', such as {alike[0]}")
    if options.out is not None:
        path = options.out / "unpaired.csv"
        if write_unpaired(path, left_out):
            screen.print(f"wrote all of them to {path}", markup=False)


def _say_languages(
    errors: Console, store: ReportStore, predictions: Path, options: ScoreOptions, chosen: Chosen
) -> None:
    """For each file whose reports are in other languages; an error if something reads them."""
    readers = sorted({label for name, label in chosen.labels.items() if chosen.names[name] is not None})
    if not readers:
        return  # words are compared in any language
    generated, reference = LanguageCount(), LanguageCount()
    for start in range(0, len(store), _PAIRS_AT_ONCE):
        for pair in store[start : start + _PAIRS_AT_ONCE]:
            generated.add(pair.study_id, pair.generated)
            reference.add(pair.study_id, pair.reference)
    then = f"only English is read by {', '.join(readers)}"
    for what, found in (
        (f"{predictions}, generated", generated),
        (f"{options.reference or predictions}, references", reference),
    ):
        say_languages(errors, what, found, any_language=options.any_language, then=then)


def _alike(left_out: list[Unpaired]) -> list[str]:
    """Ids of the two files that differ in nothing but spaces, case and ".0": most likely one study."""

    def plain(study: str) -> str:
        return "".join(study.split()).lower().removesuffix(".0")

    references = {plain(r.study_id): r.study_id for r in left_out if r.side == "reference"}
    return [
        f"{record.study_id!r} and {references[same]!r}"
        for record in left_out
        if record.side == "prediction" and (same := plain(record.study_id)) in references
    ]


def _submit(screen: Console, store: ReportStore, predictions: Path, options: ScoreOptions) -> None:
    path, reference = options.write_rexrank, options.reference
    assert path is not None
    if path.resolve() in {file.resolve() for file in (predictions, reference) if file is not None}:
        raise DataError(f"{path}: expected another file than those that are read")
    written, left_out = write_submission(
        path, reference or predictions, store.generated, options.columns.study_id
    )
    missing = f"; {left_out:,} studies without a prediction are not in it" if left_out else ""
    screen.print(f"wrote {written:,} reports to {path}{missing}", markup=False)


def _key(
    predictions: Path, options: ScoreOptions, scorer: Scorer, chosen: Chosen, knobs: config.Judge
) -> str:
    """Stands for everything the scores depend on."""
    files = (predictions, options.reference, options.train)
    networks = {name: folder_facts(folder) for name, folder in options.networks.given.items()}
    return fingerprint(
        {
            "radflow": __version__,
            "files": [path and content_fingerprint(path) for path in files],
            "columns": scorer.columns,
            "named": asdict(options.columns),
            "track": options.track,
            "modality": options.modality,
            "networks": networks,
            "models": {name: grader.identity for name, grader in chosen.graders.items()}
            | {name: reader.fingerprint for name, reader in chosen.readers.items() if name == "ratescore"},
            "judge": options.judge and [options.judge, *judge_inputs(Recipe(judge=knobs), options.judge)],
        }
    )


def content_fingerprint(path: Path) -> str:
    """Of a table, which may be a folder."""
    if path.is_file():
        return file_fingerprint(path)
    return fingerprint([file_fingerprint(file) for file, _ in shards_of(path)])


def _write(screen: Console, out: Path, tables: list[Path], summary: dict, page: str) -> None:
    write_json(out / "scores.json", summary)
    write_atomic(out / "report.html", page)
    forget_chunks(out)
    names = [path.name for path in tables] + ["scores.json", "report.html"]
    screen.print(f"wrote {', '.join(names[:-1])} and {names[-1]} to {out}", markup=False)


def _warn(screen: Console, text: str) -> None:
    screen.print("[yellow]warning[/]: ", end="")
    screen.print(text, markup=False)


def print_json(screen: Console, value: object) -> None:
    """One JSON object on one line, as it is, for other programs."""
    screen.file.write(json.dumps(value, ensure_ascii=False) + "\n")
