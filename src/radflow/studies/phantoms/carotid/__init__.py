"""Carotid phantoms: drawn ultrasound studies with reports, an open stand-in for the private CarotidUS-MRG.

A study has one sheet per side, as an ultrasound machine prints it: the long-axis B-mode on top, below it the
short-axis B-mode, and Doppler. All is drawn; nothing here is a patient. The colour Doppler is in grey levels
(brighter is faster). Every study is a function of ``(seed, index, difficulty)``: the same in any process, in
any order. ``difficulty`` goes from 0 (every scan good, every finding plain) to 1 (docs/phantoms.md).

:mod:`~radflow.studies.phantoms.carotid.anatomy` decides what is there,
:mod:`~radflow.studies.phantoms.carotid.scan` how it was scanned,
:mod:`~radflow.studies.phantoms.carotid.render` draws it,
:mod:`~radflow.studies.phantoms.carotid.reading` says what a reader makes of it and
:mod:`~radflow.studies.phantoms.carotid.report` words that.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import UInt8

from radflow.studies.phantoms.carotid.anatomy import SIDES, Anatomy, sample_anatomy, stream
from radflow.studies.phantoms.carotid.reading import DISAGREEMENT, read
from radflow.studies.phantoms.carotid.render import draw_sheet
from radflow.studies.phantoms.carotid.report import write_indication, write_report
from radflow.studies.phantoms.carotid.scan import sample_scan


@dataclass(frozen=True, kw_only=True)
class CarotidText:
    """A carotid phantom without its pictures.

    Attributes:
        study_id: e.g. ``"carotid-000123"``.
        patient_id: shared by the 1 to 4 studies of a patient.
        indication: why the study was asked for. It does not know the disease.
        truth: what is there, which at a difficulty above 0 is not always what the report's reader wrote.
            JSON-able; ``truth["right"]`` and ``truth["left"]`` hold the fields of
            :class:`~radflow.studies.phantoms.carotid.anatomy.Side`, ``truth["visit"]`` counts from 0.
        critical: whether anything is abnormal on either side.
    """

    study_id: str
    patient_id: str
    findings: str
    impression: str
    indication: str
    truth: dict[str, Any]
    critical: bool


@dataclass(frozen=True, kw_only=True)
class CarotidDrawing(CarotidText):
    """A carotid phantom with its pictures.

    Attributes:
        images: ``{"right": sheet, "left": sheet}``, each ``(size, size)`` grey levels, in this order.
    """

    images: dict[str, UInt8[np.ndarray, "size size"]]


def draw_carotid_text(index: int, *, seed: int, difficulty: float = 0.0) -> CarotidText:
    """Return study ``index`` without its pictures: the same text and truth, much faster.

    >>> draw_carotid_text(7, seed=0).study_id
    'carotid-000007'

    Raises:
        ValueError: ``index`` is negative, or ``difficulty`` is not between 0 and 1.
    """
    return _describe(_anatomy(index, seed, difficulty), index, seed, difficulty)


def draw_carotid_study(index: int, *, seed: int, size: int = 192, difficulty: float = 0.0) -> CarotidDrawing:
    """Return study ``index`` of the data set ``seed``.

    Args:
        index: study number, from 0.
        seed: which data set. Patients of different seeds have nothing in common.
        size: height and width of each sheet in pixels, at least 64.
        difficulty: from 0 to 1.

    >>> study = draw_carotid_study(7, seed=0)
    >>> list(study.images), study.images["right"].shape
    (['right', 'left'], (192, 192))

    Raises:
        ValueError: ``index`` is negative, ``size`` is below 64, or ``difficulty`` is not between 0 and 1.
    """
    anatomy = _anatomy(index, seed, difficulty)
    text = _describe(anatomy, index, seed, difficulty)
    images = {
        name: draw_sheet(
            anatomy.sides[name],
            anatomy.vessels[name],
            stream(seed, "study", index, "pixels", name),
            size=size,
            scan=sample_scan(stream(seed, "study", index, "scan", name), difficulty=difficulty),
        )
        for name in SIDES
    }
    return CarotidDrawing(
        **{field.name: getattr(text, field.name) for field in fields(text)}, images=dict(images)
    )


def _anatomy(index: int, seed: int, difficulty: float) -> Anatomy:
    if not 0 <= difficulty <= 1:
        raise ValueError(f"expected a difficulty between 0 and 1, got {difficulty}; 0 is the easiest.")
    return sample_anatomy(index, seed=seed, difficulty=difficulty)


def _describe(anatomy: Anatomy, index: int, seed: int, difficulty: float) -> CarotidText:
    truth = anatomy.truth()
    reader = stream(seed, "study", index, "reader")
    words = stream(seed, "study", index, "words")
    findings, impression = write_report(read(truth, reader, share=DISAGREEMENT * difficulty), words)
    return CarotidText(
        study_id=anatomy.study_id,
        patient_id=anatomy.patient_id,
        findings=findings,
        impression=impression,
        indication=write_indication(anatomy.visit, words),
        truth=truth,
        critical=anatomy.critical,
    )
