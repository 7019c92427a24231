"""Findings that change the patient's shape: size of the heart, inflation, diaphragm, aorta, spine, exposure.

``SHAPES`` maps a finding to the function that changes the ``Build``; it returns ``None`` for a tag that it
cannot draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from radflow.studies.phantoms.chest.build import LEFT, RIGHT, Build, Hand, Pose, lowered, moved
from radflow.studies.phantoms.chest.tags import Tag

Shape = Callable[[Build, Tag, np.random.Generator], Build | None]

# Cardiothoracic ratios; 0.50 is the textbook limit of normal.
HEART_RATIOS = {"borderline": 0.505, "mild": 0.55, "small": 0.55, None: 0.585, "moderate": 0.615}
SEVERE_HEART_RATIO = 0.69


def reshape(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    """Return the build with the tag's change of shape, or ``None`` when it has none that can be drawn."""
    rule = SHAPES.get(tag.finding)
    return rule(build, tag, rng) if rule else None


def hands(tag: Tag, default: tuple[Hand, ...] = (RIGHT, LEFT)) -> tuple[Hand, ...]:
    """Return the sides a tag speaks of; ``default`` when it names none."""
    return {"right": (RIGHT,), "left": (LEFT,), "bilateral": (RIGHT, LEFT), None: default}[tag.side]


def _heart(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    ratio = HEART_RATIOS.get(tag.degree, SEVERE_HEART_RATIO) + rng.uniform(-0.008, 0.008)
    return replace(build, heart_ratio=max(build.heart_ratio, ratio))


def _cardiac_shadow(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    if tag.has("enlarged", "prominent") or tag.degree == "borderline":
        return _heart(build, tag, rng)
    if tag.degree == "small":
        return replace(build, heart_ratio=0.36)
    return None


def _chamber(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    if not tag.has("enlarged", "prominent"):
        return None
    return replace(build, heart_ratio=max(build.heart_ratio, 0.53 + rng.uniform(-0.01, 0.01)))


def _pericardial_effusion(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    """The water-bottle heart: wide, and rounder than cardiomegaly."""
    return replace(build, heart_ratio=0.58 + 0.05 * tag.strength, heart_height=1.12)


def _heart_failure(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    larger = _heart(build, tag, rng)
    return _congestion(larger, tag, rng) if larger else None


def _congestion(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    """Wider vessels, above all in the upper zones (cephalisation), and larger hila."""
    more = 0.55 + 0.45 * tag.strength
    return replace(
        build,
        vessels=build.vessels + 0.6 * more,
        upper_vessels=build.upper_vessels + 1.1 * more,
        hila=moved(build.hila, (RIGHT, LEFT), 0.6 * more),
    )


def _hyperinflated(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    """Low flat domes, dark lungs with sparse vessels, a narrow upright heart."""
    if tag.at("base", "apex", "upper lobe"):
        return None
    more = min(tag.strength, 1.5)
    deeper = lowered(build, hands(tag), 2.0 + 1.0 * more)
    return replace(
        deeper,
        sulcus=(build.sulcus[0] - 1.6 - 0.7 * more, build.sulcus[1] - 1.6 - 0.7 * more),
        lung_density=build.lung_density - 0.035 - 0.03 * more,
        vessels=build.vessels - 0.15 * more,
        heart_ratio=build.heart_ratio - 0.03 * more if build.heart_ratio < 0.5 else build.heart_ratio,
    )


def _underinflated(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    """High domes, dense crowded lungs, a heart that looks wider."""
    more = tag.strength
    higher = lowered(build, hands(tag), -2.4 - 1.6 * more)
    return replace(
        higher,
        lung_density=build.lung_density + 0.05 + 0.03 * more,
        vessels=build.vessels + 0.25 * more,
        heart_ratio=max(build.heart_ratio, min(build.heart_ratio + 0.035, 0.495)),
    )


def _lung(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    if tag.has("hyperdistention"):
        return _hyperinflated(build, tag, rng)
    if tag.has("hypoinflation"):
        return _underinflated(build, tag, rng)
    if tag.at("hilum") and tag.has("prominent", "enlarged"):
        return _hila(build, tag, rng)
    return None


def _hila(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    return replace(build, hila=moved(build.hila, hands(tag), 0.9 + 0.5 * tag.strength))


def _diaphragm(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    if tag.has("elevated"):
        return lowered(build, hands(tag, (RIGHT,)), -1.8 - 1.7 * tag.strength)
    if tag.has("flattened"):
        flatter = lowered(build, hands(tag), 1.8)
        return replace(flatter, sulcus=moved(build.sulcus, hands(tag), -2.6))
    return None


def _eventration(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    return lowered(build, hands(tag, (RIGHT,)), -1.6 - 1.2 * tag.strength)


def _aorta(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    if tag.has("tortuous", "prominent", "enlarged"):
        return replace(build, unfold=max(build.unfold, 0.9 + 0.6 * tag.strength))
    return None


def _aneurysm(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    return replace(build, unfold=2.4)


def _scoliosis(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    """Bow the spine. The side of a scoliosis is the side of its convexity."""
    side = {"right": -1, "left": 1}.get(tag.side or "", -1 if rng.random() < 0.7 else 1)
    bow = side * (1.3 + 1.4 * tag.strength)
    if tag.at("lumbar vertebrae"):
        return replace(build, lumbar_curve=build.lumbar_curve + bow)
    return replace(build, curve=build.curve + bow, lumbar_curve=build.lumbar_curve - 0.6 * bow)


def _shift(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    side = {"right": -1, "left": 1}.get(tag.side or "", rng.choice((-1, 1)))
    return replace(build, shift=build.shift + float(side) * (0.8 + 0.7 * tag.strength))


def _volume_loss(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    """The diaphragm rises and the mediastinum moves towards the small lung."""
    lost = hands(tag, (RIGHT,))
    side = sum(1 if hand == LEFT else -1 for hand in lost)
    return replace(lowered(build, lost, -2.2), shift=build.shift + 1.1 * side)


def _mediastinum(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    if tag.at("paratracheal") or not tag.has("prominent", "enlarged"):
        return None
    return replace(build, mediastinum=build.mediastinum + 0.7 + 0.5 * tag.strength)


def _osteopenia(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    return replace(build, bone=0.5 * build.bone)


def _quality(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    """A poor film: rotated, tilted, and over- or underexposed. The tag does not say which, so all."""
    way = float(rng.choice((-1, 1)))
    return replace(
        build,
        turn=build.turn + way * rng.uniform(0.8, 1.6),
        centre=build.centre + float(rng.choice((-1, 1))) * rng.uniform(0.25, 0.45),
        photons=build.photons / 2.5,
        pose=Pose(
            shift_x=build.pose.shift_x + way * rng.uniform(0.5, 1.5),
            shift_y=build.pose.shift_y,
            tilt=build.pose.tilt + way * rng.uniform(0.03, 0.06),
        ),
    )


def _markings(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    if tag.at("bronchovascular"):
        return replace(build, vessels=build.vessels + 0.7 + 0.5 * tag.strength)
    return None


def _mastectomy(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    """Only the other breast casts a shadow; both are gone where the tag names no side."""
    size = max(*build.breasts, 2.6)
    gone = hands(tag)
    if len(gone) == 2 and build.breasts == (0.0, 0.0):
        return None
    return replace(build, breasts=(0.0 if RIGHT in gone else size, 0.0 if LEFT in gone else size))


def _implants(build: Build, tag: Tag, rng: np.random.Generator) -> Build | None:
    return replace(build, breasts=moved(build.breasts, hands(tag), 3.0))


_CHANGED_BY: Mapping[Shape, tuple[str, ...]] = {
    _heart: ("cardiomegaly",),
    _cardiac_shadow: ("cardiac shadow", "heart"),
    _chamber: ("heart atria", "heart ventricles"),
    _heart_failure: ("heart failure",),
    _pericardial_effusion: ("pericardial effusion",),
    _congestion: ("pulmonary congestion", "pulmonary edema"),
    _lung: ("lung",),
    _hyperinflated: (
        *("emphysema", "pulmonary emphysema", "pulmonary disease, chronic obstructive"),
        *("lung, hyperlucent", "cystic fibrosis"),
    ),
    _hila: ("hypertension, pulmonary", "pulmonary artery", "sarcoidosis"),
    _diaphragm: ("diaphragm",),
    _eventration: ("diaphragmatic eventration",),
    _aorta: ("aorta", "aorta, thoracic"),
    _aneurysm: ("aortic aneurysm",),
    _scoliosis: ("scoliosis",),
    _shift: ("shift",),
    _volume_loss: ("volume loss", "pneumonectomy"),
    _mediastinum: ("mediastinum",),
    _osteopenia: ("bone diseases, metabolic", "osteoporosis"),
    _quality: ("technical quality of image unsatisfactory",),
    _markings: ("markings", "thickening"),
    _mastectomy: ("mastectomy",),
    _implants: ("breast implants",),
}
SHAPES: Mapping[str, Shape] = {name: change for change, names in _CHANGED_BY.items() for name in names}
"""Finding -> the function that changes the build."""
