"""The content of ``scores.json``: metrics with intervals, baselines, warnings; and the worst reports."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from radflow.evaluation.choice import Chosen
from radflow.evaluation.corpus import label_counts, resample_corpus
from radflow.evaluation.drift import Drift, drift_warnings, measure_drift
from radflow.evaluation.files.store import ReportStore
from radflow.evaluation.intervals import Interval, bootstrap_intervals
from radflow.evaluation.marks import compare_reports
from radflow.evaluation.scoring import SIDES, Columns, asserted, column
from radflow.metrics import inverse_radcliq_v1
from radflow.metrics.chexpert_f1 import FIVE, corpus_forms
from radflow.metrics.naming import corpus_labels
from radflow.metrics.table import higher_is_better
from radflow.modality import MODALITIES, modality_of
from radflow.readers import CHEXPERT_OBSERVATIONS

INVERSE = "radcliq_v1_inverse"
WORST = 12
"""Reports that are shown in full."""


def summarise_scores(
    columns: Columns,
    store: ReportStore,
    chosen: Chosen,
    *,
    system: str,
    baselines: Mapping[str, str],
    patients: Sequence[str | None],
) -> dict[str, Any]:
    """Return the content of ``scores.json``; a figure that does not exist is ``None``.

    Args:
        columns: as :func:`~radflow.evaluation.scoring.score_pairs` gives them.
        store: what was scored.
        chosen: by which metrics.
        system: its name.
        baselines: baseline to what it is, in words.
        patients: the patient of each study, ``None`` where it is not known. Where any is known patients are
            resampled, and a study of an unknown patient counts as one of its own.
    """
    clusters = clusters_of(patients)
    gains = {
        column(name, baseline): columns[name] - columns[column(name, baseline)]
        for baseline in baselines
        for name in chosen.labels
    }
    shown = [*chosen.labels, *gains]
    intervals = bootstrap_intervals({name: columns[name] for name in shown}, clusters=clusters)
    differences = bootstrap_intervals(gains, clusters=clusters)
    metrics = {
        name: {
            "label": label,
            "higher_is_better": higher_is_better(name),
            "reader": chosen.names[name],
            **_ends(intervals.get(name)),
            "missing": int(np.isnan(columns[name]).sum()),
        }
        for name, label in chosen.labels.items()
    }
    besides = {
        baseline: {
            "label": words,
            "metrics": {name: _ends(intervals.get(column(name, baseline))) for name in chosen.labels},
            "difference": {name: _ends(differences.get(column(name, baseline))) for name in chosen.labels},
        }
        for baseline, words in baselines.items()
    }
    _add_corpus(metrics, besides, columns, chosen, clusters)
    drift = measure_drift(columns, store.texts("generated"), store.texts("reference"))
    summary: dict[str, Any] = {
        "system": system,
        "pairs": len(store),
        "track": store.track,
        "split": ", ".join(sorted(store.splits)) or None,
        "modality": chosen.modality,
        "resampled": "studies" if clusters is None else "patients",
        "patients": None if clusters is None else len(set(clusters)),
        "metrics": metrics,
    }
    if "radcliq_v1" in metrics:
        summary[INVERSE] = _inverse(metrics["radcliq_v1"])
    if column(FIVE[0], SIDES[0]) in columns:
        summary["chexpert_f1_corpus"] = _corpus(columns)
    return summary | {
        "observations": observation_table(columns),
        "references": store.reference_fingerprint(),
        "baselines": besides,
        "reports": asdict(drift),
        "warnings": [*_missing(metrics), *_not_better(metrics, besides), *drift_warnings(drift)],
        "counts": _counts(store, drift),
    }


def _add_corpus(
    metrics: dict[str, dict[str, Any]],
    besides: Mapping[str, dict[str, Any]],
    columns: Columns,
    chosen: Chosen,
    clusters: Sequence[Hashable] | None,
) -> None:
    """Add the F1s over the corpus to the metrics, of the baselines too, where states were kept."""
    label = modality_of(chosen.modality).labels.metric
    if label not in metrics or not asserted(columns, SIDES[1]):
        return
    sides = {None: SIDES[0]} | {baseline: column(SIDES[0], baseline) for baseline in besides}
    found = resample_corpus(
        {name: label_counts(columns, side) for name, side in sides.items()}, clusters=clusters
    )
    intervals = {name: one.intervals() for name, one in found.items()}
    gains = {name: (found[None] - found[name]).intervals() for name in besides}
    for name, printed in corpus_labels(metrics[label]["label"]).items():
        metrics[name] = {
            "label": printed,
            "higher_is_better": True,
            "reader": metrics[label]["reader"],
            **_ends(intervals[None].get(name)),
            "missing": 0,
        }
        for baseline, said in besides.items():
            said["metrics"][name] = _ends(intervals[baseline].get(name))
            said["difference"][name] = _ends(gains[baseline].get(name))


def clusters_of(patients: Sequence[str | None]) -> list[Hashable] | None:
    """What the bootstrap resamples: patients where any is known, else ``None`` for studies.

    >>> clusters_of(["a", None, "a"])
    ['a', 1, 'a']
    """
    if not any(patients):
        return None
    return [number if patient is None else patient for number, patient in enumerate(patients)]


def _ends(found: Interval | None) -> dict[str, float | None]:
    return {"mean": None, "low": None, "high": None} if found is None else asdict(found)


def _inverse(radcliq: Mapping[str, Any]) -> dict[str, float | None]:
    """1/RadCliQ-v1 falls where RadCliQ rises, so the ends of its interval are the reciprocals, swapped."""
    ends = {"mean": radcliq["mean"], "low": radcliq["high"], "high": radcliq["low"]}
    inverse = {
        name: math.nan if value is None else inverse_radcliq_v1([value]) for name, value in ends.items()
    }
    return {name: None if math.isnan(value) else value for name, value in inverse.items()}


def observation_table(columns: Columns) -> list[dict[str, Any]]:
    """Return F1 of each observation over the corpus, uncertain counted as positive, with its support.

    Args:
        columns: as :func:`~radflow.evaluation.scoring.score_pairs` gives them, with the states of both
            sides. Without states the table is empty; an observation that neither side has is left out.
    """
    prefix = column("", SIDES[0])
    names = [key.removeprefix(prefix) for key in columns if key.startswith(prefix)]
    rows = []
    for name in names:
        said, true = (np.isin(columns[column(name, side)], (1, -1)) for side in SIDES)
        both, support, predicted = int((said & true).sum()), int(true.sum()), int(said.sum())
        if support or predicted:
            rows.append(
                {
                    "name": name,
                    "support": support,
                    "predicted": predicted,
                    "precision": both / predicted if predicted else None,
                    "recall": both / support if support else None,
                    "f1": 2 * both / (support + predicted),
                }
            )
    return sorted(rows, key=lambda row: -row["support"])


def _corpus(columns: Columns) -> dict[str, float]:
    """CheXpert F1 over the corpus in every form, from the states that were kept."""
    ours, theirs = (
        [
            {
                name: None if math.isnan(state) else int(state)
                for name, state in zip(CHEXPERT_OBSERVATIONS, row, strict=True)
            }
            for row in zip(*(columns[column(name, side)] for name in CHEXPERT_OBSERVATIONS), strict=True)
        ]
        for side in SIDES
    )
    return dict(corpus_forms(ours, theirs))


def _missing(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"{said['label']} has no value for {said['missing']:,} pairs; its mean is over the others."
        for said in metrics.values()
        if said["missing"]
    ]


def _not_better(metrics: Mapping[str, Mapping[str, Any]], baselines: Mapping[str, Any]) -> list[str]:
    """Warnings where the system does not clearly beat reports written without looking."""
    said = []
    for baseline, found in baselines.items():
        behind = [
            metrics[name]["label"].partition(" (")[0]
            for name, gain in found["difference"].items()
            if not _clearly_better(gain, metrics[name]["higher_is_better"])
        ]
        if behind:
            said.append(
                f"No clear gain over the {baseline}, which looks at no image, on {', '.join(behind)}."
            )
    return said


def _clearly_better(gain: Mapping[str, float | None], higher_is_better: bool) -> bool:
    worst = gain["low"] if higher_is_better else gain["high"]
    return worst is not None and (worst > 0 if higher_is_better else worst < 0)


def _counts(store: ReportStore, drift: Drift) -> dict[str, int]:
    unpaired = [record.side for record in store.unpaired()]
    return {
        "predictions_without_reference": unpaired.count("prediction"),
        "references_without_prediction": unpaired.count("reference"),
        "empty": drift.empty,
        "duplicates": drift.duplicates,
    }


def worst_reports(
    store: ReportStore, columns: Columns, summary: Mapping[str, Any], count: int = WORST
) -> list[dict[str, Any]]:
    """Return the worst reports as the page shows cases, each with its score.

    Args:
        store: the pairs.
        columns: their scores, in the store's order.
        summary: the content of ``scores.json``. Its label F1 orders the reports, and where that is the same
            or was not asked for its metric of medical content, or else its first metric; ``NaN`` is left out.
        count: at most this many.
    """
    metrics, modality = summary["metrics"], MODALITIES[summary["modality"]]
    main = [name for name in (modality.labels.metric, modality.content.metric) if name in metrics]
    names = main or list(metrics)[:1]
    ranks = [columns[name] * (1 if metrics[name]["higher_is_better"] else -1) for name in names]
    order = np.lexsort(ranks[::-1])
    chosen = [place for place in order.tolist() if not np.isnan(ranks[0][place])][:count]
    return [_case(store, place, columns, summary, names) for place in chosen]


def _case(
    store: ReportStore, place: int, columns: Columns, summary: Mapping[str, Any], names: list[str]
) -> dict[str, Any]:
    (pair,) = store[place : place + 1]
    report = {"text": pair.generated, **compare_reports(pair.generated, pair.reference, summary["modality"])}
    return {
        "study_id": pair.study_id,
        "scores": {summary["metrics"][name]["label"]: float(columns[name][place]) for name in names},
        "reference": {"text": pair.reference, "canonical": pair.reference},
        "systems": {summary["system"]: report},
    }
