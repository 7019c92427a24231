"""Which metric speaks for medical content and which for diagnosis, by modality."""

from __future__ import annotations

from radflow import readers
from radflow.metrics.pairs import Reader
from radflow.metrics.table import CAROTID, CHEST, METRICS

DOMAIN_METRIC: dict[str, str] = {CHEST: "radgraph_f1", CAROTID: "keyword_match"}
"""Modality to the metric of medical content: RadGraph, and KeyWordMatch where that is inapplicable."""

LABEL_METRIC: dict[str, str] = {CHEST: "chexpert_f1", CAROTID: "carotid_f1"}
"""Modality to the metric of diagnosis, the label F1."""


def labeler(modality: str) -> Reader:
    """The reader behind the label F1 of a modality: texts to observations with their states.

    >>> labeler("chest-xray")(["No edema."])[0]["Edema"]
    0
    """
    name = METRICS[LABEL_METRIC[modality]].reader
    assert name is not None
    return readers.load(name)
