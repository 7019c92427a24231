"""What the run says in a few sentences.

It is computed from the intervals, never written by hand: an interval that contains 0 is not called a
difference.
"""

from __future__ import annotations

from collections.abc import Sequence

from radflow.config import TRAINED_CONTROLS
from radflow.evaluation.notation import with_interval
from radflow.metrics.naming import CORPUS, LABEL_F1
from radflow.viewer.records import Interval, Results
from radflow.viewer.wording import is_better_higher, metric_name, system_name


def verdict(results: Results) -> str:
    """Say whether reinforcement fine-tuning helped, by reward and by label F1.

    >>> gain = {"reward": Interval(mean=0.1, low=0.05, high=0.15)}
    >>> verdict(Results(gain=gain, cases=600))
    'RFT raised the reward over SFT (+0.100 [+0.050, +0.150]) on 600 test studies.'
    >>> same = {"reward": Interval(mean=0.0, low=-0.1, high=0.1)}
    >>> verdict(Results(gain=gain, gain_over={"best-of-n": same})).partition(". ")[2]
    'Total reward: RadFlow is above SFT, not above best of n.'
    """
    reward = results.gain.get("reward")
    if reward is None:
        return "This run did not compare reinforcement fine-tuning with SFT."
    studies = f" on {results.cases:,} {results.split} studies" if results.cases else ""
    return " ".join([f"{_of_reward(reward)}{studies}{_of_label(results)}.", *_of_controls(results)])


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


def _of_controls(results: Results) -> list[str]:
    """Whether RadFlow beats SFT and each trained control: by reward, by label F1 and over the corpus."""
    trained = {name: gains for name, gains in results.gain_over.items() if name in TRAINED_CONTROLS}
    if not trained:
        return []
    said = []
    for metric in filter(None, ("reward", label_metric(results), next(iter(CORPUS)))):
        gains = {
            name: found[metric] for name, found in {"sft": results.gain, **trained}.items() if metric in found
        }
        beaten = [system_name(name) for name, gain in gains.items() if gain.low > 0]
        others = [system_name(name) for name, gain in gains.items() if not gain.low > 0]
        found = [f"above {_listed(beaten, ' and ')}"] if beaten else []
        found += [f"not above {_listed(others, ' or ')}"] if others else []
        if found:
            name = metric_name(metric, results.labels)
            said.append(f"{name[0].upper()}{name[1:]}: RadFlow is {', '.join(found)}.")
    return said


def _listed(names: Sequence[str], last: str) -> str:
    """Names as a sentence has them.

    >>> _listed(["SFT"], " and "), _listed(["SFT", "best of n", "SFT continued"], " or ")
    ('SFT', 'SFT, best of n or SFT continued')
    """
    return last.join(filter(None, (", ".join(names[:-1]), names[-1])))


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
