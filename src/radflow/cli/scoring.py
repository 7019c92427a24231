"""``radflow score``: files in, one number a metric and study out, and what the numbers are worth."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from radflow import __version__
from radflow.cli.score_baselines import baselines_of
from radflow.cli.score_readers import Chosen, Networks, choose, folder_facts
from radflow.cli.score_screen import print_scores
from radflow.errors import DataError
from radflow.evaluation.pair_store import PairStore, Unpaired
from radflow.evaluation.predictions import Prediction, iterate_predictions
from radflow.evaluation.rexrank import BOTH, write_submission
from radflow.evaluation.score_file import CONSISTENCY, Columns, Scorer, forget_chunks, score_store
from radflow.evaluation.score_summary import Protocol, summarise_scores
from radflow.evaluation.score_tables import write_scores, write_unpaired
from radflow.metrics.table import CHEST
from radflow.readers import CHEXPERT_OBSERVATIONS
from radflow.viewer.scores import render_scores
from radflow.workspace import file_fingerprint, fingerprint, write_atomic, write_json

Track = Literal["findings+impression", "findings"]
SHOWN = 5


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


def score_command(screen: Console, errors: Console, predictions: Path, options: ScoreOptions) -> None:
    """Score a file of reports, print the table, and write what was asked for.

    Raises:
        RadflowError: a file that cannot be read or does not pair, a metric that cannot be computed, a place
            that cannot be written.
    """
    chosen = choose(options.metrics, options.modality, options.networks)
    with _store(predictions, options) as store:
        _say_unpaired(screen, store, options)
        if options.write_rexrank is not None:
            _submit(screen, store, predictions, options.write_rexrank, options.reference)
        baselines = baselines_of(store)
        chest_labels = "chexpert_f1" in chosen.metrics
        scorer = Scorer(
            metrics=chosen.metrics,
            consistency=CONSISTENCY in chosen.labels,
            observations=CHEXPERT_OBSERVATIONS if chest_labels else (),
            readers=chosen.readers,
            labeler=chosen.labeler,
            baselines={name: write for name, (_, write) in baselines.items()},
        )
        with _progress(errors, len(store)) as advance:
            key = _key(predictions, options, scorer) if options.out else ""
            columns = score_store(store, scorer, out=options.out, key=key, advance=advance)
        protocol = Protocol(
            system=options.system or Path(predictions.name.removesuffix(".gz")).stem,
            modality=options.modality,
            labels=chosen.labels,
            readers=chosen.names,
            baselines={name: what for name, (what, _) in baselines.items()},
        )
        ids, patients = store.ids()
        summary = summarise_scores(columns, store, protocol, patients)
        print_scores(screen, summary, title=predictions.name)
        if options.out is not None:
            _write(screen, options.out, (ids, patients), columns, chosen, summary)


def _store(predictions: Path, options: ScoreOptions) -> PairStore:
    def read(path: Path | None) -> Iterator[Prediction] | None:
        return None if path is None else iterate_predictions(path)

    return PairStore(
        iterate_predictions(predictions), read(options.reference), read(options.train), track=options.track
    )


def _say_unpaired(screen: Console, store: PairStore, options: ScoreOptions) -> None:
    """Counts and first ids on the screen, all of them in ``unpaired.csv``."""
    left_out = list(store.unpaired())
    for (side, reason), count in Counter((record.side, record.reason) for record in left_out).items():
        ids = [record.study_id for record in left_out if (record.side, record.reason) == (side, reason)]
        without = "without a reference" if side == "prediction" else "without a prediction"
        why = "" if reason in ("no reference", "no prediction") else f" ({reason})"
        more = ", ..." if count > SHOWN else ""
        _warn(screen, f"{count:,} {side}s {without}{why}, left out: {', '.join(ids[:SHOWN])}{more}")
    if alike := _alike(left_out):
        _warn(screen, f"{len(alike)} of them would pair if spaces and case were ignored, such as {alike[0]}")
    if options.out is not None:
        path = options.out / "unpaired.csv"
        if write_unpaired(path, left_out):
            screen.print(f"wrote all of them to {path}", markup=False)


def _alike(left_out: list[Unpaired]) -> list[str]:
    """Ids of the two files that differ in nothing but spaces and case: most likely one study."""
    plain = {"".join(r.study_id.split()).lower(): r.study_id for r in left_out if r.side == "reference"}
    return [
        f"{record.study_id!r} and {plain[same]!r}"
        for record in left_out
        if record.side == "prediction" and (same := "".join(record.study_id.split()).lower()) in plain
    ]


def _submit(screen: Console, store: PairStore, predictions: Path, path: Path, reference: Path | None) -> None:
    if path.resolve() in {file.resolve() for file in (predictions, reference) if file is not None}:
        raise DataError(f"{path}: expected another file than those that are read")
    written, left_out = write_submission(path, reference or predictions, store.generated)
    missing = f"; {left_out:,} studies without a prediction are not in it" if left_out else ""
    screen.print(f"wrote {written:,} reports to {path}{missing}", markup=False)


def _key(predictions: Path, options: ScoreOptions, scorer: Scorer) -> str:
    """Stands for everything the scores depend on."""
    files = (predictions, options.reference, options.train)
    networks = {name: folder_facts(folder) for name, folder in options.networks.given.items()}
    return fingerprint(
        {
            "radflow": __version__,
            "files": [path and file_fingerprint(path) for path in files],
            "columns": scorer.columns,
            "track": options.track,
            "modality": options.modality,
            "networks": networks,
        }
    )


def _write(
    screen: Console,
    out: Path,
    ids: tuple[list[str], list[str | None]],
    columns: Columns,
    chosen: Chosen,
    summary: dict,
) -> None:
    written = write_scores(out, *ids, {name: columns[name] for name in chosen.labels})
    write_json(out / "scores.json", summary)
    write_atomic(out / "report.html", render_scores(summary))
    forget_chunks(out)
    names = [path.name for path in written] + ["scores.json", "report.html"]
    screen.print(f"wrote {', '.join(names[:-1])} and {names[-1]} to {out}", markup=False)


def _warn(screen: Console, text: str) -> None:
    screen.print("[yellow]warning[/]: ", end="")
    screen.print(text, markup=False)


@contextmanager
def _progress(errors: Console, total: int) -> Generator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if not errors.is_terminal:
        yield lambda count: None
        return
    columns = (TextColumn("score"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("score", total=total)
        yield lambda count: progress.update(task, advance=count)


def print_json(screen: Console, value: object) -> None:
    """One JSON object on one line, as it is, for other programs."""
    screen.file.write(json.dumps(value, ensure_ascii=False) + "\n")
