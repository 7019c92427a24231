"""Findings of the pleura, the mediastinum and the upper abdomen.

Each function returns whether it could draw the tag.
"""

from __future__ import annotations

import numpy as np

from radflow.studies.phantoms.chest.anatomy import air_floor, side_mask
from radflow.studies.phantoms.chest.build import LEFT, RIGHT, Build, Hand, cage, lung_point, sign
from radflow.studies.phantoms.chest.film import Film, Stroke, blob, curve, ellipsoid, step, strokes, texture
from radflow.studies.phantoms.chest.lungs import bands, dots, fill, granulomas, opacity
from radflow.studies.phantoms.chest.places import sides_of
from radflow.studies.phantoms.chest.shapes import hands
from radflow.studies.phantoms.chest.tags import Tag

# How high fluid stands above the costophrenic angle, at the chest wall, cm.
LEVELS = {"borderline": 2.2, "small": 4.2, "mild": 4.2, "moderate": 8.0, "large": 13.5, "severe": 13.5}
USUAL_LEVEL = 5.4


def effusion(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Free fluid: the angle is blunted, the upper border rises towards the chest wall (meniscus)."""
    for hand in hands(tag):
        _pour(film, build, hand, _level(tag) * rng.uniform(0.92, 1.08))
    return True


def blunted_angle(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A costophrenic angle filled with a little fluid or scar."""
    for hand in hands(tag):
        _pour(film, build, hand, 3.2 if tag.degree == "mild" else 3.9)
    return True


def _level(tag: Tag) -> float:
    return LEVELS[tag.degree] if tag.degree else USUAL_LEVEL


def _pour(film: Film, build: Build, hand: Hand, level: float) -> None:
    angle = build.dome[hand] + build.sulcus[hand]
    lateral = np.clip(sign(hand) * film.x / np.float32(build.half_width), 0, 1.05)
    rise = np.float32(0.35 * level + 1.2) * lateral ** np.float32(4) - np.float32(0.35 * level + 1.2)
    surface = np.float32(angle - level) - rise
    wet = step(film.y - surface, 0.5) * side_mask(film, build, hand)
    # A thin layer climbs in front of and behind the lung, so the edge is soft.
    veil = step(film.y - surface + np.float32(0.35 * level), 1.2) * side_mask(film, build, hand)
    fill(film, np.maximum(wet, np.float32(0.3) * veil), 0.96)


def pneumothorax(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Air between lung and chest wall: a fine pleural line, and no markings beyond it."""
    for hand in sides_of(tag, rng):
        gap = 1.0 + 1.5 * tag.strength
        side = side_mask(film, build, hand)
        distance = np.abs(film.x)
        # Standing up, the air gathers at the apex, so the gap narrows downwards.
        depth = np.clip((film.y - np.float32(build.apex)) / 20, 0, 1)
        here = np.float32(gap) * (1 - np.float32(0.55 if tag.strength < 1.5 else 0.1) * depth)
        margin = cage(build, film.y - np.float32(1.5 * gap)) - here
        margin = np.where(film.y < np.float32(build.apex + 1.5 * gap), np.float32(0), margin)
        beyond = step(distance - margin, 0.12) * side
        inside = (1 - beyond) * side
        film.vessels[...] *= 1 - beyond
        film.density[...] *= 1 - np.float32(0.92) * beyond
        fill(film, inside, 0.05 + 0.1 * tag.strength)
        line = np.exp(-(((distance - margin) / np.float32(0.16)) ** 2)) * side
        film.soft[...] += np.float32(2.6) * line * (film.lung > 2)
    return True


def hydropneumothorax(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A pneumothorax over fluid with a level surface."""
    pneumothorax(film, build, tag, rng)
    for hand in hands(tag, (RIGHT,)):
        surface = build.dome[hand] + build.sulcus[hand] - _level(tag)
        fill(film, step(film.y - np.float32(surface), 0.12) * side_mask(film, build, hand), 0.97)
    return True


def thickening(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A rind inside the chest wall, or a cap over the apex."""
    if not tag.at("pleura"):
        return tag.at("paratracheal") and opacity(film, build, tag, rng)
    inward = cage(build, film.y) - np.abs(film.x)
    wide = 1.0 + 0.5 * tag.strength
    rind = step(np.float32(wide) - inward, 0.2)
    y = film.y - np.float32(build.apex)
    low = step(air_floor(film, build) + 1.0 - film.y, 0.8)
    where = step(5.0 - y, 1.0) if tag.at("apex", "upper lobe") else step(y - 10.0, 2.0) * low
    side = sum((side_mask(film, build, hand) for hand in sides_of(tag, rng)), np.zeros_like(rind))
    fill(film, rind * where * side, 0.8)
    film.soft[...] += np.float32(2.4) * rind * where * side * step(inward, 0.2)
    return True


def scar(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Scars: bands in the lung, a rind on the pleura."""
    return thickening(film, build, tag, rng) if tag.at("pleura") else bands(film, build, tag, rng)


def calcinosis(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Calcium in arteries, valves, lymph nodes, lung or pleura."""
    if tag.at("aorta", "aorta, thoracic", "blood vessels"):
        return aortic_calcium(film, build, tag, rng)
    if tag.at("coronary vessels", "heart", "mitral valve", "aortic valve"):
        x, y = build.heart_centre
        arc = [(x - 0.8, y - 2.2), (x + 0.6, y - 1.6), (x + 1.6, y - 0.4), (x + 1.9, y + 0.8)]
        film.bone[...] += np.float32(2.4) * strokes(film, [Stroke(points=arc, width=0.4)])
        return True
    if tag.at("pleura", "diaphragm"):
        for hand in sides_of(tag, rng):
            plaque = [
                lung_point(build, hand, u, v)
                for u, v in ((0.7, 0.6), (0.9, 0.66), (0.85, 0.78), (0.98, 0.86))
            ]
            film.bone[...] += np.float32(1.8) * strokes(film, [Stroke(points=plaque, width=0.6)])
        return True
    if tag.at("hilum"):
        for hand in sides_of(tag, rng):
            x, y = lung_point(build, hand, 0.06, 0.47)
            dots(film, [(x + rng.normal(0, 0.8), y + rng.normal(0, 0.9)) for _ in range(5)], rng, radius=0.5)
        return True
    if tag.at("mediastinum", "lymph nodes", "trachea, carina", "trachea", "bronchi"):
        x = -1.9 if tag.side == "right" else 1.9 if tag.side == "left" else rng.choice((-1.9, 1.9))
        y = build.hilum_y - 1.5
        dots(film, [(x + rng.normal(0, 0.7), y + rng.normal(0, 1.2)) for _ in range(5)], rng, radius=0.55)
        return True
    if tag.at("abdomen"):
        return granulomas(film, build, tag, rng)
    return tag.at("lung") and granulomas(film, build, tag, rng)


def aortic_calcium(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """The rim of the aortic knob, and a line down the descending aorta."""
    x = build.shift + build.turn + build.mediastinum - 0.35 + build.knob + 0.55 * build.unfold
    y = build.hilum_y - 3.4
    rim = [(x - 2.3, y - 1.5), (x - 1.2, y - 1.75), (x - 0.4, y - 1.0), (x, y), (x - 0.3, y + 1.1)]
    down = [(x - 0.8, y + 3.4), (x - 0.8 + 0.4 * build.unfold, y + 6.0)]
    lines = [Stroke(points=curve(rim), width=0.55), Stroke(points=down, width=0.4, amount=0.7)]
    film.bone[...] += np.float32(2.4 + 1.2 * tag.strength) * strokes(film, lines)
    return True


def hiatal_hernia(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A round shadow behind the heart with an air-fluid level."""
    radius = 2.3 + 0.8 * tag.strength
    at = (1.0 + build.shift, min(build.dome) - 0.55 * radius)
    pouch = ellipsoid(film, at, (1.25 * radius, radius))
    film.soft[...] += np.float32(4.5) * pouch
    film.gas[...] += (
        np.float32(9.0) * ellipsoid(film, at, (0.95 * radius, 0.8 * radius)) * step(at[1] - film.y, 0.12)
    )
    return True


def epicardial_fat(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A triangular density in the cardiophrenic angle."""
    for hand in hands(tag, (LEFT,)):
        x, y = build.heart_centre
        edge = x + sign(hand) * 0.5 * build.heart_width
        film.soft[...] += np.float32(4.0) * blob(film, (edge, y + 2.8), (1.3, 1.2))
    return True


def obscured_heart(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Opacity along the border of the heart (silhouette sign)."""
    if not tag.has("obscured", "irregular"):
        return False
    x, y = build.heart_centre
    for hand in hands(tag):
        at = (x + sign(hand) * 0.5 * build.heart_width, y)
        fill(film, blob(film, at, (1.8, 2.8)), 0.75)
    return True


def obscured_diaphragm(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Opacity over a half of the diaphragm."""
    if not tag.has("obscured"):
        return False
    above = step(film.y - air_floor(film, build) + 2.2, 1.0)
    for hand in hands(tag):
        fill(film, above * side_mask(film, build, hand), 0.75)
    return True


def free_air(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A crescent of air under the right dome."""
    below = film.y - air_floor(film, build)
    crescent = step(below - 0.3, 0.1) * step(1.7 - below, 0.3) * side_mask(film, build, RIGHT)
    film.gas[...] += (
        np.float32(7.0) * crescent * blob(film, (-0.5 * build.half_width, build.dome[RIGHT]), (3.0, 3.0))
    )
    return True


def wall_air(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Streaks of air in the soft tissue outside the ribs."""
    streaks = np.exp(-((texture(film, rng, 30) / np.float32(0.35)) ** 2))
    outside = step(np.abs(film.x) - cage(build, film.y) - 0.4, 0.3) * (film.body > 4)
    sides = sum((side_mask(film, build, hand) for hand in hands(tag)), np.zeros_like(streaks))
    film.gas[...] += np.float32(3.0) * streaks * outside * sides
    return True


def nipple(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Nipple shadows: a small soft disc low on each side."""
    for hand in hands(tag):
        at = (sign(hand) * 0.62 * build.half_width, min(build.dome) - 0.6)
        film.soft[...] += ellipsoid(film, at, (0.65, 0.65), depth=3.0)
    return True
