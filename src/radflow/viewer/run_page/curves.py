"""The training curves, from a run's ``metrics.jsonl``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from radflow.viewer.charts.frame import Flag
from radflow.viewer.charts.lines import MOST_POINTS, Band, Line, line_chart
from radflow.viewer.records import MetricLog
from radflow.viewer.wording import REWARD_TERMS

RFT_STEP = "RFT step (rollouts)"
CLASSES = ("normal", "critical")


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A chart with its printed heading and, where needed, a sentence below."""

    heading: str
    svg: str
    note: str = ""


def sft_panels(log: MetricLog) -> list[Panel]:
    """Return the panels of supervised fine-tuning: its loss in training and validation, and the rate."""
    train = log.series("sft", "loss")
    bundled = -(-len(train) // MOST_POINTS)
    loss = line_chart(
        key="sft-loss",
        title="SFT loss",
        x_label="optimiser step",
        y_label="loss (nats per token)",
        lines=_present(
            Line(label="train", points=train),
            Line(label="validation", points=log.series("sft", "validation_loss"), color=1, dots=True),
        ),
    )
    norm = line_chart(
        key="sft-grad",
        title="SFT gradient norm",
        x_label="optimiser step",
        y_label="norm, before clipping",
        lines=_present(Line(label="gradient norm", points=log.series("sft", "grad_norm"))),
        floor=0.0,
    )
    rate = line_chart(
        key="sft-rate",
        title="SFT learning rate",
        x_label="optimiser step",
        y_label="learning rate",
        lines=_present(Line(label="learning rate", points=log.series("sft", "learning_rate"))),
        floor=0.0,
    )
    note = f"Each training point is the mean of {bundled} steps." if bundled > 1 else ""
    return _drawn(
        Panel(heading="Loss", svg=loss, note=note),
        Panel(heading="Learning rate", svg=rate),
        Panel(heading="Gradient norm", svg=norm),
    )


def rft_panels(log: MetricLog, best_step: int | None) -> list[Panel]:
    """Return the panels of reinforcement fine-tuning, with the step that validation chose marked."""
    flag = None if best_step is None else Flag(x=best_step, label=f"chosen: step {best_step}")
    reward = _rft_chart(
        "rft-reward",
        "Reward",
        "total reward",
        (
            Line(label="train, sampled", points=log.series("rft", "reward")),
            Line(
                label="validation, greedy", points=log.series("rft", "validation_reward"), color=1, dots=True
            ),
        ),
        flag,
    )
    label_f1 = _rft_chart(
        "rft-label",
        "Label F1 on validation",
        "label F1 (0 to 1)",
        (Line(label="validation", points=log.series("rft", "validation_label_f1"), color=1, dots=True),),
        flag,
    )
    return _drawn(
        Panel(heading="Reward", svg=reward),
        Panel(heading="Label F1 on validation", svg=label_f1),
        _spread_panel(log, flag),
        *(_term_panel(log, key, name, flag) for key, name in REWARD_TERMS.items()),
        _kl_panel(log, flag),
        *_health_panels(log, flag),
        *_class_panels(log, flag),
        *_completion_panels(log, flag),
    )


def _term_panel(log: MetricLog, key: str, name: str, flag: Flag | None) -> Panel:
    unit = "−1 to 1" if name == "consistency" else "0 to 1"
    line = Line(label="train, mean", points=log.series("rft", key))
    svg = _rft_chart(key.replace("/", "-"), f"{name} term", f"{name} ({unit})", (line,), flag)
    return Panel(heading=f"Reward term: {name}", svg=svg)


def _spread_panel(log: MetricLog, flag: Flag | None) -> Panel:
    """Return how far the rewards of one group lie apart: what the advantage is made of."""
    line = Line(label="within a group, mean", points=log.series("rft", "reward_std"))
    return Panel(
        heading="Spread of the reward",
        svg=_rft_chart("rft-spread", "Spread", "standard deviation", (line,), flag, floor=0.0),
    )


def _kl_panel(log: MetricLog, flag: Flag | None) -> Panel:
    line = Line(label="policy against SFT", points=log.series("rft", "kl"))
    return Panel(
        heading="KL from the SFT model",
        svg=_rft_chart("rft-kl", "KL divergence", "KL (nats per token)", (line,), flag, floor=0.0),
    )


def _health_panels(log: MetricLog, flag: Flag | None) -> list[Panel]:
    """Return what falls to nought, or shoots up, where a policy collapses."""
    entropy = (Line(label="sampled tokens, mean", points=log.series("rft", "entropy")),)
    norm = (Line(label="inner steps, mean", points=log.series("rft", "grad_norm")),)
    return [
        Panel(
            heading="Entropy of the policy",
            svg=_rft_chart("rft-entropy", "Entropy", "entropy (nats per token)", entropy, flag, floor=0.0),
        ),
        Panel(
            heading="Gradient norm",
            svg=_rft_chart("rft-grad", "Gradient norm", "norm, before clipping", norm, flag, floor=0.0),
        ),
    ]


def _class_panels(log: MetricLog, flag: Flag | None) -> list[Panel]:
    """Return what CAPO does to critical and to normal cases."""
    clip = [
        Line(label=name, points=_percent(log.series("rft", f"clip_fraction_{name}")), color=color, dots=True)
        for color, name in enumerate(CLASSES)
    ]
    ratio = [
        Band(
            label=name,
            low=log.series("rft", f"ratio_min_{name}"),
            high=log.series("rft", f"ratio_max_{name}"),
            color=color,
        )
        for color, name in enumerate(CLASSES)
    ]
    shift = [
        Line(label=name, points=log.series("rft", f"shift_{name}"), color=color)
        for color, name in enumerate(CLASSES)
    ]
    exact = [
        Line(label=name, points=log.series("rft", f"exact_shift_{name}"), color=color, dots=True)
        for color, name in enumerate(CLASSES)
    ]
    ratios = line_chart(
        key="rft-ratio",
        title="Range of the probability ratio",
        x_label=RFT_STEP,
        y_label="ratio, least to greatest",
        bands=[band for band in ratio if band.low and band.high],
        flag=flag,
    )
    return [
        Panel(
            heading="Clipped tokens",
            svg=_rft_chart("rft-clip", "Clip fraction", "clipped tokens (%)", clip, flag, floor=0.0),
        ),
        Panel(heading="Range of the ratio", svg=ratios),
        Panel(
            heading="Policy shift",
            svg=_rft_chart("rft-shift", "Policy shift", "mean |ratio − 1|", shift, flag, floor=0.0),
            note="At the sampled tokens, before the last inner step.",
        ),
        Panel(
            heading="Policy shift over the vocabulary",
            svg=_rft_chart("rft-exact-shift", "Exact shift", "L1 distance (0 to 2)", exact, flag, floor=0.0),
            note="After the last inner step, on one group of each class.",
        ),
    ]


def _completion_panels(log: MetricLog, flag: Flag | None) -> list[Panel]:
    length = (Line(label="mean length", points=log.series("rft", "length")),)
    finished = (Line(label="finished", points=_percent(log.series("rft", "finished"))),)
    dead = (Line(label="dead groups", points=_percent(log.series("rft", "dead_groups"))),)
    return [
        Panel(
            heading="Length of reports",
            svg=_rft_chart("rft-length", "Completion length", "tokens per report", length, flag),
        ),
        Panel(
            heading="Reports that end by themselves",
            svg=_rft_chart("rft-finished", "Share finished", "finished (%)", finished, flag),
        ),
        Panel(
            heading="Groups without a gradient",
            svg=_rft_chart("rft-dead", "Dead groups", "groups of equal reward (%)", dead, flag, floor=0.0),
        ),
    ]


def _rft_chart(
    key: str,
    title: str,
    y_label: str,
    lines: Sequence[Line],
    flag: Flag | None,
    *,
    floor: float | None = None,
) -> str:
    return line_chart(
        key=key,
        title=title,
        x_label=RFT_STEP,
        y_label=y_label,
        lines=_present(*lines),
        flag=flag,
        floor=floor,
    )


def _present(*lines: Line) -> list[Line]:
    return [line for line in lines if line.points]


def _drawn(*panels: Panel) -> list[Panel]:
    return [panel for panel in panels if panel.svg]


def _percent(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, 100 * y) for x, y in points]
