"""What an exploration picked, beside the split it was picked from, and what its readers must be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from radflow import config
from radflow.files import read_json
from radflow.readers import label_vector, labeler
from radflow.studies import Study

SHIFT_WARNED_OF = 0.15
"""Difference in critical share, picked against split, from which the run warns."""
SHOWN = 5
"""Studies that decide first, whose reports the page prints."""


def summarise(
    knobs: config.Exploration,
    studies: Sequence[Study],
    rows: Sequence[Mapping[str, Any]],
    scores: Float[np.ndarray, "P"],
    chosen: Sequence[int],
    names: Sequence[str],
) -> dict[str, Any]:
    """What was picked, beside the split it was picked from: the content of ``summary.json``.

    Args:
        knobs: of the exploration.
        studies: the candidates.
        rows: one per study.
        scores: one per study; for the strategy ``learnable`` its spread.
        chosen: places of what was picked.
        names: metrics in the rows.
    """
    learnable = knobs.strategy == "learnable"
    edges = np.linspace(0.0, 0.5 if learnable else 1.0, 41)
    split, picked = describe(studies), describe([studies[i] for i in chosen])
    labels = {
        name: {"split": split["labels"][name], "picked": picked["labels"][name]} for name in split["labels"]
    }
    first = (chosen if learnable else np.argsort(scores, kind="stable"))[:SHOWN]
    by_difficulty = knobs.strategy in ("hardest",) or knobs.threshold is not None
    summary = {
        "strategy": "threshold" if knobs.threshold is not None else knobs.strategy,
        "keep_percent": knobs.keep_percent,
        "threshold": float(max(scores[i] for i in chosen)) if by_difficulty else None,
        "split_size": len(studies),
        "picked_size": len(chosen),
        "metrics": list(names),
        "scores": {
            "edges": edges.tolist(),
            "split": np.histogram(scores, edges)[0].tolist(),
            "picked": np.histogram(scores[list(chosen)], edges)[0].tolist(),
        },
        **{
            key: {"split": split[key], "picked": picked[key]}
            for key in ("critical_share", "words", "positives")
        },
        "labels": labels,
        "hardest": [
            {
                "study_id": studies[i].study_id,
                "score": float(scores[i]),
                **{n: rows[i][n] for n in names},
                "reference": studies[i].reference.text,
                "prediction": rows[i]["prediction"],
                **({"best": rows[i]["best"]} if learnable else {}),
            }
            for i in first
        ],
    }
    if learnable:
        summary["samples"] = knobs.samples
        summary["spread"] = {
            "split": float(scores.mean()),
            "picked": float(scores[list(chosen)].mean()),
        }
        summary["learnable_share"] = float((scores > 0).mean())
    return summary


def describe(studies: Sequence[Study]) -> dict[str, Any]:
    """Critical share, words, positive labels and label prevalence of the reference reports."""
    texts = [s.reference.canonical for s in studies]
    labels = labeler(studies[0].modality)(texts)
    vectors = label_vector(labels)
    return {
        "critical_share": float(np.mean([bool(s.critical) for s in studies])),
        "words": float(np.mean([len(t.split()) for t in texts])),
        "positives": float(vectors.sum(axis=1).mean()),
        "labels": dict(zip(labels[0], vectors.mean(axis=0).tolist(), strict=True)),
    }


def exploration_warnings(folder: Path) -> list[str]:
    """What a reader of the run must be told about the studies that RFT saw."""
    return critical_share_warnings(**read_json(folder / "summary.json")["critical_share"])


def critical_share_warnings(*, split: float, picked: float) -> list[str]:
    """What the critical shares, in [0, 1], of the split and of the studies picked from it mean for RFT.

    >>> critical_share_warnings(split=0.5, picked=0.6)
    []
    >>> [warning.partition(":")[0] for warning in critical_share_warnings(split=0.1, picked=0.0)]
    ['None of the studies that Target Exploration picked is critical']
    """
    warnings = []
    if picked in (0.0, 1.0):
        which, epsilon = ("None", "the normal") if picked == 0.0 else ("Every one", "the critical")
        verb = "is critical" if picked == 0.0 else "is critical, and none normal"
        warnings.append(
            f"{which} of the studies that Target Exploration picked {verb}: RFT clips all of them to "
            f'{epsilon} range, and CAPO is GRPO. exploration.strategy = "balanced" keeps both kinds.'
        )
    if abs(picked - split) > SHIFT_WARNED_OF:
        warnings.append(
            f"Critical studies are {picked:.0%} of what Target Exploration picked and {split:.0%} of the "
            "split: RFT may learn to call everything abnormal, or nothing."
        )
    return warnings
