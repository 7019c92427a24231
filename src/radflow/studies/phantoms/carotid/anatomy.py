"""Who the carotid phantoms are: patients, their visits, and what is wrong on each side.

A patient is a run of 1 to 4 consecutive study indices inside a block of :data:`BLOCK`, so that study
123,456 is known without drawing the others. Follow-ups keep the patient's vessel and its plaques, which
grow, and may find new disease.

Stenosis is the share of the lumen's diameter that the thickest plaque takes. Grades and velocities obey the
consensus of `radflow.sru`. Its criteria are for the internal carotid
artery and its origin, so here a plaque of the common carotid artery never narrows by 50% or more.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from radflow.sru import Grade, grade_of
from radflow.studies.phantoms.carotid.flow import Flow, edv_of, flow_of, ratio_of, sample_psv

SideName = Literal["right", "left"]
Kind = Literal["hard", "soft", "mixed"]
Surface = Literal["smooth", "irregular", "ulcerated"]
Segment = Literal["CCA", "bulb", "ICA"]
Wall = Literal["anterior", "posterior"]

SIDES: tuple[SideName, ...] = ("right", "left")
KINDS: tuple[Kind, ...] = ("hard", "soft", "mixed")
SURFACES: tuple[Surface, ...] = ("smooth", "irregular", "ulcerated")
SEGMENTS: tuple[Segment, ...] = ("CCA", "bulb", "ICA")
WALLS: tuple[Wall, ...] = ("anterior", "posterior")

THICKENED_MM = 1.0
"""An intima-media thickness from here on is called thickened."""

DIAMETER_MM: dict[Segment, float] = {"CCA": 6.6, "bulb": 8.8, "ICA": 5.8}
STENOSIS: tuple[tuple[int, int], ...] = ((28, 45), (52, 66), (73, 87), (95, 96), (100, 100))
"""Diameter reductions at the first visit, in percent, by grade from "<50%" on, at difficulty 0."""
HARD_STENOSIS: tuple[tuple[int, int], ...] = ((12, 49), (50, 69), (70, 87), (95, 96), (100, 100))
"""The same at difficulty 1: smaller plaques, and up to the limits of the grades."""
PLAQUE_MM = 1.5
"""A thinner thickening is no plaque (Mannheim consensus, Touboul et al., Cerebrovasc Dis 2012;34:290-296)."""

BLOCK = 12  # study indices over which whole patients are laid out


@dataclass(frozen=True, kw_only=True)
class Plaque:
    """One plaque. An occluding one fills the lumen and has neither a surface nor a wall.

    Attributes:
        thickness_mm: from the adventitia into the lumen, to 0.1 mm.
        length_mm: along the vessel, to 0.1 mm.
    """

    kind: Kind
    segment: Segment
    surface: Surface | None
    wall: Wall | None
    thickness_mm: float
    length_mm: float


@dataclass(frozen=True, kw_only=True)
class Side:
    """What is true of one side of one study.

    Attributes:
        imt_mm: intima-media thickness of the far wall away from plaque, to 0.1 mm.
        stenosis_percent: diameter reduction at the narrowest place, 0 to 100.
        psv: highest peak systolic velocity in the internal carotid artery, cm/s; 0 without flow.
        edv: end-diastolic velocity there, cm/s.
        ratio: ICA/CCA peak velocity ratio in steps of 0.5; ``None`` without flow.
    """

    imt_mm: float
    plaques: tuple[Plaque, ...]
    stenosis_percent: int
    grade: Grade
    psv: int
    edv: int
    ratio: float | None
    flow: Flow

    @property
    def thickened(self) -> bool:
        """Whether the intima-media thickness is at least :data:`THICKENED_MM`."""
        return self.imt_mm >= THICKENED_MM

    @property
    def abnormal(self) -> bool:
        """Whether anything is wrong on this side."""
        return self.thickened or bool(self.plaques)


@dataclass(frozen=True, kw_only=True)
class Vessel:
    """How a patient's vessel lies in the picture; the same at every visit.

    Attributes:
        calibre: factor on :data:`DIAMETER_MM`.
        tilt_mm: how much deeper the right edge of the long-axis view lies than the left.
        depth_mm: how much deeper than usual the vessel lies.
    """

    calibre: float
    tilt_mm: float
    depth_mm: float


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """One study before it is drawn or written."""

    study_id: str
    patient_id: str
    visit: int
    sides: dict[SideName, Side]
    vessels: dict[SideName, Vessel]

    @property
    def critical(self) -> bool:
        """Whether anything is abnormal on either side (Eq. 9 asks per study)."""
        return any(side.abnormal for side in self.sides.values())

    def truth(self) -> dict[str, Any]:
        """Return the ground truth as JSON-able data: visit, and each side's fields."""
        return {"visit": self.visit, **{name: _plain(side) for name, side in self.sides.items()}}


def _plain(side: Side) -> dict[str, Any]:
    return {**asdict(side), "plaques": [asdict(plaque) for plaque in side.plaques]}


def stream(*key: object) -> np.random.Generator:
    """Return the random stream of ``key``, the same in every process and on every machine.

    >>> int(stream(0, "patient", 7).integers(1000)) == int(stream(0, "patient", 7).integers(1000))
    True
    """
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def patient_of(index: int, seed: int) -> tuple[int, int]:
    """Return the first study index of the patient to whom study ``index`` belongs, and the visit (from 0).

    >>> first, visit = patient_of(1234, seed=0)
    >>> first + visit, 0 <= visit < 4
    (1234, True)
    """
    block = index - index % BLOCK
    rng = stream(seed, "block", block)
    first = block
    while True:
        # A patient that would cross the end of its block is cut there.
        after = min(first + 1 + int(rng.choice(4, p=(0.4, 0.3, 0.2, 0.1))), block + BLOCK)
        if index < after:
            return first, index - first
        first = after


def patient_name(first: int) -> str:
    """Return the id of the patient whose first study has this index."""
    return f"carotid-patient-{first:06d}"


def sample_anatomy(index: int, *, seed: int, difficulty: float = 0.0) -> Anatomy:
    """Return study ``index`` of the data set ``seed``: a function of these numbers alone.

    Who has which disease does not depend on the difficulty; how easily it is seen does.

    Args:
        index: study number, from 0.
        seed: which data set.
        difficulty: from 0 to 1. It makes plaques smaller and shorter, moves wall thickness, stenosis and
            velocity towards the limits of their grades, and lets vessels lie deeper, shallower and steeper.

    Raises:
        ValueError: ``index`` is negative.
    """
    if index < 0:
        raise ValueError(f"expected a study index from 0 on, got {index}; count studies from 0.")
    first, visit = patient_of(index, seed)
    rng = stream(seed, "patient", first)
    sick = rng.choice(("none", "thick", "plaque"), p=(0.43, 0.09, 0.48))
    which = rng.choice(("right", "left", "both"), p=(0.28, 0.28, 0.44))
    sides: dict[SideName, Side] = {}
    vessels: dict[SideName, Vessel] = {}
    for name in SIDES:
        own = stream(seed, "patient", first, name)
        vessels[name] = Vessel(
            calibre=float(own.uniform(0.96, 1.04)),
            tilt_mm=float(own.uniform(-0.6, 0.6)) * (1 + 5 * difficulty),
            depth_mm=float(own.uniform(-0.25, 0.25)) * (1 + 5 * difficulty),
        )
        disease = str(sick) if which in (name, "both") else "none"
        day = stream(seed, "study", index, name)
        sides[name] = _sample_side(own, disease, visit, day, difficulty)
    return Anatomy(
        study_id=f"carotid-{index:06d}",
        patient_id=patient_name(first),
        visit=visit,
        sides=sides,
        vessels=vessels,
    )


def _sample_side(
    own: np.random.Generator, disease: str, visit: int, day: np.random.Generator, difficulty: float
) -> Side:
    """Draw one side at one visit from the patient's own stream; ``day`` adds what differs from day to day.

    What is drawn from ``own``, and in which order, does not depend on the visit: follow-ups must agree.
    """
    late, onsets = own.choice(("thick", "plaque")), own.random(3) < 0.03
    if disease == "none" and onsets[:visit].any():  # healthy at first, found at a later visit
        disease = str(late)
    within, also = own.random(2)
    thick = disease == "thick" or (disease == "plaque" and also < 0.55)
    reach = 0.1 * difficulty  # mm by which both kinds of wall come nearer to THICKENED_MM
    first_imt = float((1.1 - reach if thick else 0.5) + (0.25 + (0 if thick else reach)) * within)
    plaques, percent = (), 0
    if disease == "plaque":
        plaques, percent = _sample_plaques(own, first_imt, visit, difficulty)
    grade = grade_of(percent)
    psv = sample_psv(grade, percent, own, day, difficulty=difficulty)
    return Side(
        imt_mm=round(first_imt + 0.02 * visit, 1),
        plaques=plaques,
        stenosis_percent=percent,
        grade=grade,
        psv=psv,
        edv=edv_of(grade, psv),
        ratio=ratio_of(grade, psv, round(own.uniform(55, 80))),
        flow=flow_of(grade, psv),
    )


def _sample_plaques(
    own: np.random.Generator, imt: float, visit: int, difficulty: float
) -> tuple[tuple[Plaque, ...], int]:
    """Draw one or two plaques, the worse first, and the stenosis of the worse in percent."""
    ranges = [
        [round(easy + difficulty * (hard - easy)) for easy, hard in zip(*limits, strict=True)]
        for limits in zip(STENOSIS, HARD_STENOSIS, strict=True)
    ]
    low, high = ranges[own.choice(len(STENOSIS), p=(0.64, 0.19, 0.1, 0.035, 0.035))]
    start = int(own.integers(low, high + 1))
    segments = [SEGMENTS[number] for number in own.permutation(3)]
    if start >= 50:
        segments.remove("CCA")
    growth = int(own.choice((0, 0, 0, 3, 6))) * visit
    if start >= 90:
        growth = 0
    percent = min(start + growth, 46 if segments[0] == "CCA" else max(start, 90))
    two = own.random() < 0.14 and start < 90
    second = min(int(own.integers(ranges[0][0], 42)), start)
    plaques = tuple(
        _sample_plaque(own, segment, share, imt, difficulty)
        for segment, share in zip(segments, (percent, second) if two else (percent,), strict=False)
    )
    return plaques, percent


def _sample_plaque(
    own: np.random.Generator, segment: Segment, percent: int, imt: float, difficulty: float
) -> Plaque:
    lumen = DIAMETER_MM[segment] - 2 * imt
    plaque = Plaque(
        kind=KINDS[own.choice(3, p=(0.36, 0.36, 0.28))],
        segment=segment,
        surface=SURFACES[own.choice(3, p=(0.5, 0.32, 0.18))],
        wall=WALLS[own.choice(2)],
        thickness_mm=max(PLAQUE_MM, round(imt + percent / 100 * lumen, 1)),
        length_mm=round(float(own.uniform(8.5, 11.5)) * (1 - 0.4 * difficulty), 1),
    )
    return replace(plaque, surface=None, wall=None) if percent >= 100 else plaque
