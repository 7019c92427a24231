"""The training curves, from a run's ``metrics.jsonl``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from radflow.viewer.charts.frame import Flag
from radflow.viewer.charts.lines import MOST_POINTS, Band, Line, line_chart
from radflow.viewer.records import MetricLog
from radflow.viewer.wording import REWARD_TERMS

CLASSES = ("normal", "critical")
_MARKED = ("validation", "clip_fraction", "exact_shift")
"""How the names of series begin that are measured at some steps only: each of their points is marked."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A chart with its printed heading and, where needed, a sentence below."""

    heading: str
    svg: str
    note: str = ""


class _Curves(NamedTuple):
    """What a panel shows.

    Attributes:
        heading: printed above it.
        y: what is along y, with its unit; shares are drawn in percent where it ends in ``(%)``.
        series: printed name to the key in the log.
        floor: a y that must be on the chart.
        note: printed below it.
    """

    heading: str
    y: str
    series: Mapping[str, str]
    floor: float | None = 0.0
    note: str = ""


_SFT = (
    _Curves("Loss", "loss (nats per token)", {"train": "loss", "validation": "validation_loss"}, floor=None),
    _Curves("Learning rate", "learning rate", {"learning rate": "learning_rate"}),
    _Curves("Gradient norm", "norm, before clipping", {"gradient norm": "grad_norm"}),
)
_REWARD = (
    _Curves(
        "Reward",
        "total reward",
        {"train, sampled": "reward", "validation, greedy": "validation_reward"},
        floor=None,
    ),
    _Curves("Label F1 on validation", "label F1 (0 to 1)", {"validation": "validation_label_f1"}, floor=None),
    _Curves("Spread of the reward", "standard deviation", {"within a group, mean": "reward_std"}),
    *(
        _Curves(
            f"Reward term: {name}",
            f"{name} ({'−1' if name == 'consistency' else '0'} to 1)",
            {"train, mean": key},
            floor=None,
        )
        for key, name in REWARD_TERMS.items()
    ),
)
_POLICY = (
    _Curves("KL from the SFT model", "KL (nats per token)", {"policy against SFT": "kl"}),
    _Curves("Entropy of the policy", "entropy (nats per token)", {"sampled tokens, mean": "entropy"}),
    _Curves("Gradient norm", "norm, before clipping", {"inner steps, mean": "grad_norm"}),
    _Curves("Clipped tokens", "clipped tokens (%)", {name: f"clip_fraction_{name}" for name in CLASSES}),
)
_SHIFT = (
    _Curves(
        "Policy shift",
        "mean |ratio − 1|",
        {name: f"shift_{name}" for name in CLASSES},
        note="At the sampled tokens, before the last inner step.",
    ),
    _Curves(
        "Policy shift over the vocabulary",
        "L1 distance (0 to 2)",
        {name: f"exact_shift_{name}" for name in CLASSES},
        note="After the last inner step, on one group of each class.",
    ),
    _Curves("Length of reports", "tokens per report", {"mean length": "length"}, floor=None),
    _Curves("Reports that end by themselves", "finished (%)", {"finished": "finished"}, floor=None),
    _Curves("Groups without a gradient", "groups of equal reward (%)", {"dead groups": "dead_groups"}),
)


def sft_panels(log: MetricLog) -> list[Panel]:
    """The panels of supervised fine-tuning: loss, learning rate, gradient norm."""
    bundled = math.ceil(len(log.series("sft", "loss")) / MOST_POINTS)
    note = f"Each training point is the mean of {bundled} steps." if bundled > 1 else ""
    loss, *others = _SFT
    return _panels(log, "sft", (loss._replace(note=note), *others), None)


def rft_panels(log: MetricLog, best_step: int | None) -> list[Panel]:
    """The panels of reinforcement fine-tuning, with the step that validation chose marked."""
    flag = None if best_step is None else Flag(x=best_step, label=f"chosen: step {best_step}")
    ratio = line_chart(
        key="rft-ratio",
        title="Range of the ratio",
        x_label="RFT step (rollouts)",
        y_label="ratio, least to greatest",
        bands=[
            Band(label=name, low=low, high=high, color=color)
            for color, name in enumerate(CLASSES)
            if (low := log.series("rft", f"ratio_min_{name}"))
            and (high := log.series("rft", f"ratio_max_{name}"))
        ],
        flag=flag,
    )
    return [
        *_panels(log, "rft", (*_REWARD, *_POLICY), flag),
        *([Panel(heading="Range of the ratio", svg=ratio)] if ratio else []),
        *_panels(log, "rft", _SHIFT, flag),
    ]


def _panels(log: MetricLog, stage: str, rows: Sequence[_Curves], flag: Flag | None) -> list[Panel]:
    """Those of which the log has a point."""
    panels = []
    for row in rows:
        scale = 100 if row.y.endswith("(%)") else 1
        svg = line_chart(
            key=f"{stage}-{next(iter(row.series.values())).replace('/', '-')}",
            title=row.heading,
            x_label="optimiser step" if stage == "sft" else "RFT step (rollouts)",
            y_label=row.y,
            lines=[
                Line(
                    label=label,
                    points=[(x, scale * y) for x, y in points],
                    color=1 if label.startswith("validation") else color,
                    dots=key.startswith(_MARKED),
                )
                for color, (label, key) in enumerate(row.series.items())
                if (points := log.series(stage, key))
            ],
            flag=flag,
            floor=row.floor,
        )
        if svg:
            panels.append(Panel(heading=row.heading, svg=svg, note=row.note))
    return panels
