"""What tables call a metric: the model behind the number always stands beside it.

A rule-based number under a network's name, or the other way round, would be compared with published tables
that it has nothing to do with. So a label is made from the reader that was used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from radflow import readers
from radflow.errors import DataError, did_you_mean
from radflow.metrics.pairs import ReadOnce, reader_name
from radflow.metrics.table import METRICS, higher_is_better
from radflow.modality import MODALITIES

RULES = tuple(name for name, target in readers.READERS.items() if ".networks." not in target)
"""The readers that work by rules."""


REWARD_TERMS: Mapping[str, str] = {
    f"reward/{term}": term for term in ("syntax", "domain", "consistency", "impression")
}
"""What tables call the terms of the reward, which are scored like metrics."""

LABEL_F1 = tuple(modality.labels.metric for modality in MODALITIES.values())
"""The metrics that say whether the diagnosis is right; a run has one of them."""

CORPUS: Mapping[str, str] = {"corpus_macro_f1": "Corpus macro F1", "corpus_micro_f1": "Corpus micro F1"}
"""What tables call the F1s that only a corpus has; they stand after the label F1 of single reports."""


def corpus_labels(label: str) -> dict[str, str]:
    """The names of the F1s over the corpus, with the model behind the label F1.

    >>> corpus_labels("CheXpert F1 (CheXbert)")["corpus_macro_f1"]
    'Corpus macro F1 (CheXbert)'
    """
    reader = "".join(label.partition(" (")[1:])
    return {name: title + reader for name, title in CORPUS.items()}


def metric_label(name: str, reader: Any = None) -> str:
    """The name of a metric as printed, with the model behind the number where there is one.

    Args:
        name: one of :data:`~radflow.metrics.table.METRICS`.
        reader: the reader that was given to the metric; ``None`` is the metric's own.

    Returns:
        the metric and, in brackets, ``rules`` or the ``name`` of the network: ``CheXpert F1 (CheXbert)``.

    Raises:
        DataError: no such metric, or a reader for a metric that reads nothing.

    >>> metric_label("chexpert_f1"), metric_label("bertscore"), metric_label("bleu2")
    ('CheXpert F1 (rules)', 'BERTScore (minilm)', 'BLEU-2')
    >>> metric_label("chexpert_f1", readers.load("chexpert-rules"))
    'CheXpert F1 (rules)'
    """
    if name not in METRICS:
        raise DataError(
            f"Expected a metric among {', '.join(METRICS)}; got {name!r}.{did_you_mean(name, METRICS)}"
        )
    metric = METRICS[name]
    if reader is None:
        return metric.label
    if not metric.reads:
        raise DataError(f"Expected no reader for {name}, which compares words; got {reader_name(reader)}.")
    title = metric.label.partition(" (")[0]
    return f"{title} ({'rules' if _is_rules(reader) else reader_name(reader)})"


def _is_rules(reader: Any) -> bool:
    """Whether it is one of radflow's own readers by rules."""
    if isinstance(reader, ReadOnce):
        return _is_rules(reader.reader)
    return any(reader is readers.load(name) for name in RULES)


def arrow(higher_is_better: bool) -> str:
    """The direction that is better: ``↑`` or ``↓``."""
    return "↑" if higher_is_better else "↓"


def row_label(name: str, labels: Mapping[str, str] | None = None) -> str:
    """The name of a metric, the reward or a term of it as the screen prints it, with the better direction.

    Args:
        name: in files.
        labels: of a run, which say what stands behind a number.

    >>> row_label("radgraph_f1"), row_label("radcliq_v1"), row_label("reward"), row_label("reward/syntax")
    ('RadGraph F1 (rules) ↑', 'RadCliQ-v1 ↓', 'Reward ↑', '  syntax ↑')
    """
    if name == "reward" or name in REWARD_TERMS:
        return f"  {REWARD_TERMS[name]} ↑" if name in REWARD_TERMS else "Reward ↑"
    known = METRICS[name].label if name in METRICS else CORPUS.get(name, name)
    return f"{(labels or {}).get(name, known)} {arrow(higher_is_better(name))}"


def in_order(names: Iterable[str]) -> list[str]:
    """Each name once: the reward and its terms, metrics in the order of their table, then others.

    The F1s over the corpus stand after the label F1.

    >>> in_order(["mine", "rouge_l", "bleu2", "reward", "bleu2"])
    ['reward', 'bleu2', 'rouge_l', 'mine']
    >>> in_order(["corpus_macro_f1", "finding_match", "chexpert_f1"])
    ['chexpert_f1', 'corpus_macro_f1', 'finding_match']
    """
    given = set(names)
    known = [name for name in ("reward", *REWARD_TERMS, *METRICS) if name in given]
    after = max((known.index(name) + 1 for name in LABEL_F1 if name in given), default=len(known))
    known[after:after] = [name for name in CORPUS if name in given]
    return [*known, *sorted(given - set(known))]
