"""Target Exploration: which training studies reinforcement fine-tuning should see (paper, section 4.1).

1. Predict greedily on the training split with the SFT policy.
2. Score each prediction with BLEU-2, BERTScore and RadGraph F1 (KeyWordMatch on ultrasound).
3. Put each metric on a common scale over the split, add them up, and keep the lowest k percent.

The hardest studies are not a fair sample: on the carotid phantom nearly all of them are critical. So what was
picked is described beside the split it came from, and the recipe can balance it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from jaxtyping import Float

from radflow import config
from radflow.errors import DataError, TrainingError
from radflow.files import read_json, read_jsonl, write_json, write_jsonl
from radflow.folders import is_piece, write_piece
from radflow.metrics import score
from radflow.modality import MODALITIES
from radflow.policy import Policy, greedy_texts
from radflow.readers import label_vector, labeler
from radflow.reports import parse_report
from radflow.studies import Study
from radflow.workspace import Workspace

SHIFT_WARNED_OF = 0.15
"""Difference in critical share, picked against split, from which the run warns."""
CHUNK = 256
"""Studies between two appends to the predictions file, and so the most that a kill can cost."""


def normalise(values: Float[np.ndarray, "P"], how: str) -> Float[np.ndarray, "P"]:
    """Put a metric on [0, 1] over the split, by its range or by rank (ties share their mean rank).

    >>> normalise(np.array([2.0, 4.0, 3.0]), "minmax")
    array([0. , 1. , 0.5])
    >>> normalise(np.array([2.0, 9.0, 2.0]), "rank")
    array([0.25, 1.  , 0.25])
    """
    if how == "minmax":
        spread = values.max() - values.min()
        return (values - values.min()) / spread if spread > 0 else np.zeros_like(values)
    if how != "rank":
        raise ValueError(f"expected 'minmax' or 'rank', got {how!r}")
    if len(values) == 1:
        return np.zeros(1)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    first = np.cumsum(counts) - counts
    return (first + (counts - 1) / 2)[inverse] / (len(values) - 1)


def composite_score(
    metrics: Mapping[str, Float[np.ndarray, "P"]], weights: Mapping[str, float], how: str
) -> Float[np.ndarray, "P"]:
    """The score s_i of section 4.1: the weighted mean of the normalised metrics, in [0, 1]."""
    total = sum(weights[name] for name in metrics)
    if total <= 0:
        raise ValueError("expected a positive weight for at least one metric")
    parts = [weights[name] / total * normalise(values, how) for name, values in metrics.items()]
    return np.sum(parts, axis=0)


def pick(
    scores: Float[np.ndarray, "P"],
    critical: Sequence[bool],
    knobs: config.Exploration,
    *,
    seed: int,
) -> list[int]:
    """Indices of the studies to keep, hardest first where difficulty decides."""
    order = np.argsort(scores, kind="stable")
    if knobs.threshold is not None:
        return [int(i) for i in order if scores[i] < knobs.threshold]
    count = len(scores) if knobs.strategy == "all" else max(1, round(len(scores) * knobs.keep_percent / 100))
    if knobs.strategy == "random":
        return [int(i) for i in np.random.default_rng(seed).permutation(len(scores))[:count]]
    if knobs.strategy == "balanced":
        flags = np.asarray(critical, dtype=bool)
        hard = round(count * flags.mean())
        kept = {*order[flags[order]][:hard].tolist(), *order[~flags[order]][: count - hard].tolist()}
        return [int(i) for i in order if int(i) in kept]
    return [int(i) for i in order[:count]]


def run_exploration(
    workspace: Workspace,
    recipe: config.Recipe,
    policy: Policy,
    studies: Sequence[Study],
    accelerator: Accelerator,
) -> list[Study]:
    """Predict, score and pick; write ``exploration/scores.jsonl``, ``picked.json`` and ``summary.json``.

    Predictions are appended chunk by chunk, so memory does not grow with the split and a killed run goes on
    where it was.

    Args:
        workspace: the run's folder.
        recipe: the sections ``exploration``, ``policy`` and ``evaluation``.
        policy: what SFT left.
        studies: the training split, of one modality.
        accelerator: several processes take the chunks in turn.

    Raises:
        TrainingError: there are no studies, or none scores below the threshold.
        DataError: a study is not annotated critical or not.
    """
    if not studies:
        raise TrainingError("exploration: expected a training split, got no study")
    check_annotated(studies)
    knobs = recipe.exploration
    studies = _sample(studies, knobs.studies, workspace.seed("exploration", "sample"))
    weights = {
        "bleu2": knobs.bleu2,
        "bertscore": knobs.bertscore,
        MODALITIES[studies[0].modality].content.metric: knobs.domain,
    }
    names = [name for name, weight in weights.items() if weight > 0]
    rows = _predict_all(workspace, recipe, policy, studies, names, accelerator)
    columns = {n: np.array([row[n] for row in rows], dtype=float) for n in names}
    scores = composite_score(columns, weights, knobs.normalise)
    chosen = pick(
        scores, [bool(s.critical) for s in studies], knobs, seed=workspace.seed("exploration", "pick")
    )
    if not chosen:
        raise TrainingError(
            f"exploration: no study scores below exploration.threshold = {knobs.threshold}; "
            f"the lowest is {scores.min():.3f}"
        )
    summary = _summary(knobs, studies, rows, scores, chosen, names)
    if accelerator.is_main_process:
        write_jsonl(
            workspace.path("exploration", "scores.jsonl"),
            ({**row, "score": float(s)} for row, s in zip(rows, scores, strict=True)),
        )
        write_json(workspace.path("exploration", "picked.json"), [studies[i].study_id for i in chosen])
        write_json(workspace.path("exploration", "summary.json"), summary)
    share = summary["critical_share"]
    workspace.say(
        f"exploration: kept {len(chosen)} of {len(studies)} studies ({knobs.strategy}); "
        f"critical {share['picked']:.0%} of them, {share['split']:.0%} of the split"
    )
    for warning in critical_share_warnings(**share):
        workspace.say(f"exploration: warning: {warning}")
    return [studies[i] for i in chosen]


def check_annotated(studies: Sequence[Study]) -> None:
    """Raise `DataError` unless each study is annotated critical or not."""
    for study in studies:
        if study.critical is None:
            raise DataError(
                f"study {study.study_id}: expected it to be annotated critical or not; run prepare again"
            )


def _sample(studies: Sequence[Study], at_most: int | None, seed: int) -> Sequence[Study]:
    if at_most is None or at_most >= len(studies):
        return studies
    chosen = np.sort(np.random.default_rng(seed).permutation(len(studies))[:at_most])
    return [studies[i] for i in chosen]


def _predict_all(
    workspace: Workspace,
    recipe: config.Recipe,
    policy: Policy,
    studies: Sequence[Study],
    names: Sequence[str],
    accelerator: Accelerator,
) -> list[dict[str, Any]]:
    """Rows of study_id, prediction and metrics; what an earlier try finished is read back."""
    chunks = [studies[i : i + CHUNK] for i in range(0, len(studies), CHUNK)]
    paths = [workspace.path("exploration", "predictions", f"{i:05d}.jsonl") for i in range(len(chunks))]
    ranks, rank = accelerator.num_processes, accelerator.process_index
    with workspace.track("Target Exploration", len(studies)) as advance:
        for part, path in list(zip(chunks, paths, strict=True))[rank::ranks]:
            if not is_piece(path):
                texts = list(greedy_texts(policy, recipe, part))
                values = score_predictions(part, texts, names)
                write_piece(
                    path,
                    (
                        {
                            "study_id": s.study_id,
                            "prediction": t,
                            **{n: float(v[i]) for n, v in values.items()},
                        }
                        for i, (s, t) in enumerate(zip(part, texts, strict=True))
                    ),
                )
            advance(len(part) * ranks)
    accelerator.wait_for_everyone()
    return [row for path in paths for row in read_jsonl(path)]


def score_predictions(
    studies: Sequence[Study], texts: Sequence[str], names: Sequence[str]
) -> Mapping[str, Float[np.ndarray, "P"]]:
    """Metrics of predictions against the references, by name."""
    return score(
        [parse_report(t).canonical for t in texts], [s.reference.canonical for s in studies], list(names)
    )


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


def _summary(
    knobs: config.Exploration,
    studies: Sequence[Study],
    rows: Sequence[Mapping[str, Any]],
    scores: Float[np.ndarray, "P"],
    chosen: Sequence[int],
    names: Sequence[str],
) -> dict[str, Any]:
    """What was picked, beside the split it was picked from."""
    edges = np.linspace(0.0, 1.0, 41)
    split, picked = describe(studies), describe([studies[i] for i in chosen])
    labels = {
        name: {"split": split["labels"][name], "picked": picked["labels"][name]} for name in split["labels"]
    }
    hardest = [int(i) for i in np.argsort(scores, kind="stable")[:5]]
    by_difficulty = knobs.strategy in ("hardest",) or knobs.threshold is not None
    return {
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
            }
            for i in hardest
        ],
    }


def read_picked(folder: Path) -> list[str]:
    """Study ids that a finished exploration picked, in its order."""
    return read_json(folder / "picked.json")


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
