"""The content of ``scores.json``: each metric with its interval, baselines, and warnings."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from radflow.evaluation.hacking import SIGNALS, Hacking, summarise, warn
from radflow.evaluation.intervals import bootstrap_interval, paired_difference
from radflow.evaluation.pair_store import PairStore
from radflow.evaluation.score_file import CONSISTENCY, SIDES, Columns, column
from radflow.metrics import METRICS, inverse_radcliq_v1
from radflow.metrics.chexpert_f1 import FIVE, corpus_forms
from radflow.readers import CHEXPERT_OBSERVATIONS

INVERSE = "radcliq_v1_inverse"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What was scored, and by what.

    Attributes:
        system: its name.
        modality: of the reports.
        labels: metric to its printed name, with the model behind the number.
        readers: metric to the name of that model, ``None`` where words are compared.
        baselines: baseline to what it is, in words.
    """

    system: str
    modality: str
    labels: Mapping[str, str]
    readers: Mapping[str, str | None]
    baselines: Mapping[str, str]


def summarise_scores(
    columns: Columns, store: PairStore, protocol: Protocol, patients: Sequence[str | None]
) -> dict[str, Any]:
    """Return the content of ``scores.json``; a figure that does not exist is ``None``.

    Args:
        columns: as :func:`~radflow.evaluation.score_file.score_store` gives them.
        store: the pairs.
        protocol: what was scored.
        patients: the patient of each pair, ``None`` where it is not known. Where any is known patients are
            resampled, and a study of an unknown patient counts as one of its own.
    """
    clusters = clusters_of(patients)
    metrics = {name: _metric(name, columns[name], protocol, clusters) for name in protocol.labels}
    baselines = {name: _baseline(name, columns, protocol, clusters) for name in protocol.baselines}
    reports = summarise(
        {name: columns[name] for name in SIGNALS}, store.texts("generated"), store.texts("reference")
    )
    summary: dict[str, Any] = {
        "system": protocol.system,
        "pairs": len(store),
        "track": store.track,
        "split": ", ".join(sorted(store.splits)) or None,
        "modality": protocol.modality,
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
        "baselines": baselines,
        "reports": reports.as_dict(),
        "warnings": [*_missing(metrics), *_not_better(metrics, baselines), *warn(reports)],
        "counts": _counts(store, reports),
    }


def clusters_of(patients: Sequence[str | None]) -> list[Hashable] | None:
    """What the bootstrap resamples: patients where any is known, else ``None`` for studies.

    >>> clusters_of(["a", None, "a"])
    ['a', 1, 'a']
    """
    if not any(patients):
        return None
    return [number if patient is None else patient for number, patient in enumerate(patients)]


def _metric(
    name: str, values: np.ndarray, protocol: Protocol, clusters: Sequence[Hashable] | None
) -> dict[str, Any]:
    return {
        "label": protocol.labels[name],
        "higher_is_better": name == CONSISTENCY or METRICS[name].higher_is_better,
        "reader": protocol.readers[name],
        **_interval(values, clusters),
        "missing": int(np.isnan(values).sum()),
    }


def _baseline(
    name: str, columns: Columns, protocol: Protocol, clusters: Sequence[Hashable] | None
) -> dict[str, Any]:
    """Its own figures, and what the system has over it on the same studies."""
    theirs = {metric: columns[column(metric, name)] for metric in protocol.labels}
    return {
        "label": protocol.baselines[name],
        "metrics": {metric: _interval(values, clusters) for metric, values in theirs.items()},
        "difference": {
            metric: _interval(columns[metric] - values, clusters, paired=True)
            for metric, values in theirs.items()
        },
    }


def _interval(
    values: np.ndarray, clusters: Sequence[Hashable] | None, *, paired: bool = False
) -> dict[str, float | None]:
    if np.isnan(values).all():
        return {"mean": None, "low": None, "high": None}
    found = (
        paired_difference(values, np.zeros_like(values), clusters=clusters)
        if paired
        else bootstrap_interval(values, clusters=clusters)
    )
    return {"mean": found.mean, "low": found.low, "high": found.high}


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
        columns: as :func:`~radflow.evaluation.score_file.score_store` gives them, with the states of both
            sides. Without states the table is empty; an observation that neither side has is left out.
    """
    end = f"{SIDES[0]}"
    names = [key.removeprefix(f"{end}:") for key in columns if key.startswith(f"{end}:")]
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


def _counts(store: PairStore, reports: Hacking) -> dict[str, int]:
    unpaired = [record.side for record in store.unpaired()]
    return {
        "predictions_without_reference": unpaired.count("prediction"),
        "references_without_prediction": unpaired.count("reference"),
        "empty": reports.empty,
        "duplicates": reports.duplicates,
    }
