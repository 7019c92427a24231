"""``radflow headroom``: greedy reports and samples of a run's policies, and what the samples are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from radflow.evaluation.decoding.headroom import measure_headroom
from radflow.files import read_jsonl, write_json
from radflow.folders import is_piece, write_piece
from radflow.policy import Policy, greedy_texts
from radflow.rewards import HierarchicalReward
from radflow.run.sampled import sampled_reports
from radflow.studies import Study
from radflow.workspace import Workspace

STAGE = "headroom"
FILE = "headroom.json"


def write_headroom(
    workspace: Workspace,
    policies: Mapping[str, Callable[[], Policy]],
    studies: Sequence[Study],
    reward: HierarchicalReward,
    *,
    samples: int,
    split: str,
) -> None:
    """Measure each policy and write ``headroom/headroom.json``; finished pieces are read back.

    Args:
        workspace: the run's folder.
        policies: name to what loads it, so that one is in memory at a time.
        studies: of ``split``.
        reward: of the run.
        samples: reports per study.
        split: its name.
    """
    knobs = workspace.recipe.evaluation
    found: dict[str, Any] = {
        "split": split,
        "studies": len(studies),
        "samples": samples,
        "temperature": knobs.temperature,
        "seed": workspace.recipe.seed,
        "policies": {},
    }
    for name, load in policies.items():
        policy = load()
        path = workspace.path(STAGE, name, "greedy.jsonl")
        if not is_piece(path):
            texts = greedy_texts(policy, workspace.recipe, studies)
            write_piece(
                path, ({"study_id": s.study_id, "text": t} for s, t in zip(studies, texts, strict=True))
            )
        drawn = sampled_reports(
            workspace,
            policy,
            studies,
            workspace.path(STAGE, name, "samples"),
            samples=samples,
            temperature=knobs.temperature,
            what=f"Samples of {name}",
        )
        found["policies"][name] = measured = measure_headroom(
            studies,
            [row["text"] for row in read_jsonl(path)],
            drawn,
            reward,
            resamples=knobs.resamples,
            seed=workspace.seed(STAGE, "bootstrap"),
        )
        workspace.say(f"headroom: {name}: {measured['conclusion']}")
    write_json(workspace.path(STAGE, FILE), found)


def some(studies: Sequence[Study], at_most: int | None, seed: int) -> list[Study]:
    """At most so many studies, drawn at random and in their order."""
    if at_most is None or at_most >= len(studies):
        return list(studies)
    order = np.random.default_rng(seed).permutation(len(studies))
    return [studies[i] for i in np.sort(order[:at_most])]
