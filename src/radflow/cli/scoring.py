"""``radflow score``."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from radflow.evaluation.intervals import bootstrap_interval
from radflow.evaluation.predictions import pair, read_predictions
from radflow.metrics import METRICS, default_metrics
from radflow.metrics import score as score_pairs
from radflow.reports import parse_report
from radflow.workspace import write_atomic, write_json

SHOWN = 5


def score_command(
    screen: Console,
    predictions: Path,
    reference: Path | None,
    metrics: str | None,
    modality: str,
    out: Path | None,
) -> None:
    """Score a file of reports, print the table, and write per-report scores where asked."""
    pairs = pair(read_predictions(predictions), read_predictions(reference) if reference else None)
    for what, ids in (
        ("predictions without a reference", pairs.without_reference),
        ("references without a prediction", pairs.without_prediction),
    ):
        if ids:
            more = ", ..." if len(ids) > SHOWN else ""
            screen.print(f"[yellow]warning[/]: {len(ids)} {what}, left out: {', '.join(ids[:SHOWN])}{more}")
    names = tuple(n.strip() for n in metrics.split(",")) if metrics else default_metrics(modality)
    values = score_pairs(
        [parse_report(t).canonical for t in pairs.generated],
        [parse_report(t).canonical for t in pairs.reference],
        names,
    )
    empty = sum(not text.strip() for text in pairs.generated)
    table = Table(title=f"{predictions.name}: {len(pairs.study_ids)} pairs")
    for column in ("metric", "mean", "95% interval"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    summary = {}
    for name, column in values.items():
        known = column[~np.isnan(column)]
        if not known.size:
            continue
        interval = bootstrap_interval(column)
        summary[name] = {"mean": interval.mean, "low": interval.low, "high": interval.high}
        table.add_row(
            f"{METRICS[name].label} {METRICS[name].arrow}",
            f"{interval.mean:.3f}",
            f"{interval.low:.3f} to {interval.high:.3f}",
        )
    screen.print(table)
    screen.print(f"{empty} empty, {len(set(pairs.generated))} distinct of {len(pairs.generated)} reports")
    if out is not None:
        _write_scores(out, pairs.study_ids, values)
        write_json(out / "scores.json", {"pairs": len(pairs.study_ids), "metrics": summary})
        screen.print(f"wrote {out / 'scores.csv'} and {out / 'scores.json'}")


def _write_scores(out: Path, study_ids: tuple[str, ...], values: Mapping[str, np.ndarray]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["study_id", *values])
    for i, study in enumerate(study_ids):
        row = [float(column[i]) for column in values.values()]
        writer.writerow([study, *("" if math.isnan(v) else f"{v:.6f}" for v in row)])
    write_atomic(out / "scores.csv", text.getvalue())


def print_json(screen: Console, value: object) -> None:
    """One JSON object on one line, as it is, for other programs."""
    screen.file.write(json.dumps(value, ensure_ascii=False) + "\n")
