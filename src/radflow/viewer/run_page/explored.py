"""What Target Exploration picked, and how it differs from the split it was picked from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from radflow.evaluation.notation import number
from radflow.viewer.charts.frame import Flag
from radflow.viewer.charts.lines import histogram
from radflow.viewer.charts.strips import dumbbells
from radflow.viewer.records import Exploration, HardCase, SplitAndPicked
from radflow.viewer.wording import metric_name, percent

MOST_HARD_CASES = 6

_WHY = {
    "hardest": "the studies on which SFT scored lowest",
    "balanced": "the studies on which SFT scored lowest, taken apart among critical and normal ones so that "
    "their proportion stays that of the split",
    "threshold": "the studies on which SFT scored below the recipe's threshold",
    "random": "studies drawn at random, a control for choosing the hardest",
    "all": "every training study, a control for choosing at all",
}


@dataclass(frozen=True, kw_only=True)
class ExplorationView:
    """The exploration section as printed."""

    sentence: str
    contrasts: tuple[tuple[str, str, str], ...]
    scores_svg: str
    labels_svg: str
    hardest: tuple[tuple[HardCase, tuple[tuple[str, str], ...]], ...]


def exploration_view(exploration: Exploration) -> ExplorationView:
    """Put the exploration's summary into a sentence, a small table, two charts and the hardest cases."""
    return ExplorationView(
        sentence=_sentence(exploration),
        contrasts=_contrasts(exploration),
        scores_svg=_scores(exploration),
        labels_svg=dumbbells(
            key="explored-labels",
            title="Share of studies with each label, in the split and among the picked",
            x_label="studies with the label positive",
            rows=[(label, both.split, both.picked) for label, both in exploration.labels.items()],
            names=("split", "picked"),
        ),
        hardest=tuple((case, _case_scores(case)) for case in exploration.hardest[:MOST_HARD_CASES]),
    )


def _sentence(exploration: Exploration) -> str:
    share = exploration.picked_size / exploration.split_size if exploration.split_size else math.nan
    why = _WHY.get(exploration.strategy, f"by the strategy “{exploration.strategy}”")
    by = (
        f" Scored by {', '.join(metric_name(metric, {}) for metric in exploration.metrics)}."
        if exploration.metrics
        else ""
    )
    return (
        f"Picked {exploration.picked_size:,} of {exploration.split_size:,} training studies "
        f"({percent(share, 1)}): {why}.{by}"
    )


def _contrasts(exploration: Exploration) -> tuple[tuple[str, str, str], ...]:
    def line(name: str, both: SplitAndPicked | None, *, share: bool = False) -> list[tuple[str, str, str]]:
        if both is None:
            return []
        write = percent if share else number
        return [(name, write(both.split, 1), write(both.picked, 1))]

    return (
        *line("critical studies", exploration.critical_share, share=True),
        *line("words per report", exploration.words),
        *line("positive findings per report", exploration.positives),
    )


def _scores(exploration: Exploration) -> str:
    scores = exploration.scores
    if scores is None:
        return ""
    threshold = exploration.threshold
    return histogram(
        key="explored-scores",
        title="Score of the SFT model's report on each training study",
        x_label="score on the training split (low: hard)",
        y_label="studies",
        edges=scores.edges,
        series=(("split", scores.split), ("picked", scores.picked)),
        flag=Flag(x=threshold, label=f"kept up to {threshold:.3g}") if math.isfinite(threshold) else None,
    )


def _case_scores(case: HardCase) -> tuple[tuple[str, str], ...]:
    values = {
        "score": case.score,
        "BLEU-2": case.bleu2,
        "BERTScore": case.bertscore,
        "RadGraph F1": case.radgraph_f1,
        "KeyWordMatch": case.keyword_match,
    }
    return tuple((name, number(value, 2)) for name, value in values.items() if math.isfinite(value))
