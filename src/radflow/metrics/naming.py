"""What tables call a metric: the model behind the number always stands beside it.

A rule-based number under a network's name, or the other way round, would be compared with published tables
that it has nothing to do with. So a label is made from the reader that was used.
"""

from __future__ import annotations

from typing import Any

from radflow import readers
from radflow.errors import DataError, did_you_mean
from radflow.metrics.pairs import ReadOnce, reader_name
from radflow.metrics.table import METRICS

RULES = tuple(name for name, target in readers.READERS.items() if ".networks." not in target)
"""The readers that work by rules."""


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
