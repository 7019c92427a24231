"""One imaging study with its reference report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from radflow.modality import ModalityName
from radflow.reports import Report

Split = Literal["train", "validate", "test"]

SPLITS: tuple[Split, ...] = ("train", "validate", "test")


@dataclass(frozen=True, kw_only=True)
class Study:
    """One imaging study: its pictures, its reference report, and what is known beforehand.

    Attributes:
        study_id: unique in a manifest.
        patient_id: studies of one patient are always in one split.
        images: absolute paths, in the order the policy sees them.
        reference: the radiologist's report (for phantoms: the text made from the drawn anatomy).
        indication: why the study was asked for, or ``None``.
        comparison: what it was compared with, or ``None``.
        split: ``train``, ``validate`` or ``test``.
        modality: decides which readers and which domain reward apply.
        critical: the annotation of Eq. 9, made once before training; ``None`` where nobody made it yet.
        critical_by: who said so, e.g. ``criticality-rules``.
        drawn: true for phantoms. Every table and page says so.
        views: one word per picture, e.g. ``("frontal",)`` or ``("right", "left")``.
        truth: structured ground truth: MeSH tags of Open-i (``{"mesh": [...]}``), or a phantom's anatomy.
        prior_study: the id of the same patient's study before this one, where the data set has an order.
        prior_report: the text of that study's report.
    """

    study_id: str
    patient_id: str
    images: tuple[Path, ...]
    reference: Report
    indication: str | None = None
    comparison: str | None = None
    split: Split = "train"
    modality: ModalityName = "chest-xray"
    critical: bool | None = None
    critical_by: str | None = None
    drawn: bool = False
    views: tuple[str, ...] = ()
    truth: Mapping[str, Any] = field(default_factory=dict)
    prior_study: str | None = None
    prior_report: str | None = None


class Rejected(NamedTuple):
    """A study that was set aside: its id, or its line number where the id cannot be read, and why."""

    study: str | int
    reason: str
