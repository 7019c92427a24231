"""The worst reports of a scored file by its main metric, marked against their references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from radflow.evaluation.marks import compare_reports
from radflow.evaluation.pair_store import PairStore
from radflow.evaluation.score_file import Columns
from radflow.modality import MODALITIES

SHOWN = 12


def worst_reports(
    store: PairStore, columns: Columns, summary: Mapping[str, Any], count: int = SHOWN
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
    store: PairStore, place: int, columns: Columns, summary: Mapping[str, Any], names: list[str]
) -> dict[str, Any]:
    (pair,) = store.chunk(place, 1)
    report = {"text": pair.generated, **compare_reports(pair.generated, pair.reference, summary["modality"])}
    return {
        "study_id": pair.study_id,
        "scores": {summary["metrics"][name]["label"]: float(columns[name][place]) for name in names},
        "reference": {"text": pair.reference, "canonical": pair.reference},
        "systems": {summary["system"]: report},
    }
