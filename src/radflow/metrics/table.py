"""Every metric by name, what its number means, and one function that computes any of them.

A metric is a function ``(generated, reference[, reader]) -> array``, one number per pair, and depends on that
pair alone: the same alone, in any batch, in any order. To add one, write the function and add a row; those
that belong to a modality are rows of its record (`radflow.modality`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from radflow.errors import DataError, did_you_mean
from radflow.metrics.pairs import check_pairs
from radflow.modality import CHEST, MODALITIES, Compared, attribute, modality_of
from radflow.readers import load as load_reader

CLINICAL, LANGUAGE = "Clinical content", "Language"
UNBOUNDED = (-np.inf, np.inf)
CONSISTENCY = "consistency"
"""Whether a report's Impression follows from its Findings: no metric of a pair, but shown among them."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What is known of a metric before any number is computed.

    Attributes:
        name: the key in :data:`METRICS`, in files and on the command line.
        target: ``"module:attribute"`` of the function.
        label: as printed, unless a reader was given (:func:`~radflow.metrics.naming.metric_label`).
        group: the heading of tables that it stands under.
        higher_is_better: the direction.
        range: least and greatest value.
        modality: the only modality it applies to, or ``None`` for any.
        reader: the reader it loads when given none, or ``None`` where it reads nothing.
        requires: official weights without which it raises, or ``None``.
        by_default: whether it is computed where no metric is named.
        model: what stands behind its name and a colon where it is asked for: ``FOLDER``; ``None`` is nothing.
    """

    name: str
    target: str
    label: str
    group: str = CLINICAL
    higher_is_better: bool = True
    range: tuple[float, float] = (0.0, 1.0)
    modality: str | None = None
    reader: str | None = None
    requires: str | None = None
    by_default: bool = True
    model: str | None = None

    @property
    def arrow(self) -> str:
        """``↑`` where higher is better, ``↓`` where lower is."""
        return "↑" if self.higher_is_better else "↓"

    @property
    def reads(self) -> bool:
        """Whether it takes a reader."""
        return self.reader is not None or self.requires is not None

    def load(self) -> Callable[..., np.ndarray]:
        """Import the function."""
        return attribute(self.target)


def _metric(modality: str, compared: Compared) -> Metric:
    return Metric(
        name=compared.metric,
        target=compared.target,
        label=compared.label,
        modality=modality,
        reader=compared.reader,
    )


_OWN = {
    name: (_metric(name, modality.content), _metric(name, modality.labels))
    for name, modality in MODALITIES.items()
}
"""Modality to its own metrics, of content and of labels."""

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="bleu2", target="radflow.metrics.lexical:bleu2", label="BLEU-2", group=LANGUAGE),
        Metric(name="bleu4", target="radflow.metrics.lexical:bleu4", label="BLEU-4", group=LANGUAGE),
        Metric(name="rouge_l", target="radflow.metrics.lexical:rouge_l", label="ROUGE-L", group=LANGUAGE),
        Metric(
            name="bertscore",
            target="radflow.metrics.bertscore:bertscore",
            label="BERTScore (minilm)",
            group=LANGUAGE,
            range=(-1.0, 1.0),
            reader="minilm",
        ),
        Metric(
            name="semb_score",
            target="radflow.metrics.semb_score:semb_score",
            label="SembScore",
            range=(-1.0, 1.0),
            modality=CHEST,
            requires="CheXbert",
        ),
        *_OWN[CHEST],
        Metric(
            name="finding_match",
            target="radflow.metrics.finding_match:finding_match",
            label="FindingMatch (rules)",
            modality=CHEST,
            reader="chest-facts",
        ),
        Metric(
            name="radcliq_v0",
            target="radflow.metrics.radcliq:radcliq_v0",
            label="RadCliQ-v0",
            higher_is_better=False,
            range=UNBOUNDED,
            modality=CHEST,
            requires="RadGraph, distilroberta-base and CheXbert",
        ),
        Metric(
            name="radcliq_v1",
            target="radflow.metrics.radcliq:radcliq_v1",
            label="RadCliQ-v1",
            higher_is_better=False,
            range=UNBOUNDED,
            modality=CHEST,
            requires="RadGraph, distilroberta-base and CheXbert",
        ),
        Metric(
            name="temporal_f1",
            target="radflow.metrics.temporal_f1:temporal_f1",
            label="Temporal Entity F1",
            modality=CHEST,
            by_default=False,
        ),
        Metric(
            name="ratescore",
            target="radflow.metrics.ratescore:ratescore",
            label="RaTEScore",
            requires="RaTE-NER-Deberta and BioLORD-2023-C",
            model="NER+ENCODER",
        ),
        Metric(
            name="green",
            target="radflow.metrics.asked.green:green",
            label="GREEN",
            modality=CHEST,
            requires="GREEN-radllama2-7b or another model that was tuned for it",
            model="FOLDER or green:openai:MODEL",
        ),
        Metric(
            name="crimson",
            target="radflow.metrics.asked.crimson:crimson",
            label="CRIMSON",
            range=(-1.0, 1.0),
            modality=CHEST,
            requires="a language model behind an endpoint",
            model="openai:MODEL",
        ),
        *(metric for modality, own in _OWN.items() if modality != CHEST for metric in own),
    )
}
"""Name to record. The visible table: there is no other way in."""


def default_metrics(modality: str) -> tuple[str, ...]:
    """The metrics that apply to a modality and need no download, in table order.

    Raises:
        DataError: there is no such modality.

    >>> default_metrics("carotid-us")
    ('bleu2', 'bleu4', 'rouge_l', 'bertscore', 'keyword_match', 'carotid_f1')
    """
    modality_of(modality)
    return tuple(
        name
        for name, m in METRICS.items()
        if m.requires is None and m.by_default and m.modality in (None, modality)
    )


def higher_is_better(name: str) -> bool:
    """The direction of whatever is shown among metrics: the reward, its terms and consistency rise.

    >>> higher_is_better("radcliq_v1"), higher_is_better("reward")
    (False, True)
    """
    return name not in METRICS or METRICS[name].higher_is_better


def score(
    generated: Sequence[str],
    reference: Sequence[str],
    metrics: Sequence[str] | None = None,
    *,
    readers: Mapping[str, Any] | None = None,
) -> dict[str, Float[np.ndarray, " N"]]:
    """Score generated reports against their references.

    Args:
        generated: generated reports, N of them.
        reference: their references, in the same order.
        metrics: names from :data:`METRICS`; ``None`` is :func:`default_metrics` of chest X-ray reports.
        readers: metric name to the reader it should use in place of its default.

    Returns:
        name to float64 array (N,), one number per pair, in the order asked for.

    Raises:
        DataError: the lists differ in length, a name is unknown, or a reader is given for a metric that reads
            nothing.
        MissingFileError: a metric was asked for whose official weights were not given.
        MissingDependencyError: the package behind a default reader is not installed.

    >>> score(["No effusion."], ["No effusion."], ["bleu2", "rouge_l"])["bleu2"].tolist()
    [1.0]
    """
    check_pairs(generated, reference)
    names = default_metrics(CHEST) if metrics is None else tuple(metrics)
    readers = {} if readers is None else readers
    for name in (*names, *readers):
        if name not in METRICS:
            raise DataError(
                f"Expected metrics among {', '.join(METRICS)}; got {name!r}.{did_you_mean(name, METRICS)}"
            )
    for name in readers:
        if not METRICS[name].reads:
            raise DataError(f"Expected no reader for {name}, which compares words. Leave it out of readers.")
    scores = {}
    for name in names:
        metric, arguments = METRICS[name], (readers[name],) if name in readers else ()
        if not arguments and metric.modality and metric.reader:
            arguments = (load_reader(metric.reader),)
        scores[name] = np.asarray(metric.load()(generated, reference, *arguments), dtype=np.float64)
    return scores
