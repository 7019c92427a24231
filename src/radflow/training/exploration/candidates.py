"""Reports of the candidates, and what the metrics say of them.

The paper scores one greedy report of each study. To know on which studies the policy can learn, several
reports are sampled as RFT samples them; each gets the label metric of its modality over the whole report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from radflow import config
from radflow.metrics import score
from radflow.modality import MODALITIES
from radflow.policy import Group, Policy, greedy_reports, sample_groups
from radflow.policy.passes.counting import sampling_passes
from radflow.reports import parse_report
from radflow.studies import Study
from radflow.training.exploration.picking import spread

Row = dict[str, Any]


# ---- reports ---------------------------------------------------------------------------------------------


def greedy_rows(policy: Policy, recipe: config.Recipe, studies: Sequence[Study]) -> list[Row]:
    """The greedy report of each study, in ``reports``, and the token ``passes`` that it took."""
    most, size = recipe.policy.max_new_tokens, recipe.evaluation.batch_size
    written = greedy_reports(policy, studies, max_new_tokens=most, batch_size=size)
    return _rows(policy, [Group(study=study, completions=(completion,)) for study, completion in written])


def sampled_rows(
    policy: Policy, recipe: config.Recipe, studies: Sequence[Study], seed_of: Callable[[Study], int]
) -> list[Row]:
    """``exploration.samples`` sampled reports of each study, and the token ``passes`` that they took.

    Args:
        policy: samples, at the temperature of ``rft``.
        recipe: the sections ``exploration``, ``rft`` and ``policy``.
        studies: any.
        seed_of: each study's own seed, so that a row does not depend on the chunk.
    """
    return _rows(
        policy,
        sample_groups(
            policy,
            studies,
            group_size=recipe.exploration.samples,
            max_new_tokens=recipe.policy.max_new_tokens,
            seeds=[seed_of(study) for study in studies],
            temperature=recipe.rft.temperature,
            top_p=recipe.rft.top_p,
            min_p=recipe.rft.min_p,
        ),
    )


def _rows(policy: Policy, groups: Sequence[Group]) -> list[Row]:
    return [
        {
            "study_id": group.study.study_id,
            "reports": group.texts,
            "passes": sampling_passes(policy, [group]),
        }
        for group in groups
    ]


# ---- what the metrics say --------------------------------------------------------------------------------


def hardness(studies: Sequence[Study], written: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """The greedy report of each study (``prediction``) and its metrics, by name."""
    texts = [row["reports"][0] for row in written]
    values = score_predictions(studies, texts, names)
    return [
        {
            "study_id": study.study_id,
            "prediction": text,
            **{name: float(column[i]) for name, column in values.items()},
        }
        for i, (study, text) in enumerate(zip(studies, texts, strict=True))
    ]


def learnability(studies: Sequence[Study], written: Sequence[Row]) -> list[Row]:
    """What the label metric says of the sampled reports of each study.

    A row holds the metric of each sample (``samples``), their mean under the metric's name, their ``spread``,
    and the texts of the worst (``prediction``) and of the ``best``.

    Args:
        studies: of one modality.
        written: of each, in ``reports``, as many samples.
    """
    metric = MODALITIES[studies[0].modality].labels.metric
    pairs = [(study, text) for study, row in zip(studies, written, strict=True) for text in row["reports"]]
    values = score_predictions([study for study, _ in pairs], [text for _, text in pairs], [metric])[metric]
    table = values.reshape(len(studies), -1)
    return [
        {
            "study_id": study.study_id,
            "prediction": row["reports"][int(samples.argmin())],
            "best": row["reports"][int(samples.argmax())],
            metric: float(samples.mean()),
            "spread": float(between),
            "samples": samples.tolist(),
        }
        for study, row, samples, between in zip(studies, written, table, spread(table), strict=True)
    ]


def score_predictions(
    studies: Sequence[Study], texts: Sequence[str], names: Sequence[str]
) -> Mapping[str, Float[np.ndarray, "N"]]:
    """Metrics of predictions against the references, by name."""
    return score(
        [parse_report(t).canonical for t in texts], [s.reference.canonical for s in studies], list(names)
    )
