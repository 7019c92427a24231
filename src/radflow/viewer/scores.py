"""The page of ``radflow score``: the numbers, and how far to trust them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from radflow.evaluation.notation import number
from radflow.viewer.cases import case_views
from radflow.viewer.records import Case, Interval
from radflow.viewer.tables import Cell, Row, Table, change_cell, interval_cell, reach
from radflow.viewer.templating import render
from radflow.viewer.wording import grouped, percent

TEMPLATE = "template"
INVERSE = "radcliq_v1_inverse"

# printed name, key of the system's figure, key of the references' figure, whether it is a share
_REPORTS = (
    ("words per report", "words", "reference_words", False),
    ("positives (observations asserted) per report", "positives", "reference_positives", False),
    ("distinct reports", "distinct", "reference_distinct", True),
    ("share of the most frequent report", "most_frequent", "reference_most_frequent", True),
    ("reports that say a sentence twice", "repeats", "reference_repeats", True),
    ("asserted by one report of a pair, denied by the other", "flips", None, True),
    ("identical to the reference", "copies", None, True),
)


def render_scores(summary: Mapping[str, Any], worst: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return a self-contained page, which loads nothing and runs no script.

    The same scores give the same page, byte for byte.

    Args:
        summary: the content of ``scores.json``.
        worst: reports to show, as ``evaluation.worst.worst_reports`` gives them.
    """
    cases = TypeAdapter(tuple[Case, ...]).validate_python(worst)
    return render(
        "scores.jinja",
        summary=summary,
        facts=_facts(summary),
        table=score_table(summary),
        reports=reports_table(summary),
        observations=_observations(summary.get("observations", ())),
        worst=list(zip(case_views(cases, Path()), (_scores(case) for case in worst), strict=True)),
        with_template=TEMPLATE in summary["baselines"],
    )


def score_table(summary: Mapping[str, Any]) -> Table:
    """Return metrics by system and baselines, with the paired gain over the template as the last column."""
    baselines = summary["baselines"]
    differences = baselines.get(TEMPLATE, {}).get("difference", {})
    gains = {name: _interval(found) for name, found in differences.items()}
    groups = []
    for title, names in grouped(summary["metrics"]):
        limit = reach(gains, names)
        rows = [_row(name, summary, gains.get(name), limit) for name in names]
        if "radcliq_v1" in names and INVERSE in summary:
            blanks = [Cell(mean="") for _ in (*baselines, *([TEMPLATE] if gains else []))]
            inverse = interval_cell(_interval(summary[INVERSE]))
            rows.append(Row(name="1/RadCliQ-v1", arrow="↑", cells=(inverse, *blanks)))
        groups.append((title, tuple(rows)))
    columns = (summary["system"], *baselines, *(["Gain over the template"] if gains else []))
    return Table(columns=columns, groups=tuple(groups))


def reports_table(summary: Mapping[str, Any]) -> Table:
    """Return what the reports are like beside their references."""
    figures = summary["reports"]

    def cell(key: str | None, is_share: bool) -> Cell:
        if key is None:
            return Cell(mean="")
        digits = 2 if "positives" in key else 1
        return Cell(mean=percent(figures[key], 1) if is_share else number(figures[key], digits))

    rows = [
        Row(name=name, arrow="", cells=(cell(ours, is_share), cell(theirs, is_share)))
        for name, ours, theirs, is_share in _REPORTS
    ]
    return Table(columns=(summary["system"], "references"), groups=(("", tuple(rows)),))


def _observations(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Name, support, predicted, precision, recall and F1 of each observation, as printed."""
    return [
        (
            row["name"],
            f"{row['support']:,}",
            f"{row['predicted']:,}",
            *(number(row[key], 3) for key in ("precision", "recall", "f1")),
        )
        for row in rows
    ]


def _scores(case: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number(value, 2)}" for name, value in case["scores"].items())


def _row(name: str, summary: Mapping[str, Any], gain: Interval | None, limit: float) -> Row:
    metric = summary["metrics"][name]
    higher = metric["higher_is_better"]
    scored = (metric, *(one["metrics"][name] for one in summary["baselines"].values()))
    cells = [interval_cell(_interval(found)) for found in scored]
    if gain is not None:
        good = "better" if (gain.mean > 0) == higher else "worse"
        cells.append(change_cell(gain, good if gain.excludes_zero else "unclear", limit))
    return Row(name=metric["label"], arrow="↑" if higher else "↓", cells=tuple(cells))


def _interval(found: Mapping[str, Any]) -> Interval:
    values = {name: math.nan if found[name] is None else found[name] for name in ("mean", "low", "high")}
    return Interval(**values)


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts = summary["counts"]
    patients = summary["patients"]
    return [
        ("Pairs", f"{summary['pairs']:,}"),
        ("Patients", "not known" if patients is None else f"{patients:,}"),
        ("Track", summary["track"]),
        ("Split", summary["split"] or "not given"),
        ("Modality", summary["modality"]),
        ("Empty predictions", f"{counts['empty']:,}"),
        ("Predictions that repeat another's text", f"{counts['duplicates']:,}"),
        (
            "Left out, not paired",
            f"{counts['predictions_without_reference']:,} predictions, "
            f"{counts['references_without_prediction']:,} references",
        ),
    ]
