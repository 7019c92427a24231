"""Findings in the lungs: opacities, bands, nodules, calcifications, cavities, interstitial patterns.

Nodules and granulomas are drawn up to twice as large as in life, so that they survive down-sampling to
about 100 pixels per side. Each function returns whether it could draw the tag.
"""

from __future__ import annotations

import numpy as np

from radflow.studies.phantoms.chest.anatomy import side_mask
from radflow.studies.phantoms.chest.build import LEFT, RIGHT, Build, lung_point, sign
from radflow.studies.phantoms.chest.film import (
    Film,
    Map,
    Point,
    Stroke,
    blob,
    ellipsoid,
    step,
    strokes,
    texture,
)
from radflow.studies.phantoms.chest.places import ANYWHERE, DIFFUSE, sides_of, spots, zone_of
from radflow.studies.phantoms.chest.tags import Tag

OUTSIDE = ("abdomen", "humerus", "shoulder", "ribs", "clavicle", "sternum", "spine", "neck", "breast")
"""Sites for which 'opacity' or 'lucency' is not about the lungs."""


def fill(film: Film, mask: Map, share: float) -> None:
    """Replace ``share`` of the air under ``mask`` (0 to 1) with fluid."""
    film.density[...] += (1 - film.density) * np.clip(mask * np.float32(share), 0, 1)


def opacity(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Air-space opacity with irregular edges; ``streaky``, ``round`` and ``interstitial`` differ."""
    if tag.at(*OUTSIDE):
        return False
    if tag.at("interstitial") or tag.has("reticular"):
        return interstitial(film, build, tag, rng)
    if tag.has("streaky"):
        return bands(film, build, tag, rng)
    if tag.has("round"):
        return nodules(film, build, tag, rng)
    if tag.at("mediastinum"):
        film.soft[...] += np.float32(6.0) * blob(film, (build.shift, build.hilum_y - 2), (3.2, 2.4))
        return True
    ragged = texture(film, rng, 22 if tag.has("patchy") else 14)
    grow = 0.75 + 0.3 * tag.strength
    share = min(0.95, 0.6 + 0.25 * tag.strength)
    if tag.has(*DIFFUSE):
        fill(film, _both(film, build, tag, rng) * step(ragged - 0.1, 0.7), 0.75 * share)
        return True
    for spot in spots(build, tag, rng, each=2 if tag.has("multiple", "patchy") else 1):
        x, y = spot.centre
        bump = blob(film, spot.centre, (spot.radii[0] * grow, 0.85 * spot.radii[1] * grow))
        # A second, smaller lobule keeps the patch from being an oval.
        aside = (x + rng.normal(0, 0.6) * spot.radii[0], y + rng.normal(0, 0.6) * spot.radii[1])
        bump = np.maximum(bump, blob(film, aside, (0.6 * spot.radii[0] * grow, 0.6 * spot.radii[1] * grow)))
        mask = bump * step(bump + np.float32(0.22) * ragged - np.float32(0.42), 0.4)
        fill(film, mask * side_mask(film, build, spot.hand), share)
    return True


def consolidation(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A dense opacity: most of the air is gone."""
    if not opacity(film, build, tag, rng):
        return False
    for spot in spots(build, tag, rng):
        bump = blob(film, spot.centre, spot.radii)
        fill(film, bump * side_mask(film, build, spot.hand), 0.55)
    return True


def bands(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Plate-like (linear) atelectasis, scars and streaks: dense bands, nearly level, with a little haze."""
    plates = np.zeros_like(film.soft)
    # Without a place, plates lie at both bases.
    base = zone_of(tag) is ANYWHERE
    where = Tag(text=tag.text, finding=tag.finding, sites=("base",), side=tag.side) if base else tag
    for spot in spots(build, where, rng):
        for _ in range(3 if tag.strength >= 1 else 2):
            x = spot.centre[0] + rng.normal(0, 0.5)
            y = spot.centre[1] + rng.normal(0, 0.9)
            slope, half = rng.normal(0, 0.22), rng.uniform(1.8, 3.0) * min(1.0, spot.radii[0] / 2.6)
            plate = ellipsoid(film, (x, y), (half, rng.uniform(0.3, 0.48)), tilt=slope)
            plates = np.maximum(plates, plate)
        fill(film, blob(film, spot.centre, (spot.radii[0], 0.8 * spot.radii[1])), 0.12 + 0.12 * tag.strength)
    film.soft[...] += np.float32(3.0 + 1.3 * tag.strength) * plates * _in_lung(film)
    return True


def atelectasis(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Bands; a whole upper or lower lobe that collapses is also an opacity."""
    if tag.at("upper lobe", "middle lobe", "lower lobe") or tag.strength > 1.2:
        opacity(film, build, tag, rng)
    return bands(film, build, tag, rng)


def nodules(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """One soft nodule, or several, 1.7 to 3.2 cm across."""
    if tag.at(*OUTSIDE):
        return False
    shrink = 0.75 if tag.degree == "small" else 1.0
    for spot in spots(build, tag, rng, each=3 if tag.has("multiple", "scattered") else 1):
        radius = rng.uniform(1.15, 1.6) * shrink
        film.soft[...] += ellipsoid(
            film, spot.centre, (radius, radius * rng.uniform(0.85, 1.1)), depth=5.0 * shrink
        )
    return True


def mass(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A soft tissue mass over 3 cm."""
    for spot in spots(build, tag, rng):
        radius = rng.uniform(1.9, 2.5) * (0.8 + 0.2 * tag.strength)
        film.soft[...] += ellipsoid(film, spot.centre, (radius, radius * rng.uniform(0.8, 1.1)), depth=8.0)
    return True


def granulomas(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Dense round dots; several when the tag says so."""
    if tag.at("abdomen"):
        dots(film, [(rng.uniform(8, 11), rng.uniform(28, 31)) for _ in range(5)], rng)
        return True
    if tag.at(*OUTSIDE):
        return False
    many = tag.has("multiple", "scattered")
    centres = [spot.centre for spot in spots(build, tag, rng, each=3 if many else 1)]
    dots(film, centres, rng, radius=0.6 if many else 0.8)
    return True


def granulomatous_disease(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """What an old histoplasmosis leaves: calcified hilar nodes and a few granulomas."""
    hand = sides_of(tag, rng)[0]
    hilum = lung_point(build, hand, 0.08, 0.48)
    near = [(hilum[0] + rng.normal(0, 0.7), hilum[1] + rng.normal(0, 0.8)) for _ in range(4)]
    dots(film, near, rng, radius=0.65)
    dots(film, [lung_point(build, hand, rng.uniform(0.3, 0.7), v) for v in (0.35, 0.7)], rng, radius=0.65)
    return True


def dots(film: Film, centres: list[Point], rng: np.random.Generator, radius: float = 0.45) -> None:
    """Draw calcified dots."""
    for centre in centres:
        size = radius * rng.uniform(0.85, 1.2)
        film.bone[...] += ellipsoid(film, centre, (size, size), depth=3.6)


def cavity(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A ring of tissue around air: cavity, cyst, bulla."""
    wall = 2.2 if tag.finding == "cavitation" else 0.8
    for spot in spots(build, tag, rng, each=2 if tag.has("multiple") else 1):
        radius = rng.uniform(1.5, 2.2)
        outer = ellipsoid(film, spot.centre, (radius, radius))
        inner = ellipsoid(film, spot.centre, (0.75 * radius, 0.75 * radius))
        film.soft[...] += np.float32(2 * wall) * (outer - np.float32(0.9) * inner)
        film.density[...] *= 1 - np.float32(0.7) * inner
    return True


def lucency(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Too much air in a place; emphysema without a place is a matter of ``shapes.py``."""
    if tag.at(*OUTSIDE) or (tag.finding != "lucency" and zone_of(tag) is ANYWHERE):
        return False
    for spot in spots(build, tag, rng):
        film.density[...] *= 1 - np.float32(0.8) * blob(film, spot.centre, spot.radii)
    return True


def interstitial(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A reticular net: where smooth noise crosses zero, a thin line."""
    fine, coarse = texture(film, rng, 46), texture(film, rng, 28)
    net = np.exp(-((fine / np.float32(0.22)) ** 2)) + np.exp(-((coarse / np.float32(0.16)) ** 2))
    if zone_of(tag) is ANYWHERE:
        where = _both(film, build, tag, rng) * step(film.y - np.float32(build.apex + 4), 4.0)
    else:
        where = np.zeros_like(net)
        for spot in spots(build, tag, rng):
            near = blob(film, spot.centre, (1.5 * spot.radii[0], 1.5 * spot.radii[1]))
            where = np.maximum(where, near * side_mask(film, build, spot.hand))
    film.soft[...] += np.float32(0.6 + 0.5 * tag.strength) * net * where * _in_lung(film)
    fill(film, where, 0.06 + 0.06 * tag.strength)
    return True


def lung(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """The tags that begin with ``Lung`` and are not about inflation: interstitial or obscured."""
    if tag.at("interstitial"):
        return interstitial(film, build, tag, rng)
    return tag.has("obscured") and opacity(film, build, tag, rng)


def edema(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Perihilar haze and Kerley B lines, on top of the congestion in ``shapes.py``."""
    haze = step(texture(film, rng, 12) + 0.3, 0.9)
    kerley: list[Stroke] = []
    for hand in sides_of(tag, rng) if tag.side else (RIGHT, LEFT):
        centre = lung_point(build, hand, 0.22, 0.6)
        fill(film, haze * blob(film, centre, (3.6, 5.0)), 0.3 + 0.2 * tag.strength)
        for v in np.linspace(0.7, 0.98, 6):
            x, y = lung_point(build, hand, 0.97, float(v))
            kerley.append(Stroke(points=[(x, y), (x - sign(hand) * 1.6, y + 0.1)], width=0.16))
    film.soft[...] += np.float32(1.6 + tag.strength) * strokes(film, kerley) * _in_lung(film)
    if tag.at("interstitial"):
        interstitial(film, build, tag, rng)
    return True


def bronchiectasis(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Small rings and a coarse net."""
    for spot in spots(build, tag, rng, each=4):
        ring = ellipsoid(film, spot.centre, (0.75, 0.75)) - ellipsoid(film, spot.centre, (0.5, 0.5))
        film.soft[...] += np.float32(3.0) * ring
    return interstitial(film, build, tag, rng)


def _both(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> Map:
    """Mask of the lungs a tag without a zone is in: both, unless it names a side."""
    if tag.side in (None, "bilateral"):
        return np.ones_like(film.lung)
    return side_mask(film, build, LEFT if tag.side == "left" else RIGHT)


def _in_lung(film: Film) -> Map:
    return np.clip(film.lung / 4, 0, 1)
