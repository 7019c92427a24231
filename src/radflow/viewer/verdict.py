"""What the run says in one sentence.

It is computed from the intervals, never written by hand: an interval that contains 0 is not called a
difference.
"""

from __future__ import annotations

from radflow.evaluation.notation import with_interval
from radflow.metrics.naming import LABEL_F1
from radflow.viewer.records import Interval, Results
from radflow.viewer.wording import is_better_higher, metric_name


def verdict(results: Results) -> str:
    """Say whether reinforcement fine-tuning helped, by reward and by label F1.

    >>> gain = {"reward": Interval(mean=0.1, low=0.05, high=0.15)}
    >>> verdict(Results(gain=gain, cases=600))
    'RFT raised the reward over SFT (+0.100 [+0.050, +0.150]) on 600 test studies.'
    """
    reward = results.gain.get("reward")
    if reward is None:
        return "This run did not compare reinforcement fine-tuning with SFT."
    studies = f" on {results.cases:,} {results.split} studies" if results.cases else ""
    return f"{_of_reward(reward)}{studies}{_of_label(results)}."


def label_metric(results: Results) -> str | None:
    """Return the run's label F1, the metric that says whether the diagnosis is right, or ``None``."""
    return next((metric for metric in LABEL_F1 if metric in results.gain), None)


def tone(metric: str, gain: Interval, results: Results) -> str:
    """Return ``"better"``, ``"worse"``, or ``"unclear"`` where the interval holds 0."""
    if not gain.excludes_zero:
        return "unclear"
    return "better" if (gain.mean > 0) == is_better_higher(metric, results.higher_is_better) else "worse"


def _of_reward(gain: Interval) -> str:
    said = with_interval(gain, gain=True)
    if _nothing(gain):
        return "RFT kept the SFT model: both write the same reports"
    if not gain.excludes_zero:
        return f"RFT made no clear difference to the reward ({said})"
    return f"RFT {'raised' if gain.mean > 0 else 'lowered'} the reward over SFT ({said})"


def _nothing(gain: Interval) -> bool:
    return gain.mean == gain.low == gain.high == 0


def _of_label(results: Results) -> str:
    metric = label_metric(results)
    if metric is None or _nothing(results.gain["reward"]):
        return ""
    gain, name = results.gain[metric], metric_name(metric, results.labels)
    word = {"better": "rose", "worse": "fell", "unclear": "did not clearly change"}[
        tone(metric, gain, results)
    ]
    clashes = gain.excludes_zero and (gain.mean > 0) != (results.gain["reward"].mean > 0)
    return f"{', but' if clashes else ';'} {name} {word} ({with_interval(gain, gain=True)})"
