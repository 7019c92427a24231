"""Draw a healthy chest on a film, from the outside in. Bones are tubes with a dense cortex."""

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
    cage_at,
    diaphragm,
    sign,
    spine_line,
    spine_x,
)
from radflow.studies.phantoms.chest.film import (
    Film,
    Map,
    Point,
    Stroke,
    blob,
    ellipsoid,
    polygon,
    step,
    strokes,
    texture,
)


def draw_anatomy(film: Film, build: Build, rng: np.random.Generator) -> None:
    """Draw trunk, lungs, heart, great vessels, airways, abdomen and skeleton on a blank film."""
    _trunk(film, build, rng)
    _lungs(film, build, rng)
    _mediastinum(film, build)
    _vessels(film, build, rng)
    _gas(film, build, rng)
    _ribs(film, build, rng)
    _shoulder_girdle(film, build)
    _spine(film, build)
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


# ---- ribs, shoulder girdle, spine --------------------------------------------------------------------------


def posterior_rib(build: Build, hand: Hand, number: int) -> list[Point]:
    """Return the centre line of a posterior rib (0 is the first) from the spine to the chest wall."""
    spread = (max(build.dome) - build.apex) / 20.0
    start = build.apex - 0.4 + number * 2.05 * spread**0.5
    drop = (1.0 + 0.52 * number) / spread
    outer = cage_at(build, start + drop + 0.4) + 0.15
    root = spine_x(build, start) + sign(hand) * 1.7
    points = []
    for s in np.linspace(0, 1, 13).tolist():
        y = start - 1.1 * math.sin(math.pi * min(1.0, 1.25 * s)) * min(1.0, 0.4 + number / 5) + drop * s**2.2
        out = math.sin(0.5 * math.pi * s) ** 0.9
        points.append((root + (sign(hand) * outer - root) * out, y))
    return points


def anterior_rib(build: Build, hand: Hand, number: int) -> list[Point]:
    """Return the centre line of an anterior rib, from the chest wall down to its cartilage."""
    edge_x, edge_y = posterior_rib(build, hand, number)[-1]
    inner = sign(hand) * (3.6 + 0.42 * number)
    return [
        (edge_x + (inner - edge_x) * float(s), edge_y + 4.3 * float(s) ** 0.75)
        for s in np.linspace(0, 0.9, 7)
    ]


def _ribs(film: Film, build: Build, rng: np.random.Generator) -> None:
    back, front = [], []
    for hand in HANDS:
        for number in range(11):
            points, wide = posterior_rib(build, hand, number), rng.uniform(0.78, 0.92)
            back += [
                Stroke(points=points, width=wide, amount=1.0),
                Stroke(points=points, width=wide - 0.34, amount=0.5),
            ]
        for number in range(8):
            points, wide = anterior_rib(build, hand, number), rng.uniform(0.85, 1.0)
            front += [
                Stroke(points=points, width=wide, amount=0.5),
                Stroke(points=points, width=wide - 0.3, amount=0.3),
            ]
    film.bone[...] += np.float32(0.8 * build.bone) * (
        strokes(film, back) + np.float32(0.9) * strokes(film, front)
    )
    # Seen edge-on, the side wall of the cage is a bright line just outside the lung.
    outer = cage(build, film.y)
    wall = np.exp(-(((np.abs(film.x) - outer - np.float32(0.25)) / np.float32(0.45)) ** 2))
    film.bone[...] += np.float32(0.45 * build.bone) * wall * (film.y > build.apex + 3) * (film.y < 33)


def _shoulder_girdle(film: Film, build: Build) -> None:
    bone = []
    for hand in HANDS:
        s, y = sign(hand), build.apex
        slip = build.turn
        clavicle = [
            (s * 1.7 + slip, y + 2.6),
            (s * 5, y + 2.0),
            (s * 9, y + 0.6),
            (s * 13, y - 0.3),
            (s * 16, y + 0.1),
        ]
        bone += [
            Stroke(points=clavicle, width=1.15, amount=1.0),
            Stroke(points=clavicle, width=0.7, amount=0.65),
        ]
        blade = [
            (s * 15.6, y + 1.0),
            (s * 12.3, y + 1.5),
            (s * 12.6, y + 10.5),
            (s * 13.6, y + 10.0),
            (s * 16, y + 4),
        ]
        film.bone[...] += np.float32(0.3 * build.bone) * polygon(film, blade)
        head = ellipsoid(film, (s * 17.3, y + 2.6), (2.2, 2.3), depth=1.5)
        film.bone[...] += np.float32(build.bone) * head
        arm = [(s * 17.9, y + 3.5), (s * 18.6, y + 12)]
        bone.append(Stroke(points=arm, width=2.0, amount=0.7))
    film.bone[...] += np.float32(0.75 * build.bone) * strokes(film, bone)


def _spine(film: Film, build: Build) -> None:
    bodies, discs = [], []
    y = 0.3
    while y < 39:
        tall = 1.55 + 0.022 * y
        x, half = spine_x(build, y), 1.35 + 0.016 * y
        bodies.append(Stroke(points=[(x, y - tall / 2), (x, y + tall / 2)], width=2 * half, amount=0.75))
        bodies += [
            Stroke(points=[(x + s * 0.8, y - 0.35), (x + s * 0.8, y + 0.2)], width=0.55) for s in (-1, 1)
        ]
        bodies.append(Stroke(points=[(x, y), (x, y + 0.9)], width=0.5, amount=1.0))
        discs.append(
            Stroke(points=[(x - half, y + tall / 2 + 0.12), (x + half, y + tall / 2 + 0.12)], width=0.24)
        )
        y += tall + 0.24
    film.bone[...] += np.float32(1.6 * build.bone) * strokes(film, bodies)
    film.bone[...] -= np.float32(0.5 * build.bone) * strokes(film, discs)
