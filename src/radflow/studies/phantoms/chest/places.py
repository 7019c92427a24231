"""Where in the lungs a tag is: lobes and zones as fractions of a lung, turned into points on the film."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from radflow.studies.phantoms.chest.build import LEFT, RIGHT, Build, Hand, lung_point
from radflow.studies.phantoms.chest.film import Point
from radflow.studies.phantoms.chest.shapes import hands
from radflow.studies.phantoms.chest.tags import Tag


@dataclass(frozen=True, kw_only=True)
class Zone:
    """A part of a lung: ``u`` from 0 medial to 1 lateral, ``v`` from 0 apex to 1 diaphragm; radii in cm."""

    u: tuple[float, float]
    v: tuple[float, float]
    radii: Point


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A zone of one patient: its centre on the film, its half-axes in cm, and which lung it is in."""

    hand: Hand
    centre: Point
    radii: Point


ZONES: Mapping[str, Zone] = {
    "apex": Zone(u=(0.3, 0.6), v=(0.12, 0.2), radii=(2.3, 1.7)),
    "supracardiac": Zone(u=(0.0, 0.1), v=(0.45, 0.55), radii=(1.8, 1.8)),
    "hilum": Zone(u=(0.04, 0.14), v=(0.44, 0.52), radii=(1.7, 1.8)),
    "paratracheal": Zone(u=(0.0, 0.03), v=(0.2, 0.3), radii=(1.2, 2.4)),
    "azygos lobe": Zone(u=(0.0, 0.1), v=(0.12, 0.2), radii=(1.6, 2.0)),
    "retrocardiac": Zone(u=(0.0, 0.15), v=(0.78, 0.9), radii=(2.2, 2.2)),
    "costophrenic angle": Zone(u=(0.88, 0.95), v=(0.92, 1.0), radii=(1.8, 1.8)),
    "cardiophrenic angle": Zone(u=(0.05, 0.15), v=(0.92, 1.0), radii=(1.8, 1.8)),
    "lingula": Zone(u=(0.25, 0.5), v=(0.66, 0.8), radii=(2.6, 2.2)),
    "middle lobe": Zone(u=(0.15, 0.45), v=(0.66, 0.8), radii=(2.7, 2.3)),
    "upper lobe": Zone(u=(0.25, 0.65), v=(0.22, 0.4), radii=(2.8, 2.6)),
    "lower lobe": Zone(u=(0.35, 0.75), v=(0.74, 0.92), radii=(3.2, 2.6)),
    "base": Zone(u=(0.3, 0.65), v=(0.86, 0.97), radii=(3.6, 2.0)),
}
"""Sites with a place of their own, most specific first: the first that a tag names counts."""
ANYWHERE = Zone(u=(0.25, 0.75), v=(0.3, 0.85), radii=(2.6, 2.4))
ONE_SIDED: Mapping[str, Hand] = {
    "lingula": LEFT,
    "retrocardiac": LEFT,
    "middle lobe": RIGHT,
    "azygos lobe": RIGHT,
    "paratracheal": RIGHT,
}
DIFFUSE = ("diffuse", "scattered", "multilobar")


def zone_of(tag: Tag) -> Zone:
    """Return the zone a tag names, or the whole lung."""
    return next((zone for site, zone in ZONES.items() if tag.at(site)), ANYWHERE)


def sides_of(tag: Tag, rng: np.random.Generator) -> tuple[Hand, ...]:
    """Return the lungs a tag is in: as named, else as its lobe says, else both (bases) or one at random."""
    if tag.side:
        return hands(tag)
    for site, hand in ONE_SIDED.items():
        if tag.at(site):
            return (hand,)
    if tag.has(*DIFFUSE, "multiple") or tag.at("base", "apex", "multilobar"):
        return (RIGHT, LEFT)
    return (RIGHT,) if rng.random() < 0.5 else (LEFT,)


def spots(build: Build, tag: Tag, rng: np.random.Generator, *, each: int = 1) -> list[Spot]:
    """Return ``each`` random spots per side within the zone that a tag names."""
    zone = zone_of(tag)
    found = []
    for hand in sides_of(tag, rng):
        for _ in range(each):
            u, v = rng.uniform(*zone.u), rng.uniform(*zone.v)
            found.append(Spot(hand=hand, centre=lung_point(build, hand, u, v), radii=zone.radii))
    return found
