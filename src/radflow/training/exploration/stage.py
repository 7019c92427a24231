"""One exploration, from candidates to picks.

The paper's, on the SFT policy:

1. Predict greedily on the training split with the SFT policy.
2. Score each prediction with BLEU-2, BERTScore and RadGraph F1 (KeyWordMatch on ultrasound).
3. Put each metric on a common scale over the split, add them up, and keep the lowest k percent.

The first step takes nearly all the time and asks little of the recipe, so it is a stage of its own: another k
or other weights score and pick again, and the rows of an ablation share their predictions.

The hardest studies are not a fair sample: on the carotid phantom nearly all of them are critical. So what was
picked is described beside the split it came from, and the recipe can balance it.

Nor are they those on which the policy learns most: a group whose samples all fail has no advantage. The
strategy ``learnable`` keeps the studies on which the samples differ in the label metric, some right and some
wrong. Which these are changes as the policy learns; with ``exploration.refresh_every`` RFT explores again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from jaxtyping import Float

from radflow import config
from radflow.errors import DataError, TrainingError
from radflow.files import read_json, write_json, write_jsonl
from radflow.folders import read_pieces
from radflow.modality import MODALITIES
from radflow.policy import Policy
from radflow.studies import Study
from radflow.training.exploration.candidates import Row, greedy_rows, hardness, learnability, sampled_rows
from radflow.training.exploration.picking import composite_score, pick
from radflow.training.exploration.summary import critical_share_warnings, summarise
from radflow.workspace import Workspace

CHUNK = 256
"""Studies of a file, and so the most that a kill can cost."""


class NothingPickedError(TrainingError):
    """No candidate meets what the recipe asks for."""


def run_prediction(
    workspace: Workspace,
    recipe: config.Recipe,
    policy: Policy,
    studies: Sequence[Study],
    accelerator: Accelerator,
    *,
    round_: int = 0,
) -> None:
    """Write the reports of the candidates, 256 studies to a file.

    A killed run goes on after the last file.

    Args:
        workspace: the run's folder.
        recipe: the sections ``exploration``, ``policy`` and ``evaluation``; for ``learnable`` also ``rft``.
        policy: what SFT left, or what RFT has made of it.
        studies: the training split.
        accelerator: several processes take the files in turn.
        round_: 0 is the stage ``predict``; later ones, of RFT, write to ``rft/predictions/<round>``, with
            seeds of their own.

    Raises:
        TrainingError: there are no studies.
        DataError: a study is not annotated critical or not.
    """
    if not studies:
        raise TrainingError("exploration: expected a training split, got no study")
    check_annotated(studies)  # now, and not when hours of predictions are to be picked from
    candidates = _candidates(workspace, recipe, studies)
    number = [round_] if round_ else []  # in the seeds of later rounds

    def seed_of(study: Study) -> int:
        return workspace.seed("exploration", "spread", study.study_id, *number)

    learnable = recipe.exploration.strategy == "learnable"
    write = partial(sampled_rows, seed_of=seed_of) if learnable else greedy_rows
    workspace.write_pieces(
        "Target Exploration: predictions",
        _predictions(workspace, round_),
        len(candidates),
        lambda places: write(policy, recipe, candidates[places]),
        size=CHUNK,
        turn=(accelerator.process_index, accelerator.num_processes),
    )
    accelerator.wait_for_everyone()


def run_exploration(
    workspace: Workspace,
    recipe: config.Recipe,
    studies: Sequence[Study],
    accelerator: Accelerator,
    *,
    round_: int = 0,
) -> list[Study]:
    """Score what `run_prediction` wrote, and pick; write ``scores.jsonl``, ``picked.json``, ``summary.json``.

    Args:
        workspace: the run's folder.
        recipe: the section ``exploration``.
        studies: the training split, of one modality, as `run_prediction` had it.
        accelerator: several processes score the chunks in turn.
        round_: 0 is the stage ``exploration``; later ones, of RFT, write to ``rft/rounds/<round>``.

    Raises:
        NothingPickedError: none scores below the threshold, or none can be learnt from.
    """
    knobs = recipe.exploration
    studies = _candidates(workspace, recipe, studies)
    modality, learnable = MODALITIES[studies[0].modality], knobs.strategy == "learnable"
    weights = {"bleu2": knobs.bleu2, "bertscore": knobs.bertscore, modality.content.metric: knobs.domain}
    names = [name for name, weight in weights.items() if weight > 0]
    names = [modality.labels.metric] if learnable else names
    written = list(read_pieces(_predictions(workspace, round_)))

    def scored(places: slice) -> list[Row]:
        if learnable:
            return learnability(studies[places], written[places])
        return hardness(studies[places], written[places], names)

    workspace.write_pieces(
        "Target Exploration: metrics",
        _scored(workspace, round_),
        len(studies),
        scored,
        size=CHUNK,
        turn=(accelerator.process_index, accelerator.num_processes),
    )
    accelerator.wait_for_everyone()
    rows = list(read_pieces(_scored(workspace, round_)))
    if learnable:
        scores = np.array([row["spread"] for row in rows], dtype=float)
    else:
        columns = {n: np.array([row[n] for row in rows], dtype=float) for n in names}
        scores = composite_score(columns, weights, knobs.normalise)
    number = [round_] if round_ else []
    seed = workspace.seed("exploration", "pick", *number)
    chosen = pick(scores, [bool(s.critical) for s in studies], knobs, seed=seed)
    if not chosen:
        raise NothingPickedError(f"exploration: {_why_nothing(knobs, scores)}")
    summary = summarise(knobs, studies, rows, scores, chosen, names)
    if accelerator.is_main_process:
        _write(_folder(workspace, round_), rows, scores, [studies[i].study_id for i in chosen], summary)
    _say(workspace, summary, round_)
    return [studies[i] for i in chosen]


def passes_of_round(workspace: Workspace, round_: int) -> int:
    """Token passes of the predictions of a round, over all processes; also where it picked nothing."""
    return sum(row["passes"] for row in read_pieces(_predictions(workspace, round_)))


def check_annotated(studies: Sequence[Study]) -> None:
    """Raise `DataError` unless each study is annotated critical or not."""
    for study in studies:
        if study.critical is None:
            raise DataError(
                f"study {study.study_id}: expected it to be annotated critical or not; run prepare again"
            )


def read_picked(folder: Path) -> list[str]:
    """Study ids that a finished exploration picked, in its order."""
    return read_json(folder / "picked.json")


def _candidates(workspace: Workspace, recipe: config.Recipe, studies: Sequence[Study]) -> Sequence[Study]:
    at_most = recipe.exploration.studies
    if at_most is None or at_most >= len(studies):
        return studies
    seed = workspace.seed("exploration", "sample")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(studies))[:at_most])
    return [studies[i] for i in chosen]


def _predictions(workspace: Workspace, round_: int) -> Path:
    return workspace.path("rft", "predictions", f"{round_:03d}") if round_ else workspace.path("predict")


def _scored(workspace: Workspace, round_: int) -> Path:
    """Of the chunks of scores, which may be deleted once the stage is done."""
    return workspace.path(*(("rft", "scored", f"{round_:03d}") if round_ else ("exploration", "scored")))


def _folder(workspace: Workspace, round_: int) -> Path:
    return workspace.path("rft", "rounds", f"{round_:03d}") if round_ else workspace.path("exploration")


def _why_nothing(knobs: config.Exploration, scores: Float[np.ndarray, "P"]) -> str:
    if knobs.threshold is not None:
        lowest = f"the lowest is {scores.min():.3f}"
        return f"no study scores below exploration.threshold = {knobs.threshold}; {lowest}"
    if not (scores > 0).any():
        return (
            f"the {knobs.samples} samples of each study agree in the label metric, so none can be learnt "
            'from; raise exploration.samples or rft.temperature, or set exploration.strategy = "hardest"'
        )
    return (
        f"no study that can be learnt from is of the kind that exploration.critical_share = "
        f"{knobs.critical_share} asks for; change it"
    )


def _write(
    folder: Path,
    rows: Sequence[Row],
    scores: Float[np.ndarray, "P"],
    picked: Sequence[str],
    summary: dict[str, Any],
) -> None:
    write_jsonl(
        folder / "scores.jsonl", ({**row, "score": float(s)} for row, s in zip(rows, scores, strict=True))
    )
    write_json(folder / "picked.json", list(picked))
    write_json(folder / "summary.json", summary)


def _say(workspace: Workspace, summary: dict[str, Any], round_: int) -> None:
    share, who = summary["critical_share"], f"rft: round {round_}" if round_ else "exploration"
    learnable = ""
    if spread := summary.get("spread"):
        learnable = (
            f"; spread of the label metric {spread['picked']:.3f} of them, {spread['split']:.3f} of the split"
        )
    workspace.say(
        f"{who}: kept {summary['picked_size']} of {summary['split_size']} studies ({summary['strategy']}); "
        f"critical {share['picked']:.0%} of them, {share['split']:.0%} of the split{learnable}"
    )
    for warning in critical_share_warnings(**share):
        workspace.say(f"{who}: warning: {warning}")
