"""Several sampled reports of each study, kept in pieces so that a killed run goes on where it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from radflow.folders import read_pieces
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

    def sampled(places: slice) -> list[dict[str, Any]]:
        groups = sample_groups(
            policy,
            studies[places],
            group_size=samples,
            max_new_tokens=recipe.policy.max_new_tokens,
            seeds=[workspace.seed("samples", study.study_id) for study in studies[places]],
            temperature=temperature,
            rows_at_once=recipe.evaluation.batch_size,
        )
        return [{"study_id": group.study.study_id, "samples": group.texts} for group in groups]

    workspace.write_pieces(what, folder, len(studies), sampled, size=CHUNK)
    return [row["samples"] for row in read_pieces(folder)]
