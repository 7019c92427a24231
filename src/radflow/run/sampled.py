"""Several sampled reports of each study, kept in pieces so that a killed run goes on where it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from radflow.files import read_jsonl
from radflow.folders import is_piece, write_piece
from radflow.policy import Policy, sample_groups
from radflow.studies import Study
from radflow.workspace import Workspace

CHUNK = 32
"""Studies of a piece."""


def sampled_reports(
    workspace: Workspace,
    policy: Policy,
    studies: Sequence[Study],
    folder: Path,
    *,
    samples: int,
    temperature: float,
    what: str,
) -> list[list[str]]:
    """Sample reports of each study, or read back what an earlier try has sampled.

    A study's reports follow from its id, the run's seed and the policy alone.

    Args:
        workspace: the run's folder; its recipe says how long a report may be and how many are decoded
            together.
        policy: samples.
        studies: any number.
        folder: where the pieces are; of a stage, so that those of other inputs are gone.
        samples: reports per study.
        temperature: the logits are divided by it.
        what: is being done, for the progress bar.
    """
    recipe = workspace.recipe
    chunks = [studies[start : start + CHUNK] for start in range(0, len(studies), CHUNK)]
    paths = [folder / f"{number:05d}.jsonl" for number in range(len(chunks))]
    with workspace.track(what, len(studies)) as advance:
        for part, path in zip(chunks, paths, strict=True):
            if not is_piece(path):
                groups = sample_groups(
                    policy,
                    part,
                    group_size=samples,
                    max_new_tokens=recipe.policy.max_new_tokens,
                    seeds=[workspace.seed("samples", study.study_id) for study in part],
                    temperature=temperature,
                    rows_at_once=recipe.evaluation.batch_size,
                )
                rows = ({"study_id": g.study.study_id, "samples": g.texts} for g in groups)
                write_piece(path, rows)
            advance(len(part))
    return [row["samples"] for path in paths for row in read_jsonl(path)]
