"""The printed names of systems and metrics, and how numbers are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from radflow.evaluation.notation import number
from radflow.modality import MODALITIES

SYSTEMS: Mapping[str, str] = {
    "template": "Template (most frequent report)",
    "sft": "SFT",
    "radflow": "RadFlow",
    "radflow-shuffled": "RadFlow, shuffled images",
    "reference": "Reference",
}

REWARD_TERMS: Mapping[str, str] = {
    "reward/syntax": "syntax",
    "reward/domain": "domain",
    "reward/consistency": "consistency",
    "reward/impression": "impression",
}

# Used only where results.json does not say which reader or model stands behind a metric.
METRICS: Mapping[str, str] = {
    "reward": "Total reward",
    "reward/syntax": "Syntax term",
    "reward/domain": "Domain term",
    "reward/consistency": "Consistency term",
    "reward/impression": "Impression term",
    "bleu2": "BLEU-2",
    "bleu4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "bertscore": "BERTScore",
    "semb_score": "SembScore",
    "radcliq_v0": "RadCliQ-v0",
    "radcliq_v1": "RadCliQ-v1",
    **{
        own.metric: own.label.partition(" (")[0]
        for modality in MODALITIES.values()
        for own in (modality.content, modality.labels)
    },
}

LABEL_F1 = tuple(modality.labels.metric for modality in MODALITIES.values())
"""The metrics that say whether the diagnosis is right; a run has one of them."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Clinical content": (
        *LABEL_F1,
        *(modality.content.metric for modality in MODALITIES.values()),
        "semb_score",
        "radcliq_v0",
        "radcliq_v1",
    ),
    "Reward": ("reward", *REWARD_TERMS),
    "Language": ("bleu2", "bleu4", "rouge_l", "bertscore"),
}

_LOWER_IS_BETTER = ("radcliq_v0", "radcliq_v1")


def system_name(system: str) -> str:
    """Return the printed name of a system.

    >>> system_name("sft"), system_name("nearest")
    ('SFT', 'nearest')
    """
    return SYSTEMS.get(system, system)


def metric_name(metric: str, labels: Mapping[str, str]) -> str:
    """Return the printed name of a metric: the run's own label first, since it names the reader.

    >>> metric_name("radgraph_f1", {"radgraph_f1": "RadGraph F1 (rules)"}), metric_name("bleu2", {})
    ('RadGraph F1 (rules)', 'BLEU-2')
    """
    return labels.get(metric) or METRICS.get(metric, metric)


def is_better_higher(metric: str, stated: Mapping[str, bool]) -> bool:
    """Whether more of ``metric`` is better.

    >>> is_better_higher("bleu2", {}), is_better_higher("radcliq_v1", {})
    (True, False)
    """
    return stated.get(metric, metric not in _LOWER_IS_BETTER)


def grouped(metrics: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Put metrics under the headings of the table; unknown ones come last, under "Other".

    >>> grouped(["bleu2", "mine", "reward"])
    [('Reward', ['reward']), ('Language', ['bleu2']), ('Other', ['mine'])]
    """
    given = list(dict.fromkeys(metrics))
    groups = [(title, [name for name in known if name in given]) for title, known in GROUPS.items()]
    placed = {name for _, names in groups for name in names}
    groups.append(("Other", [name for name in given if name not in placed]))
    return [(title, names) for title, names in groups if names]


def percent(share: float, digits: int = 0) -> str:
    """Write a share as a percentage.

    >>> percent(0.634), percent(float("nan"))
    ('63%', '–')
    """
    return number(100 * share, digits) + ("%" if math.isfinite(share) else "")


def duration(seconds: float) -> str:
    """Write a time as people say it.

    >>> duration(8.31), duration(106.4), duration(7384.0)
    ('8.3 s', '1 min 46 s', '2 h 03 min')
    """
    if not math.isfinite(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
