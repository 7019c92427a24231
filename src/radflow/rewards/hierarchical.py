"""The hierarchical alignment reward (Eq. 4-5): what a generated report is worth.

    R = R_syntax + R_domain + R_consistent + gamma * R_imp

R_syntax in [0, 1], R_domain in [0, 1], R_consistent in {-1, +1} or skipped, R_imp in [0, 1] or skipped. With
the paper's weights the total lies in [-1, 3 + gamma]. A skipped term adds nothing; its part is ``None``.
`reward_of` makes what a recipe says, with other numbers in the place of R_imp (`rewards.diagnosis`).

A study whose reference is an Impression alone, or Findings alone, asks for no other section: consistency is
skipped for all its completions, whatever they hold. The paper does not treat this case.

Why a policy cannot gain by dropping a header or a section: it gets the lowest consistency, and without an
Impression loses that term, which is never negative. The domain term may rise, by at most 1, against the 2
that a consistent report gives up (docs/decisions/unsectioned.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from radflow.errors import DataError
from radflow.judges import Judge
from radflow.judges import load as load_judge
from radflow.judges.base import told
from radflow.metrics import Reader
from radflow.reports import Report, parse_report
from radflow.rewards.consistency import consistency_reward
from radflow.rewards.domain import DomainReward
from radflow.rewards.impression import ImpressionReward
from radflow.rewards.syntax import syntax_term
from radflow.studies import Study

ImpressionTerm = Callable[[Sequence[Report], Sequence[Report]], list[float | None]]

PARTS: tuple[str, ...] = ("syntax", "domain", "consistency", "impression")
"""The terms, in the order of Eq. 4-5."""


@dataclass(frozen=True, kw_only=True)
class Reward:
    """What one completion is worth.

    Attributes:
        total: the weighted sum of the parts that are not ``None``.
        parts: term to its value before weighting; ``None`` where the term was skipped.
    """

    total: float
    parts: Mapping[str, float | None]


class HierarchicalReward:
    """Rewards completions against the reference of their study.

    Args:
        modality: of `radflow.modality.MODALITIES`; decides the readers and the rules of the rule judge.
        judge: who judges consistency: a name for :func:`radflow.judges.load`, or a judge.
        gamma: weight of R_imp (Eq. 4), at least 0. The paper does not give it; ours is 1.
        syntax_weight: weight of R_syntax; the paper's is 1.
        domain_weight: weight of R_domain; the paper's is 1.
        consistency_weight: weight of R_consistent; the paper's is 1.
        syntax_metric: R_syntax, as `radflow.rewards.syntax.syntax_term` knows it.
        labeler: the expert of Eq. 6; ``None`` takes the modality's.
        domain_reader: graphs or key terms for R_domain; ``None`` takes the modality's.
        domain_metric: of `radflow.rewards.domain.trainable`, for R_domain; ``None`` takes the modality's, as
            the paper does.
        impression_metric: the same for R_imp.
        impression: R_imp itself, in the place of ``labeler`` and ``impression_metric``: called with generated
            reports and references, it gives a number per pair, or ``None`` where the term is skipped.

    Raises:
        DataError: the modality is unknown, a weight is negative, or a metric cannot be trained on.
        RecipeError: the judge is unknown.

    >>> study = Study(
    ...     study_id="s1", patient_id="p1", images=(),
    ...     reference=parse_report("Findings: No pleural effusion. Impression: Normal chest."),
    ... )
    >>> reward = HierarchicalReward(modality="chest-xray")(study, [study.reference.text])[0]
    >>> reward.parts["syntax"], reward.parts["consistency"], reward.parts["impression"]
    (1.0, 1.0, 1.0)
    """

    def __init__(
        self,
        *,
        modality: str,
        judge: str | Judge = "rules",
        gamma: float = 1.0,
        syntax_weight: float = 1.0,
        domain_weight: float = 1.0,
        consistency_weight: float = 1.0,
        syntax_metric: str | None = None,
        labeler: Reader | None = None,
        domain_reader: Reader | None = None,
        domain_metric: str | None = None,
        impression_metric: str | None = None,
        impression: ImpressionTerm | None = None,
    ) -> None:
        self.weights = {
            "syntax": syntax_weight,
            "domain": domain_weight,
            "consistency": consistency_weight,
            "impression": gamma,
        }
        for part, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise DataError(f"Expected the weight of {part} to be 0 or more, got {weight}.")
        self.modality = modality
        self.judge = told(load_judge(judge) if isinstance(judge, str) else judge, modality)
        self._syntax = syntax_term(syntax_metric)
        self._domain = DomainReward(modality, domain_reader, domain_metric)
        self._impression = impression or ImpressionReward(modality, labeler, impression_metric)

    def __call__(self, study: Study, texts: Sequence[str]) -> list[Reward]:
        """Reward the completions of one study, in order.

        Raises:
            DataError: the study is of another modality.
            RewardError: the judge failed.
        """
        return self.score_many([study], [texts])[0]

    def score_many(self, studies: Sequence[Study], texts: Sequence[Sequence[str]]) -> list[list[Reward]]:
        """Reward the completions of many studies in one batch, study by study.

        Args:
            studies: P studies.
            texts: for each its completions; the numbers may differ.

        Raises:
            DataError: not one list of completions per study, or a study of another modality.
            RewardError: the judge failed.
        """
        self._check(studies, texts)
        counts = [len(group) for group in texts]
        generated = [parse_report(text) for group in texts for text in group]
        references = [_canonical(study.reference) for study in studies]
        reference = [report for report, count in zip(references, counts, strict=True) for _ in range(count)]
        rewards = iter(self._score(generated, reference))
        return [[next(rewards) for _ in range(count)] for count in counts]

    def _check(self, studies: Sequence[Study], texts: Sequence[Sequence[str]]) -> None:
        if len(studies) != len(texts):
            raise DataError(
                f"Expected one list of completions per study, got {len(texts)} for {len(studies)} studies."
            )
        for study, group in zip(studies, texts, strict=True):
            if isinstance(group, str):
                raise DataError(f"study {study.study_id}: expected a list of completions, got a string.")
            if study.modality != self.modality:
                raise DataError(
                    f"study {study.study_id}: expected modality {self.modality}, which this reward reads, "
                    f"got {study.modality}."
                )

    def _score(self, generated: list[Report], reference: list[Report]) -> list[Reward]:
        columns: dict[str, Sequence[float | None]] = {
            "syntax": self._syntax([r.text for r in generated], [r.text for r in reference]).tolist(),
            "domain": self._domain(generated, reference).tolist(),
            "consistency": self._consistency(generated, reference),
            "impression": self._impression(generated, reference),
        }
        rows = zip(*(columns[part] for part in PARTS), strict=True)
        return [self._total(dict(zip(PARTS, row, strict=True))) for row in rows]

    def _consistency(self, generated: list[Report], reference: list[Report]) -> list[float | None]:
        counted = [index for index, report in enumerate(reference) if not report.has_one_section]
        values = consistency_reward([generated[index] for index in counted], self.judge).tolist()
        rewards: list[float | None] = [None] * len(generated)
        for index, value in zip(counted, values, strict=True):
            rewards[index] = value
        return rewards

    def _total(self, parts: dict[str, float | None]) -> Reward:
        total = sum(self.weights[part] * value for part, value in parts.items() if value is not None)
        return Reward(total=float(total), parts=parts)


def _canonical(report: Report) -> Report:
    """The reference in the one-line rendering that the policy is trained to write."""
    return replace(report, text=report.canonical)
