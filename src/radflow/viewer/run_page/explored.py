"""What Target Exploration picked, and how it differs from the split it was picked from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from radflow.evaluation.notation import number
from radflow.viewer.cases import Block, blocks
from radflow.viewer.charts.frame import Flag
from radflow.viewer.charts.lines import histogram
from radflow.viewer.charts.strips import dumbbells
from radflow.viewer.records import Exploration, HardCase, PickedAgain
from radflow.viewer.wording import metric_name, percent

MOST_HARD_CASES = 6

_WHY = {
    "hardest": "the studies on which SFT scored lowest",
    "balanced": "the studies on which SFT scored lowest, taken apart among critical and normal ones",
    "learnable": "the studies on which sampled reports differ most in the label metric",
    "threshold": "the studies on which SFT scored below the recipe's threshold",
    "random": "studies drawn at random, a control for choosing the hardest",
    "all": "every training study, a control for choosing at all",
}


@dataclass(frozen=True, kw_only=True)
class Hard:
    """One of the studies that decided first as printed; ``reports`` has the reference and what SFT wrote."""

    study_id: str
    scores: tuple[tuple[str, str], ...]
    reports: tuple[tuple[str, tuple[Block, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class ExplorationView:
    """The exploration section as printed."""

    sentence: str
    contrasts: tuple[tuple[str, str, str], ...]
    scores_title: str
    scores_svg: str
    labels_svg: str
    first: str
    hardest: tuple[Hard, ...]
    rounds: tuple[tuple[str, ...], ...]


def exploration_view(exploration: Exploration, rounds: Sequence[PickedAgain] = ()) -> ExplorationView:
    """Put the exploration's summary into a sentence, small tables, two charts and the hardest cases."""
    return ExplorationView(
        sentence=_sentence(exploration),
        contrasts=tuple(
            (name, write(both.split, digits), write(both.picked, digits))
            for name, both, write, digits in (
                ("critical studies", exploration.critical_share, percent, 1),
                ("words per report", exploration.words, number, 1),
                ("positive findings per report", exploration.positives, number, 1),
                ("spread of the label metric", exploration.spread, number, 2),
            )
            if both is not None
        ),
        scores_title="Spread within samples" if exploration.samples else "Scores of the SFT model",
        scores_svg=_scores(exploration),
        labels_svg=dumbbells(
            key="explored-labels",
            title="Share of studies with each label, in the split and among the picked",
            x_label="studies with the label positive",
            rows=[(label, both.split, both.picked) for label, both in exploration.labels.items()],
            names=("split", "picked"),
        ),
        first="Where the samples differ most" if exploration.samples else "The hardest",
        hardest=tuple(_hard(case, exploration.samples) for case in exploration.hardest[:MOST_HARD_CASES]),
        rounds=tuple(
            (
                f"{one.step:,}",
                f"{one.picked_size:,}",
                percent(one.critical_share, 1),
                number(one.positives, 1),
                number(one.spread, 2),
            )
            for one in rounds
        ),
    )


def _sentence(exploration: Exploration) -> str:
    share = exploration.picked_size / exploration.split_size if exploration.split_size else math.nan
    why = _WHY.get(exploration.strategy, f"by the strategy “{exploration.strategy}”")
    scored = ", ".join(metric_name(metric, {}) for metric in exploration.metrics)
    return (
        f"Picked {exploration.picked_size:,} of {exploration.split_size:,} training studies "
        f"({percent(share, 1)}): {why}." + (f" Scored by {scored}." if scored else "")
    )


def _scores(exploration: Exploration) -> str:
    scores = exploration.scores
    if scores is None:
        return ""
    threshold = exploration.threshold
    return histogram(
        key="explored-scores",
        title="Spread of the label metric within the samples of each training study"
        if exploration.samples
        else "Score of the SFT model's report on each training study",
        x_label=f"standard deviation over {exploration.samples} samples (0: all right, or all wrong)"
        if exploration.samples
        else "score on the training split (low: hard)",
        y_label="studies",
        edges=scores.edges,
        series=(("split", scores.split), ("picked", scores.picked)),
        flag=Flag(x=threshold, label=f"kept up to {threshold:.3g}") if math.isfinite(threshold) else None,
    )


def _hard(case: HardCase, samples: int | None) -> Hard:
    reports = [("Reference", case.reference), ("SFT", case.prediction)]
    if samples:
        reports[1:] = [(f"Best of {samples}", case.best), (f"Worst of {samples}", case.prediction)]
    scores = {"score": case.score, **{metric_name(name, {}): value for name, value in case.metrics.items()}}
    return Hard(
        study_id=case.study_id,
        scores=tuple((name, number(value, 2)) for name, value in scores.items() if math.isfinite(value)),
        reports=tuple((title, blocks(text)) for title, text in reports),
    )
