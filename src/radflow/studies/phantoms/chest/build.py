"""The build of one patient: the numbers from which a chest is drawn, and the curves they define.

All lengths are in cm, in the coordinates of ``film.py``. Pairs are (patient's right, patient's left).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from radflow.studies.phantoms.chest.film import Map, Point, Pose

Hand = Literal[0, 1]
RIGHT: Hand = 0
LEFT: Hand = 1
HANDS: tuple[Hand, Hand] = (RIGHT, LEFT)
Pair = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Build:
    """One patient and one exposure. Findings that change a shape are changes to these numbers.

    Attributes:
        pose: shift and tilt on the film.
        turn: rotation about the long axis: how far mediastinum and clavicles move aside.
        half_width: of the rib cage, inside, at its widest.
        apex: ``y`` of the top of the lungs.
        dome: ``y`` of the top of each half of the diaphragm.
        sulcus: how far each costophrenic angle lies below its dome.
        depth: front-to-back thickness of the trunk.
        fat: soft tissue outside the ribs.
        breasts: thickness of each breast, 0 for none.
        heart_ratio: cardiothoracic ratio.
        heart_height: half the height of the heart over half its width.
        mediastinum: half width above the heart.
        shift: of the mediastinum to the patient's left.
        knob: how far the aortic arch stands out on the left.
        unfold: how far ascending and descending aorta stand out, 0 for not at all.
        hila: size of each hilum, 1 for normal.
        vessels: strength of lung vessels, 1 for normal.
        upper_vessels: the same for the upper zones alone (cephalisation).
        lung_density: of normal lung, 1 is water.
        curve: sideways bow of the thoracic spine, positive towards the patient's left.
        lumbar_curve: the same below the diaphragm.
        bone: strength of the skeleton, 1 for normal.
        centre, contrast, photons: of the exposure, see ``film.py``.
    """

    pose: Pose
    turn: float
    half_width: float
    apex: float
    dome: Pair
    sulcus: Pair
    depth: float
    fat: float
    breasts: Pair
    heart_ratio: float
    heart_height: float
    mediastinum: float
    shift: float
    knob: float
    unfold: float
    hila: Pair
    vessels: float
    upper_vessels: float
    lung_density: float
    curve: float
    lumbar_curve: float
    bone: float
    centre: float
    contrast: float
    photons: float

    @property
    def heart_width(self) -> float:
        """Transverse diameter of the heart."""
        return 2 * self.half_width * self.heart_ratio

    @property
    def heart_centre(self) -> Point:
        """Centre of the heart: a third of it lies to the right of the spine; it rests on the left dome."""
        floor = 0.3 * self.dome[RIGHT] + 0.7 * self.dome[LEFT]
        return 0.16 * self.heart_width + self.shift, floor - 3.2

    @property
    def hilum_y(self) -> float:
        """Height of the hila."""
        return self.apex + 0.46 * (min(self.dome) - self.apex)


def sample_build(rng: np.random.Generator) -> Build:
    """Draw a healthy adult. The ranges are those that read as normal on a PA film at full inspiration."""
    dome = rng.uniform(23.6, 25.4)
    breast = rng.uniform(1.5, 3.5) if rng.random() < 0.5 else 0.0
    sulcus = rng.uniform(3.8, 4.6)
    return Build(
        pose=Pose(shift_x=rng.uniform(-0.8, 0.8), shift_y=rng.uniform(-0.7, 0.7), tilt=rng.normal(0, 0.015)),
        turn=rng.normal(0, 0.25),
        half_width=rng.uniform(12.6, 14.2),
        apex=rng.uniform(4.2, 5.4),
        dome=(dome, dome + rng.uniform(0.7, 1.3)),
        sulcus=(sulcus, sulcus - 0.4),
        depth=rng.uniform(19.0, 22.5),
        fat=rng.uniform(1.2, 3.0),
        breasts=(breast, breast),
        heart_ratio=rng.uniform(0.40, 0.46),
        heart_height=rng.uniform(0.86, 0.98),
        mediastinum=rng.uniform(2.3, 2.7),
        shift=rng.normal(0, 0.1),
        knob=rng.uniform(0.7, 1.1),
        unfold=0.0,
        hila=(1.0, 1.0),
        vessels=rng.uniform(0.85, 1.15),
        upper_vessels=1.0,
        lung_density=rng.uniform(0.24, 0.28),
        curve=rng.normal(0, 0.12),
        lumbar_curve=rng.normal(0, 0.12),
        bone=rng.uniform(0.9, 1.1),
        centre=rng.uniform(2.05, 2.25),
        contrast=rng.uniform(1.4, 1.65),
        photons=rng.uniform(15_000, 30_000),
    )


def moved(pair: Pair, hands: tuple[Hand, ...], by: float) -> Pair:
    """Add ``by`` to the named members of a pair.

    >>> moved((1.0, 1.0), (LEFT,), 2.0)
    (1.0, 3.0)
    """
    return pair[0] + by * (RIGHT in hands), pair[1] + by * (LEFT in hands)


def lowered(build: Build, hands: tuple[Hand, ...], by: float) -> Build:
    """Move the diaphragm down (up when negative), as far as the film and the lungs allow."""
    dome = moved(build.dome, hands, by)
    return replace(build, dome=(_within(dome[0], 15.0, 29.0), _within(dome[1], 15.0, 29.0)))


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def sign(hand: Hand) -> int:
    """Return the sign of ``x`` on a side: -1 for the patient's right.

    >>> sign(RIGHT), sign(LEFT)
    (-1, 1)
    """
    return 1 if hand == LEFT else -1


def cage(build: Build, y: Map) -> Map:
    """Half width of the rib cage, inside, at height ``y``; 0 above the apex."""
    v = np.clip((y - np.float32(build.apex)) / np.float32(22), 0, 1.25)
    top = 1 - (1 - np.minimum(v, 1)) ** 3
    return np.float32(build.half_width) * np.sqrt(top) * (1 - np.float32(0.3) * np.maximum(v - 0.9, 0))


def cage_at(build: Build, y: float) -> float:
    """Return ``cage`` at one height."""
    return float(cage(build, np.full((1, 1), y, dtype=np.float32))[0, 0])


def diaphragm(build: Build, hand: Hand, distance: Map) -> Map:
    """Height of the diaphragm ``distance`` cm from the midline: a dome falling to the costophrenic angle."""
    top = np.float32(0.5 * build.half_width)
    across = (distance - top) / np.float32(build.half_width - top)
    fall = np.where(across > 0, np.float32(1), np.float32(0.35)) * across**2
    return np.float32(build.dome[hand]) + np.float32(build.sulcus[hand]) * fall


def lung_point(build: Build, hand: Hand, u: float, v: float) -> Point:
    """Return the point at fractions of a lung: ``u`` 0 medial to 1 lateral, ``v`` 0 apex to 1 diaphragm."""
    v = _within(v, 0.02, 1.1)
    y = build.apex + v * (build.dome[hand] - build.apex)
    inner = build.mediastinum + 0.4 if v < 0.6 else build.mediastinum + 1.4
    outer = max(cage_at(build, y) - 0.6, inner + 0.8)
    distance = inner + u * (outer - inner)
    floor = diaphragm(build, hand, np.full((1, 1), distance, dtype=np.float32))[0, 0]
    y = build.apex + v * (float(floor) - build.apex)
    return sign(hand) * distance, y


def spine_line(build: Build, y: Map) -> Map:
    """Sideways position of the spine at heights ``y``: one bow above the diaphragm, one below."""
    thoracic = np.float32(build.curve) * np.sin(np.float32(np.pi) * np.clip((y - 2) / 24, 0, 1))
    return thoracic + np.float32(build.lumbar_curve) * np.sin(
        np.float32(np.pi) * np.clip((y - 24) / 16, 0, 1)
    )


def spine_x(build: Build, y: float) -> float:
    """Return ``spine_line`` at one height."""
    return float(spine_line(build, np.full((1, 1), y, dtype=np.float32))[0, 0])
