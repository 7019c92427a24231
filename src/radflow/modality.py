"""One record per modality: who reads, compares and judges its reports, and what it is called.

Everything stands here by name and is loaded by whoever needs it. To add a modality, add a record: commands,
recipes, manifests, rewards, metrics, the rule judge, drafts and pages all look here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from radflow.errors import DataError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One respect in which two reports are compared: a metric with the reader behind it.

    Attributes:
        metric: its name in files and on the command line; no two modalities share one.
        label: the metric as printed.
        target: ``"module:attribute"`` of a function ``(generated, reference, reader)`` that gives one number
            in [0, 1] per pair of texts, higher is better.
        reader: for `radflow.readers.load`.
    """

    metric: str
    label: str
    target: str
    reader: str


@dataclass(frozen=True, kw_only=True)
class Modality:
    """What radflow knows of one kind of study. Dotted names are ``"module:attribute"``.

    Attributes:
        name: in manifests, recipes and files.
        pictures: what its pictures are called in a sentence, in the plural.
        labels: diagnosis, Eq. 6-7. The reader gives observations with their states.
        content: medical content, the domain term of Eq. 5.
        rules: makes the rule judge's function ``(findings, impression)``, which yields a reason per fault.
        criticality: reader of reports that says which are critical (Eq. 9).
        facts: reads a text to a list of `radflow.readers.facts.Fact`, for the marks in a report; ``None``
            marks nothing.
        evidence: gives labels and the words behind them, ``(text, lexicon)``; ``None`` gives labels alone.
        dicom: values of DICOM's Modality that its files may have.
        region: the region of the body that DICOM may name; ``None`` where radflow's list has none for it.
        words: a regular expression of words that only its reports have, for texts that come without a study.
            The first record that matches is taken.
    """

    name: str
    pictures: str
    labels: Compared
    content: Compared
    rules: str
    criticality: str = "criticality-rules"
    facts: str | None = None
    evidence: str | None = None
    dicom: frozenset[str]
    region: str | None = None
    words: str | None = None


CHEST = "chest-xray"
CAROTID = "carotid-us"

MODALITIES: dict[str, Modality] = {
    modality.name: modality
    for modality in (
        Modality(
            name=CHEST,
            pictures="chest radiographs",
            labels=Compared(
                metric="chexpert_f1",
                label="CheXpert F1 (rules)",
                target="radflow.metrics.chexpert_f1:chexpert_f1",
                reader="chexpert-rules",
            ),
            content=Compared(
                metric="radgraph_f1",
                label="RadGraph F1 (rules)",
                target="radflow.metrics.radgraph_f1:radgraph_f1",
                reader="radgraph-rules",
            ),
            rules="radflow.judges.rules.chest:chest_rules",
            facts="radflow.readers.chest_facts:chest_facts",
            evidence="radflow.readers.evidence:chest_evidence",
            dicom=frozenset(("CR", "DX", "RG", "RF")),
            region="chest",
            # A chest report may mention carotid calcifications; a carotid report has no lungs.
            words=r"\b(?:lungs?|heart|cardi\w+|pulmonary|pleural?|pneumo\w+|chest|thora\w+)\b",
        ),
        Modality(
            name=CAROTID,
            pictures="carotid ultrasound",
            labels=Compared(
                metric="carotid_f1",
                label="Carotid F1 (rules)",
                target="radflow.metrics.label_f1:texts_label_f1",
                reader="carotid-labels",
            ),
            content=Compared(
                metric="keyword_match",
                label="KeyWordMatch (rules)",
                target="radflow.metrics.keyword_match:keyword_match",
                reader="carotid-terms",
            ),
            rules="radflow.judges.rules.carotid:carotid_rules",
            facts="radflow.readers.carotid.facts:carotid_facts",
            evidence="radflow.readers.evidence:carotid_evidence",
            dicom=frozenset(("US",)),
            words=r"\b(?:carotids?|plaques?|intima|IMT|PSV|stenosis|ICA|CCA)\b",
        ),
    )
}
"""Name to record. The visible table: there is no other list of modalities."""

if TYPE_CHECKING:
    ModalityName = str
else:
    ModalityName = Literal[*MODALITIES]  # so commands list the names, and recipes check them


def modality_of(name: str) -> Modality:
    """The record of a modality.

    Raises:
        DataError: there is none of that name.

    >>> modality_of("carotid-us").content.metric
    'keyword_match'
    """
    if name not in MODALITIES:
        raise DataError(
            f"Expected modality to be one of {', '.join(MODALITIES)}; got {name!r}."
            f"{did_you_mean(name, MODALITIES)}"
        )
    return MODALITIES[name]


def attribute(target: str) -> Callable[..., Any]:
    """Import what ``"module:attribute"`` names."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)
