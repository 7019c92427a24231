"""The printed names of systems and metrics, and how numbers are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from radflow.evaluation.notation import number
from radflow.metrics.naming import CORPUS, LABEL_F1, REWARD_TERMS, in_order
from radflow.metrics.table import CLINICAL, LANGUAGE, METRICS, higher_is_better
from radflow.modality import MODALITIES

SYSTEMS: Mapping[str, str] = {
    "template": "Template (most frequent report)",
    "nearest-indication": "Nearest indication",
    "nearest-image": "Nearest images",
    "sft": "SFT",
    "sft-continued": "SFT continued",
    "sft-more": "SFT continued on all studies",
    "best-of-n": "best of n",
    "sft-shuffled": "SFT, shuffled images",
    "sft-noise": "SFT, noise",
    "radflow": "RadFlow",
    "radflow-shuffled": "RadFlow, shuffled images",
    "radflow-noise": "RadFlow, noise",
    "reference": "Reference",
}

_GROUPS = (CLINICAL, "Reward", LANGUAGE)


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
    if metric == "reward" or metric in REWARD_TERMS:
        term = REWARD_TERMS.get(metric)
        return labels.get(metric) or (f"{term.capitalize()} term" if term else "Total reward")
    known = METRICS[metric].label.partition(" (")[0] if metric in METRICS else CORPUS.get(metric, metric)
    return labels.get(metric) or known


def is_better_higher(metric: str, stated: Mapping[str, bool]) -> bool:
    """Whether more of ``metric`` is better.

    >>> is_better_higher("bleu2", {}), is_better_higher("radcliq_v1", {})
    (True, False)
    """
    return stated.get(metric, higher_is_better(metric))


def grouped(metrics: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Put metrics under the headings of the table; unknown ones come last, under "Other".

    >>> grouped(["bleu2", "mine", "reward"])
    [('Reward', ['reward']), ('Language', ['bleu2']), ('Other', ['mine'])]
    """
    first = (*LABEL_F1, *CORPUS, *(modality.content.metric for modality in MODALITIES.values()))
    given = list(dict.fromkeys(metrics))
    ordered = sorted(in_order(given), key=lambda name: first.index(name) if name in first else len(first))
    groups: dict[str, list[str]] = {title: [] for title in (*_GROUPS, "Other")}
    for name in ordered:
        groups[_group(name)].append(name)
    groups["Other"].sort(key=given.index)
    return [(title, names) for title, names in groups.items() if names]


def _group(name: str) -> str:
    if name == "reward" or name in REWARD_TERMS:
        return "Reward"
    if name in CORPUS:
        return CLINICAL
    return METRICS[name].group if name in METRICS else "Other"


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
