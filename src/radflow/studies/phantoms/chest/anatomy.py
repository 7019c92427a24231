"""Draw a healthy chest on a film, from the outside in."""

from __future__ import annotations

import math

import numpy as np

from radflow.studies.phantoms.chest.build import (
    HANDS,
    LEFT,
    RIGHT,
    Build,
    Hand,
    cage,
    diaphragm,
    sign,
    spine_line,
)
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
from radflow.studies.phantoms.chest.skeleton import draw_skeleton


def draw_anatomy(film: Film, build: Build, rng: np.random.Generator) -> None:
    """Draw trunk, lungs, heart, great vessels, airways, abdomen and skeleton on a blank film."""
    _trunk(film, build, rng)
    _lungs(film, build, rng)
    _mediastinum(film, build)
    _vessels(film, build, rng)
    _gas(film, build, rng)
    draw_skeleton(film, build, rng)
    _marker(film, rng)


def side_mask(film: Film, build: Build, hand: Hand) -> Map:
    """Return 1 on one side of the midline, 0 on the other."""
    return step(sign(hand) * (film.x - np.float32(build.shift)), 0.3)


def air_floor(film: Film, build: Build) -> Map:
    """Height of the diaphragm at every pixel of its own side."""
    distance = np.abs(film.x)
    return np.where(film.x < 0, diaphragm(build, RIGHT, distance), diaphragm(build, LEFT, distance))


def _trunk(film: Film, build: Build, rng: np.random.Generator) -> None:
    wall = build.half_width + build.fat + 1.2
    heights = (0, build.apex - 2.6, build.apex, build.apex + 2.2, build.apex + 8, build.apex + 12, 30, 38)
    widths = (5.4, 6.4, 12.5, 19.5, 21.0, wall + 1.5, wall, wall + 0.3)
    half = np.interp(film.y, heights, widths).astype(np.float32)
    thick = np.interp(film.y, (0, build.apex, build.apex + 7, 26, 38), (0.6, 0.66, 1, 0.96, 0.94))
    chord = np.sqrt(np.maximum(1 - (film.x / half) ** 2, 0))
    film.body[...] = np.float32(build.depth) * thick.astype(np.float32) * chord
    film.soft[...] += np.float32(0.25) * texture(film, rng, 9) * (film.body > 1)
    for hand in HANDS:
        if build.breasts[hand]:
            centre = (sign(hand) * 0.6 * build.half_width, min(build.dome) - 1.0)
            film.soft[...] += ellipsoid(film, centre, (5.6, 5.0), depth=build.breasts[hand])


def _lungs(film: Film, build: Build, rng: np.random.Generator) -> None:
    outer = np.maximum(cage(build, film.y), np.float32(0.1))
    profile = np.sqrt(np.maximum(1 - (film.x / outer) ** 2, 0))
    v = np.clip((film.y - np.float32(build.apex)) / 18, 0, 1)
    front_to_back = np.float32(build.depth - 5.0) * (np.float32(0.42) + np.float32(0.58) * np.sqrt(v))
    floor = air_floor(film, build)
    above = step(floor - film.y, 0.16)
    # Lung also reaches down behind the domes: a little air below them, fading into the sulcus.
    behind = np.float32(0.16) * (1 - above) * np.exp(-np.maximum(film.y - floor, 0) / np.float32(2.2))
    film.lung[...] = front_to_back * profile * (above + behind)
    haze = np.float32(0.012) * texture(film, rng, 24) + np.float32(0.01) * texture(film, rng, 48)
    film.density[...] = np.clip(np.float32(build.lung_density) + haze, 0.03, 0.9)


def _mediastinum(film: Film, build: Build) -> None:
    """Heart, aorta, great veins and hila, taking the place of lung."""
    lean = np.float32(build.shift + build.turn) + np.float32(0.6) * spine_line(build, film.y)
    x = film.x - lean
    top = np.float32(build.mediastinum)
    apical = np.float32(2.2) * np.clip(1 - (film.y - np.float32(build.apex)) / 2.2, 0, 1) ** 2
    right_edge = top + apical + np.float32(build.unfold * 0.75) * _bump(film.y, build.hilum_y - 2.0, 2.6)
    left_edge = top + apical - np.float32(0.3)
    left_edge = left_edge + np.float32(build.knob + 0.55 * build.unfold) * _bump(
        film.y, build.hilum_y - 3.4, 1.25
    )
    left_edge = left_edge + np.float32(build.unfold * 0.8) * _bump(film.y, build.hilum_y + 1.5, 4.2)
    left_edge = left_edge + np.float32(0.5) * _bump(film.y, build.hilum_y - 0.4, 1.1)
    edge = np.where(x < 0, right_edge, left_edge)
    block = step(np.abs(x) - edge, 0.16)
    film.lung[...] *= np.float32(0.12) + np.float32(0.88) * block
    film.lung[...] = np.maximum(film.lung - heart(film, build), np.float32(0.1) * film.lung)
    for hand in HANDS:
        size = build.hila[hand]
        centre = (sign(hand) * (build.mediastinum + 0.9) + build.shift, build.hilum_y + 0.5 * (hand == RIGHT))
        film.soft[...] += np.float32(2.3 * size) * blob(film, centre, (0.95 * size**0.5, 1.45 * size**0.5))


def heart(film: Film, build: Build) -> Map:
    """Chord through the heart: a tilted ellipsoid for the ventricles and one for the right atrium."""
    half = build.heart_width / 2
    x, y = build.heart_centre
    tilt = 0.55
    # The tilted ellipse spans half in x: long^2 cos^2 + short^2 sin^2 = half^2.
    long = half / float(np.sqrt(np.cos(tilt) ** 2 + (build.heart_height * 0.8 * np.sin(tilt)) ** 2))
    ventricles = ellipsoid(film, (x, y), (long, 0.8 * build.heart_height * long), depth=13.5, tilt=tilt)
    atrium = ellipsoid(film, (x - 0.42 * half, y - 0.2), (0.58 * half, 4.4 * build.heart_height), depth=12.5)
    root = ellipsoid(film, (x - 0.3 * half, y - 4.2), (3.1, 4.6), depth=10.5)
    return np.maximum(np.maximum(ventricles, atrium), root)


def _bump(y: Map, centre: float, width: float) -> Map:
    return np.exp(-0.5 * ((y - np.float32(centre)) / np.float32(width)) ** 2)


def _vessels(film: Film, build: Build, rng: np.random.Generator) -> None:
    lines: list[Stroke] = []
    for hand in HANDS:
        x = sign(hand) * (build.mediastinum + 0.6) + build.shift
        for angle in np.linspace(-1.35, 1.45, 11):
            strength = build.vessels * (0.6 * build.upper_vessels if angle < 0 else 1.0)
            start = (x, build.hilum_y + 1.2 * float(angle))
            _branch(lines, start, float(angle) + rng.normal(0, 0.08), sign(hand), 0.42 * strength, 4, rng)
    lines.sort(key=lambda line: line.width)
    film.vessels[...] = np.float32(1.7) * strokes(film, lines) * np.minimum(film.lung / 4, 1)


def _branch(
    lines: list[Stroke],
    start: Point,
    heading: float,
    outward: int,
    width: float,
    order: int,
    rng: np.random.Generator,
) -> None:
    """Grow one vessel: a slightly bent segment, then two thinner ones at its end."""
    length, bend, fork = (rng.random(3) * (1.2, 0.4, 0.28) + (1.7, -0.2, 0.22)).tolist()
    step_cm = length * (0.75 + 0.1 * order) / 3
    points = [start]
    for piece in range(3):
        x, y = points[-1]
        direction = heading + bend * piece
        points.append((x + outward * step_cm * math.cos(direction), y + step_cm * math.sin(direction)))
    lines.append(Stroke(points=points, width=width, amount=min(1.0, 0.3 + width)))
    if order > 1:
        for turn in (fork, -fork):
            _branch(lines, points[-1], heading + bend + turn, outward, 0.66 * width, order - 1, rng)


def _gas(film: Film, build: Build, rng: np.random.Generator) -> None:
    """Trachea and main bronchi; the gastric bubble under the left dome; bowel gas."""
    carina = build.hilum_y - 1.6
    x = build.shift + build.turn - 0.2 + 0.5 * build.curve
    down: list[Point] = [(x + 0.2, -1), (x, build.apex), (x - 0.15 * build.unfold, carina)]
    airway = [
        Stroke(points=down, width=1.6),
        Stroke(points=[(x, carina - 0.3), (x - 2.6, carina + 2.4)], width=1.1, amount=0.7),
        Stroke(points=[(x, carina - 0.3), (x + 3.2, carina + 2.2)], width=1.0, amount=0.7),
    ]
    film.gas[...] += np.float32(2.4) * strokes(film, airway)
    if rng.random() < 0.75:
        at = (rng.uniform(4.5, 7.5), build.dome[LEFT] + rng.uniform(1.9, 2.4))
        film.gas[...] += ellipsoid(film, at, (rng.uniform(1.6, 2.8), rng.uniform(1.0, 1.5)), depth=4.5)
    for _ in range(4):
        at = (rng.uniform(-8, 9), rng.uniform(32, 38))
        film.gas[...] += ellipsoid(film, at, (rng.uniform(0.6, 1.3), rng.uniform(0.5, 1.0)), depth=2.0)


def _marker(film: Film, rng: np.random.Generator) -> None:
    """A lead ``L`` beside the patient's left shoulder."""
    x, y = rng.uniform(15.5, 17.0), rng.uniform(1.2, 2.4)
    film.metal[...] += strokes(film, [Stroke(points=[(x, y), (x, y + 1.2), (x + 0.7, y + 1.2)], width=0.22)])
