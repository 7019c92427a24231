"""Candidates to scored rows, chunk by chunk, so that a killed run goes on after the last chunk.

The paper scores one greedy report of each study. To know on which studies the policy can learn, several
reports are sampled as RFT samples them; each gets the label metric of its modality over the whole report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from jaxtyping import Float

from radflow import config
from radflow.files import read_jsonl
from radflow.folders import is_piece, write_piece
from radflow.metrics import score
from radflow.modality import MODALITIES
from radflow.policy import Group, Policy, greedy_reports, sample_groups
from radflow.policy.passes.counting import sampling_passes
from radflow.reports import parse_report
from radflow.studies import Study
from radflow.training.exploration.picking import spread
from radflow.workspace import Workspace

CHUNK = 256
"""Studies between two appends to the predictions file, and so the most that a kill can cost."""

Row = dict[str, Any]


def candidate_rows(
    workspace: Workspace,
    folder: Path,
    studies: Sequence[Study],
    rows_of: Callable[[Sequence[Study]], list[Row]],
    accelerator: Accelerator,
) -> list[Row]:
    """One row per study, in order; what an earlier try finished is read back.

    Args:
        workspace: shows the progress.
        folder: of the chunks.
        studies: the candidates.
        rows_of: a chunk of them to rows, each from its own study alone.
        accelerator: several processes take the chunks in turn.
    """
    chunks = [studies[i : i + CHUNK] for i in range(0, len(studies), CHUNK)]
    paths = [folder / f"{i:05d}.jsonl" for i in range(len(chunks))]
    ranks, rank = accelerator.num_processes, accelerator.process_index
    with workspace.track("Target Exploration", len(studies)) as advance:
        for part, path in list(zip(chunks, paths, strict=True))[rank::ranks]:
            if not is_piece(path):
                write_piece(path, rows_of(part))
            advance(len(part) * ranks)
    accelerator.wait_for_everyone()
    return [row for path in paths for row in read_jsonl(path)]


def greedy_rows(
    policy: Policy, recipe: config.Recipe, studies: Sequence[Study], names: Sequence[str]
) -> list[Row]:
    """The greedy report of each study, its metrics by name, and the token ``passes`` that it took."""
    most, size = recipe.policy.max_new_tokens, recipe.evaluation.batch_size
    written = greedy_reports(policy, studies, max_new_tokens=most, batch_size=size)
    groups = [Group(study=study, completions=(completion,)) for study, completion in written]
    texts = [group.texts[0] for group in groups]
    values = score_predictions(studies, texts, names)
    return [
        {
            "study_id": group.study.study_id,
            "prediction": text,
            "passes": sampling_passes(policy, [group]),
            **{n: float(v[i]) for n, v in values.items()},
        }
        for i, (group, text) in enumerate(zip(groups, texts, strict=True))
    ]


def sampled_rows(
    policy: Policy, recipe: config.Recipe, studies: Sequence[Study], seed_of: Callable[[Study], int]
) -> list[Row]:
    """What the label metric says of several sampled reports of each study.

    A row holds the metric of each sample (``samples``), their mean under the metric's name, their ``spread``,
    the texts of the worst (``prediction``) and of the ``best``, and the token ``passes`` that sampling took.

    Args:
        policy: samples, at the temperature of ``rft``.
        recipe: the sections ``exploration``, ``rft`` and ``policy``.
        studies: of one modality.
        seed_of: each study's own seed, so that a row does not depend on the chunk.
    """
    groups = sample_groups(
        policy,
        studies,
        group_size=recipe.exploration.samples,
        max_new_tokens=recipe.policy.max_new_tokens,
        seeds=[seed_of(study) for study in studies],
        temperature=recipe.rft.temperature,
        top_p=recipe.rft.top_p,
        min_p=recipe.rft.min_p,
    )
    metric = MODALITIES[studies[0].modality].labels.metric
    pairs = [(group.study, text) for group in groups for text in group.texts]
    values = score_predictions([study for study, _ in pairs], [text for _, text in pairs], [metric])[metric]
    table = values.reshape(len(groups), -1)
    return [
        {
            "study_id": group.study.study_id,
            "prediction": group.texts[int(row.argmin())],
            "best": group.texts[int(row.argmax())],
            metric: float(row.mean()),
            "spread": float(between),
            "samples": row.tolist(),
            "passes": sampling_passes(policy, [group]),
        }
        for group, row, between in zip(groups, table, spread(table), strict=True)
    ]


def score_predictions(
    studies: Sequence[Study], texts: Sequence[str], names: Sequence[str]
) -> Mapping[str, Float[np.ndarray, "N"]]:
    """Metrics of predictions against the references, by name."""
    return score(
        [parse_report(t).canonical for t in texts], [s.reference.canonical for s in studies], list(names)
    )
