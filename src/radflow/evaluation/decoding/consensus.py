"""The report that agrees best with the other samples of its study: minimum-risk, or consensus, decoding.

Of n sampled reports y_1 .. y_n the one with the greatest mean utility against the others is taken,

    argmax_i 1 / (n - 1) sum_{j != i} u(y_i, y_j),

so that the samples stand for what the policy believes of the study (Kumar and Byrne 2004, *Minimum Bayes-Risk
Decoding for Statistical Machine Translation*, HLT-NAACL; with samples on both sides Eikema and Aziz 2022,
arXiv:2108.04718). No reference is looked at.

Axes: ``n`` samples of a study, ``D`` distinct texts among them, ``K`` observations.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Bool, Float

from radflow import config
from radflow.errors import DataError, did_you_mean
from radflow.metrics import score
from radflow.metrics.pairs import ReadOnce
from radflow.metrics.table import METRICS, default_metrics
from radflow.modality import modality_of
from radflow.readers import SUMMARIES, labeler
from radflow.reports import parse_report

LABELS, VOTE = "labels", "vote"
TIE = "bleu2"
"""The metric that decides between samples of equal utility; if that is equal too, the first is taken."""
_SAME = 1e-9  # utilities that differ by no more than rounding are equal


class Consensus:
    """Chooses one of the sampled reports of each study.

    Args:
        modality: of the studies.
        utility: ``labels``, the modality's label F1 over the whole report; ``vote``, the F1 of a sample's
            positive observations with those that enough samples assert; or a metric that needs no download.
        share: what share of the samples is enough for ``vote``, in (0, 1].

    Raises:
        DataError: another utility, or a share out of range.

    >>> choose = Consensus("chest-xray")
    >>> choose([["Lungs are clear.", "Left effusion.", "Small left pleural effusion.", "Rib fracture."]])
    [1]
    """

    def __init__(self, modality: str, utility: str = LABELS, *, share: float = 0.5) -> None:
        known = (LABELS, VOTE, *default_metrics(modality))
        if utility not in known:
            raise DataError(
                f"evaluation.utility: expected one of {', '.join(known)}; got {utility!r}."
                + did_you_mean(utility, known)
            )
        if not 0 < share <= 1:
            raise DataError(f"evaluation.vote_share: expected a share above 0 and up to 1, got {share:g}")
        self._utility, self._share = utility, share
        self._label = modality_of(modality).labels
        self._reader = ReadOnce(labeler(modality))

    @property
    def words(self) -> str:
        """The utility as pages name it."""
        if self._utility == VOTE:
            return f"the labels that at least {self._share:.0%} of the samples assert"
        return self._label.label if self._utility == LABELS else METRICS[self._utility].label

    def __call__(self, groups: Sequence[Sequence[str]]) -> list[int]:
        """The place of the chosen sample in each group; a function of that group alone.

        Args:
            groups: for each study its sampled reports, at least one.
        """
        return [self._choose([parse_report(text).canonical for text in group]) for group in groups]

    def _choose(self, texts: list[str]) -> int:
        distinct = list(dict.fromkeys(texts))
        if len(distinct) == 1:
            return 0
        counts = np.array([texts.count(text) for text in distinct])
        best = self._by_votes(distinct, counts) if self._utility == VOTE else self._mean(distinct, counts)
        tied = np.flatnonzero(best >= best.max() - _SAME)
        if len(tied) > 1:
            alike = mean_utility(_pairwise(distinct, TIE), counts)[tied]
            tied = tied[np.flatnonzero(alike >= alike.max() - _SAME)]
        return texts.index(distinct[tied[0]])

    def _mean(self, distinct: list[str], counts: np.ndarray) -> Float[np.ndarray, " D"]:
        if self._utility in (LABELS, self._label.metric):
            asserted = self._asserted(distinct, aside=())
            return mean_utility(_f1(asserted, asserted), counts)
        return mean_utility(_pairwise(distinct, self._utility), counts)

    def _by_votes(self, distinct: list[str], counts: np.ndarray) -> Float[np.ndarray, " D"]:
        asserted = self._asserted(distinct, aside=SUMMARIES)
        voted = counts @ asserted >= self._share * counts.sum() - _SAME
        return _f1(asserted, voted[None])[:, 0]

    def _asserted(self, texts: list[str], aside: Collection[str]) -> Bool[np.ndarray, "D K"]:
        rows = self._reader(texts)
        return np.array([[s in (1, -1) for name, s in row.items() if name not in aside] for row in rows])


def consensus_of(knobs: config.Evaluation, modality: str) -> Consensus | None:
    """What chooses among samples as a recipe says; ``None`` where there is one report of each study.

    Raises:
        DataError: the utility cannot be used.
    """
    if knobs.decoding != "consensus":
        return None
    return Consensus(modality, knobs.utility, share=knobs.vote_share)


def decoding_words(knobs: config.Evaluation, modality: str) -> str:
    """How a run's reports were decoded, as pages and cards say it.

    >>> decoding_words(config.Evaluation(), "carotid-us")
    'greedy'
    >>> decoding_words(config.Evaluation(decoding="consensus"), "carotid-us")
    'consensus of 16 samples at temperature 1, by Carotid F1 (rules)'
    """
    chosen = consensus_of(knobs, modality)
    if chosen is None:
        return "as the model's generation_config.json says" if knobs.decoding == "own" else "greedy"
    return f"consensus of {knobs.samples} samples at temperature {knobs.temperature:g}, by {chosen.words}"


def mean_utility(utility: Float[np.ndarray, "D D"], counts: np.ndarray) -> Float[np.ndarray, " D"]:
    """Mean utility of each text against the other samples, of which ``counts`` have each text.

    >>> mean_utility(np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([2, 1])).tolist()
    [0.75, 0.5]
    """
    return (utility @ counts - np.diag(utility)) / (counts.sum() - 1)


def _f1(ours: Bool[np.ndarray, "D K"], theirs: Bool[np.ndarray, "E K"]) -> Float[np.ndarray, "D E"]:
    """F1 between every two rows, 1 where both are empty."""
    both = ours.astype(float) @ theirs.T.astype(float)
    sizes = ours.sum(axis=1)[:, None] + theirs.sum(axis=1)
    return np.where(sizes == 0, 1.0, 2 * both / np.maximum(sizes, 1))


def _pairwise(texts: list[str], metric: str) -> Float[np.ndarray, "D D"]:
    """A metric of every text against every other."""
    generated = [text for text in texts for _ in texts]
    return score(generated, texts * len(texts), [metric])[metric].reshape(len(texts), len(texts))
