"""The reward of a recipe's section ``reward``."""

from __future__ import annotations

from collections.abc import Mapping

from radflow import config
from radflow.judges import Judge
from radflow.metrics.label_gain import LabelCounts
from radflow.rewards.diagnosis import DiagnosisReward
from radflow.rewards.domain import trainable
from radflow.rewards.hierarchical import HierarchicalReward, ImpressionTerm
from radflow.rewards.impression import ImpressionReward

SEES_SIDES = "finding_match"
"""R_domain of the preset ``diagnosis``, for the modalities that have it."""


def reward_of(
    knobs: config.Reward,
    modality: str,
    *,
    judge: str | Judge | None = None,
    prevalence: Mapping[str, float] | None = None,
    counts: LabelCounts | None = None,
) -> HierarchicalReward:
    """The hierarchical reward that a recipe asks for.

    Args:
        knobs: the section ``reward``.
        modality: of the studies.
        judge: in the place of the one that the recipe names.
        prevalence: of each label in the training references, for ``labels = "f_beta"``.
        counts: of the training split's predictions, for ``labels = "marginal"``.

    Raises:
        DataError: a metric cannot be trained on, or constants of the split are missing.

    >>> reward_of(config.Reward(preset="diagnosis"), "carotid-us").weights["impression"]
    2.0
    """
    domain_metric = knobs.domain_metric
    if domain_metric is None and knobs.preset == "diagnosis" and SEES_SIDES in trainable(modality):
        domain_metric = SEES_SIDES
    impression: ImpressionTerm
    if knobs.labels == "f1" or knobs.impression_metric is not None:
        impression = ImpressionReward(modality, metric=knobs.impression_metric, target=knobs.target)
    else:
        impression = DiagnosisReward(modality, knobs, prevalence=prevalence, counts=counts)
    return HierarchicalReward(
        modality=modality,
        judge=knobs.judge if judge is None else judge,
        gamma=knobs.gamma,
        syntax_weight=knobs.syntax,
        domain_weight=knobs.domain,
        consistency_weight=knobs.consistency,
        syntax_metric=knobs.syntax_metric,
        domain_metric=domain_metric,
        impression=impression,
    )
