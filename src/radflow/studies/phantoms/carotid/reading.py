"""What a reader makes of a carotid phantom: the truth, but for the places where readers differ.

Readers of ultrasound agree on whether there is plaque more than on what it is made of, and a velocity next to
a limit falls on its other side with another cursor. Here both happen in a stated share of cases. A report
stays consistent with itself: flow and grade follow the velocity that its reader wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from radflow.sru import sru_grade
from radflow.studies.phantoms.carotid.anatomy import Kind
from radflow.studies.phantoms.carotid.flow import flow_of

DISAGREEMENT = 0.3
"""Share of plaques (their kind) and of velocities next to a limit (its side) read otherwise: difficulty 1."""

NEIGHBOURS: dict[Kind, tuple[Kind, ...]] = {"hard": ("mixed",), "soft": ("mixed",), "mixed": ("soft", "hard")}
"""The kinds that a kind is taken for: nobody takes calcium for soft plaque."""

BESIDE: dict[int, int] = {120: 130, 130: 120, 230: 240, 240: 230}
"""The velocities beside a limit of the grades, in cm/s, and those on its other side."""


def read(truth: Mapping[str, Any], rng: np.random.Generator, *, share: float) -> dict[str, Any]:
    """Return the truth as one reader would state it, for `write_report`.

    Args:
        truth: as :meth:`~radflow.studies.phantoms.carotid.anatomy.Anatomy.truth` gives it; left as it is.
        rng: the reader.
        share: of plaques read as a neighbouring kind, and of velocities next to a limit read across it.
    """
    return {**truth, **{side: _side(truth[side], rng, share) for side in ("right", "left")}}


def _side(side: Mapping[str, Any], rng: np.random.Generator, share: float) -> dict[str, Any]:
    across = rng.random() < share
    plaques = [{**plaque, "kind": _kind(plaque["kind"], rng, share)} for plaque in side["plaques"]]
    told = {**side, "plaques": plaques}
    # Without plaque in the bulb or the ICA no velocity makes a stenosis.
    graded = side["grade"] in ("<50%", "50-69%", ">=70%") and side["plaques"][0]["segment"] != "CCA"
    if across and graded and side["psv"] in BESIDE:
        psv = BESIDE[side["psv"]]
        grade = sru_grade(psv, plaque=True)
        told |= {"psv": psv, "grade": grade, "flow": flow_of(grade, psv), "ratio": None}
    return told


def _kind(kind: Kind, rng: np.random.Generator, share: float) -> Kind:
    differs, which = rng.random(2)
    others = NEIGHBOURS[kind]
    return others[int(which * len(others))] if differs < share else kind
