"""Findings of the skeleton. Each function returns whether it could draw the tag."""

from __future__ import annotations

import numpy as np

from radflow.studies.phantoms.chest.anatomy import anterior_rib, posterior_rib
from radflow.studies.phantoms.chest.build import Build, sign, spine_x
from radflow.studies.phantoms.chest.film import Film, Point, Stroke, blob, ellipsoid, strokes
from radflow.studies.phantoms.chest.places import sides_of
from radflow.studies.phantoms.chest.shapes import hands
from radflow.studies.phantoms.chest.tags import Tag

# Where each part of the spine shows on a chest film, cm from the top.
SPINE_SPANS = {
    "cervical vertebrae": (0.5, 4.0),
    "thoracic vertebrae": (9.0, 25.0),
    "lumbar vertebrae": (29.0, 37.0),
}


def degenerative(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Spurs that bridge the discs on both sides of the spine, and dense end-plates."""
    part = next((site for site in (tag.finding, *tag.sites) if site in SPINE_SPANS), "thoracic vertebrae")
    low, high = SPINE_SPANS[part]
    lines: list[Stroke] = []
    count = 7 if part == "thoracic vertebrae" else 3
    for y in np.linspace(low, high, count) + rng.normal(0, 0.2, count):
        x, half = spine_x(build, float(y)), 1.4 + 0.016 * float(y)
        reach = half + rng.uniform(0.5, 0.9) * min(1.3, 0.6 + 0.4 * tag.strength)
        lines.append(
            Stroke(points=[(x - half - 0.1, float(y)), (x + half + 0.1, float(y))], width=0.35, amount=0.45)
        )
        for s in (-1, 1):
            spur: list[Point] = [(x + s * half, y - 0.9), (x + s * reach, y - 0.1), (x + s * half, y + 0.8)]
            lines.append(Stroke(points=spur, width=0.5))
    film.bone[...] += np.float32(1.5 + 0.9 * tag.strength) * strokes(film, lines)
    return True


def worn_joint(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Degenerative change, where the tag says that and names a spine or a shoulder."""
    if not (tag.has("degenerative") or tag.finding == "arthritis"):
        return False
    if tag.finding in ("shoulder", "humerus") or tag.at("shoulder", "humerus"):
        return shoulder(film, build, tag, rng)
    spine = tag.at("spine", *SPINE_SPANS) or tag.finding in ("spine", "bone and bones", *SPINE_SPANS)
    return spine and degenerative(film, build, tag, rng)


def shoulder(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A dense, spurred joint surface of the humerus."""
    lines = []
    for hand in hands(tag):
        s, y = sign(hand), build.apex
        arc = [(s * 15.4, y + 1.0), (s * 15.0, y + 2.6), (s * 15.5, y + 4.2), (s * 16.2, y + 5.2)]
        lines.append(Stroke(points=arc, width=0.6))
    film.bone[...] += np.float32(1.8 + tag.strength) * strokes(film, lines)
    return True


def broken(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Fractures and deformities of ribs, clavicle, humerus or spine, by the bone that the tag names."""
    if tag.at("ribs"):
        return _ribs(film, build, tag, rng)
    if tag.at("clavicle"):
        for hand in sides_of(tag, rng):
            _callus(film, (sign(hand) * 9.0, build.apex + 0.6), 0.95)
        return True
    if tag.at("humerus"):
        for hand in sides_of(tag, rng):
            _callus(film, (sign(hand) * 17.9, build.apex + 5.2), 1.3)
        return True
    return tag.at("spine", *SPINE_SPANS) and collapsed_vertebra(film, build, tag, rng)


def collapsed_vertebra(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A vertebra that lost height: a dense flat block, wider than its neighbours."""
    low, high = SPINE_SPANS["lumbar vertebrae" if tag.at("lumbar vertebrae") else "thoracic vertebrae"]
    for _ in range(3 if tag.has("multiple") else 1):
        y = rng.uniform(low + 4, high)
        x = spine_x(build, y)
        block = [Stroke(points=[(x - 2.0, y - 0.3), (x + 2.0, y + 0.3)], width=1.0)]
        film.bone[...] += np.float32(2.4 + 1.0 * tag.strength) * strokes(film, block)
    return True


def _ribs(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A step and a lump of callus; gaps for fresh ones."""
    for hand in sides_of(tag, rng):
        first, count = int(rng.integers(3, 7)), 3 if tag.has("multiple") else 1
        for number in range(first, first + count):
            line = anterior_rib if tag.has("anterior") else posterior_rib
            points = line(build, hand, min(number, 7))
            x, y = points[int(len(points) * rng.uniform(0.7, 0.9))]
            _callus(film, (x, y), 0.75)
            if not tag.has("healed"):
                gap = Stroke(points=[(x - 0.15, y - 0.6), (x + 0.15, y + 0.6)], width=0.3)
                film.bone[...] *= 1 - np.float32(0.8) * strokes(film, [gap])
    return True


def _callus(film: Film, at: Point, radius: float) -> None:
    film.bone[...] += ellipsoid(film, at, (radius * 1.4, 1.1 * radius), depth=3.4)


def sclerosis(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Dense bone where the tag says: spine, clavicle or shoulder."""
    if tag.at("clavicle", "humerus"):
        return broken(film, build, tag, rng)
    return tag.at("spine", *SPINE_SPANS) and degenerative(film, build, tag, rng)


def rib_lesion(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """An expanded rib."""
    for hand in sides_of(tag, rng):
        x, y = posterior_rib(build, hand, 5)[8]
        film.bone[...] += np.float32(1.2) * blob(film, (x, y), (1.6, 0.6))
    return True
