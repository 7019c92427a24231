"""Things put into or onto the patient: lines, tubes, pacemakers, wires, clips, stents.

Open-i's reports say what the tags mean: "Implanted Medical Device" is nearly always a pacemaker or
defibrillator, "Medical Device" are ECG leads on the skin, "Surgical Instruments" are clips (with sternotomy
wires where they are mediastinal). Each function returns whether it could draw the tag.
"""

from __future__ import annotations

import numpy as np

from radflow.studies.phantoms.chest.build import LEFT, RIGHT, Build, Hand, sign, spine_x
from radflow.studies.phantoms.chest.film import Film, Point, Stroke, curve, ellipsoid, polygon, strokes
from radflow.studies.phantoms.chest.places import sides_of, spots
from radflow.studies.phantoms.chest.shapes import hands
from radflow.studies.phantoms.chest.tags import Tag


def implant(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A pacemaker with two leads; a prosthetic valve, shoulder or spinal hardware where the tag says so."""
    if tag.at("aortic valve", "mitral valve"):
        return _valve(film, build, tag)
    if tag.at("humerus", "shoulder"):
        for hand in sides_of(tag, rng):
            s, y = sign(hand), build.apex
            stem = [(s * 17.4, y + 2.2), (s * 17.9, y + 6), (s * 18.5, y + 11)]
            film.metal[...] += ellipsoid(film, (s * 16.9, y + 2.3), (2.0, 2.0), depth=0.9)
            film.metal[...] += np.float32(0.7) * strokes(film, [Stroke(points=stem, width=1.1)])
        return True
    if tag.at("thoracic vertebrae", "spine", "cervical vertebrae", "lumbar vertebrae"):
        return spinal_hardware(film, build, tag, rng)
    if tag.at("abdomen", "breast", "neck"):
        return False
    for hand in hands(tag, (LEFT,)):
        _pacemaker(film, build, hand, rng)
    return True


def _pacemaker(film: Film, build: Build, hand: Hand, rng: np.random.Generator) -> None:
    s, y = sign(hand), build.apex + rng.uniform(4.2, 5.2)
    x = s * rng.uniform(9.2, 10.2)
    can = [(x - 2.0, y - 1.6), (x + 1.6, y - 1.9), (x + 2.1, y + 0.9), (x + 0.4, y + 2.0), (x - 1.8, y + 1.6)]
    film.metal[...] += np.float32(0.8) * polygon(film, can)
    cx, cy = build.heart_centre
    half = build.heart_width / 2
    vein: list[Point] = [
        (x, y - 1.2),
        (s * 6.0, build.apex + 2.2),
        (s * 2.6, build.apex + 3.6),
        (-1.6, build.apex + 6.5),
    ]
    ventricle: list[Point] = [*vein, (-1.9, cy - 2), (0.5, cy + 2.4), (cx + 0.5 * half, cy + 2.8)]
    atrium: list[Point] = [*vein, (-1.7, cy - 2), (-2.6, cy - 1.2), (-3.0, cy - 2.6)]
    leads = [Stroke(points=curve(ventricle), width=0.26), Stroke(points=curve(atrium), width=0.26)]
    film.metal[...] += np.float32(0.45) * strokes(film, leads)


def _valve(film: Film, build: Build, tag: Tag) -> bool:
    x, y = build.heart_centre
    at = (x - 1.0, y - 2.4) if tag.at("aortic valve") else (x + 0.9, y + 0.2)
    ring = ellipsoid(film, at, (1.6, 1.1), tilt=0.6) > 0
    hole = ellipsoid(film, at, (1.15, 0.7), tilt=0.6) > 0
    film.metal[...] += np.float32(0.5) * (ring & ~hole)
    return True


def skin_leads(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """ECG electrodes and their wires over the chest; other hardware where a spine or breast is named."""
    if tag.at("spine"):
        return spinal_hardware(film, build, tag, rng)
    if tag.at("breast"):
        return False
    lines = []
    for x, y in ((-9.5, 9.0), (9.5, 9.0), (8.5, 24.0)):
        if tag.side and (x < 0) != (tag.side == "right"):
            continue
        x, y = x + rng.normal(0, 0.5), y + rng.normal(0, 0.5)
        film.metal[...] += ellipsoid(film, (x, y), (0.75, 0.75), depth=0.6)
        bend = [
            (x, y),
            (x + rng.normal(0, 1), y + 6),
            (x + rng.normal(0, 2), y + 14),
            (12 * np.sign(x), 38.0),
        ]
        lines.append(Stroke(points=curve(bend), width=0.22))
    film.metal[...] += np.float32(0.25) * strokes(film, lines)
    return True


def catheter(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A central venous line from a subclavian vein or port down to the superior vena cava."""
    if tag.at("abdomen", "thoracic vertebrae", "spine"):
        return False
    lines = []
    for hand in hands(tag, (RIGHT,)):
        s, y = sign(hand), build.apex
        start = s * rng.uniform(8.5, 10.5)
        tip = build.hilum_y + rng.uniform(-0.5, 3.0)
        path = [
            (start, y + 6.5),
            (s * 8.6, y + 3.4),
            (s * 6.2, y + 2.0),
            (s * 3.2, y + 3.0),
            (-1.5, y + 5.6),
            (-1.9, tip),
        ]
        lines.append(Stroke(points=curve(path), width=0.3))
        if rng.random() < 0.6:
            film.metal[...] += ellipsoid(film, (start, y + 7.0), (1.25, 1.25), depth=0.45)
    film.metal[...] += np.float32(0.4) * strokes(film, lines)
    return True


def tube(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Endotracheal tube (``trachea``), chest tube (a side), else a tube through the gullet to the stomach."""
    x = build.shift + build.turn - 0.2
    if tag.at("trachea", "trachea, carina"):
        path: list[Point] = [(x + 0.2, -1.0), (x, build.apex), (x, build.hilum_y - 4.2)]
        film.metal[...] += np.float32(0.35) * strokes(film, [Stroke(points=curve(path), width=0.55)])
        return True
    if tag.side and not tag.at("abdomen"):
        for hand in hands(tag):
            s = sign(hand)
            path = [(s * 17.0, 25.0), (s * 12.5, 22.5), (s * 10.0, 15.0), (s * 6.0, build.apex + 3.5)]
            film.metal[...] += np.float32(0.35) * strokes(film, [Stroke(points=curve(path), width=0.6)])
        return True
    path = [(x, -1.0), (x + 0.3, 12.0), (x + 0.4, 22.0), (2.4, 26.5), (5.6, 29.0), (6.8, 31.0)]
    film.metal[...] += np.float32(0.4) * strokes(film, [Stroke(points=curve(path), width=0.38)])
    return True


def clips(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Surgical clips; in the mediastinum those of a coronary bypass, with the wires of its sternotomy."""
    lines: list[Stroke] = []
    if tag.at("abdomen"):
        lines += _scatter(((-4.5, 32.5),) if tag.side != "left" else ((6.0, 31.0),), rng, count=5)
    elif tag.at("breast"):
        lines += _scatter([(sign(h) * 10.8, min(build.dome) - 7.0) for h in hands(tag)], rng, count=4)
    elif tag.at("neck"):
        lines += _scatter(((-2.2, 2.0), (2.2, 2.0)), rng, count=3)
    elif tag.at("lung") or tag.side:
        lines += _scatter([spot.centre for spot in spots(build, tag, rng)], rng, count=4)
    else:
        x, y = build.heart_centre
        lines += _scatter(
            ((x + 0.2 * build.heart_width, y - 3.5), (x + 0.35 * build.heart_width, y)), rng, count=4
        )
        sternotomy(film, build, tag, rng)
    film.metal[...] += np.float32(0.8) * strokes(film, lines)
    return True


def _scatter(
    centres: tuple[Point, ...] | list[Point], rng: np.random.Generator, *, count: int
) -> list[Stroke]:
    lines = []
    for x, y in centres:
        for _ in range(count):
            a, b, turn = x + rng.normal(0, 0.9), y + rng.normal(0, 0.9), rng.uniform(0, np.pi)
            step = (0.5 * float(np.cos(turn)), 0.5 * float(np.sin(turn)))
            lines.append(Stroke(points=[(a - step[0], b - step[1]), (a + step[0], b + step[1])], width=0.36))
    return lines


def sternotomy(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Wire loops down the midline."""
    lines = []
    for y in np.linspace(build.apex + 4.0, min(build.dome) - 3.0, 6):
        x = 0.4 * build.turn + rng.normal(0, 0.12)
        loop: list[Point] = [(x - 0.8, y), (x, y - 0.45), (x + 0.8, y), (x, y + 0.45), (x - 0.8, y)]
        lines.append(Stroke(points=loop, width=0.3))
    film.metal[...] += np.float32(0.6) * strokes(film, lines)
    return True


def sutures(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Staple lines in the lung; wires in the sternum."""
    return clips(film, build, tag, rng) if tag.at("lung") else sternotomy(film, build, tag, rng)


def spinal_hardware(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Two rods with screws, or a short plate in the neck."""
    spans = {"cervical vertebrae": (0.6, 4.4), "lumbar vertebrae": (29.5, 37.5)}
    low, high = next((span for site, span in spans.items() if tag.at(site)), (11.0, 27.0))
    lines = []
    for offset in (-0.9, 0.9):
        rod: list[Point] = [(spine_x(build, float(y)) + offset, float(y)) for y in np.linspace(low, high, 7)]
        lines.append(Stroke(points=rod, width=0.42))
        lines += [Stroke(points=[(x - 0.5, y), (x + 0.5, y)], width=0.4) for x, y in rod]
    film.metal[...] += np.float32(0.7) * strokes(film, lines)
    return True


def stent(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A tube of mesh in the coronary arteries, the aorta or the bile duct."""
    x, y = build.heart_centre
    if tag.at("aorta"):
        path: list[Point] = [(1.2, build.hilum_y - 3), (2.0, build.hilum_y - 1), (1.4, build.dome[LEFT])]
        width, metal = 2.0, 0.12
    elif tag.at("abdomen"):
        path, width, metal = [(-3.0, 31.5), (-1.6, 34.0)], 0.8, 0.4
    else:
        path, width, metal = [(x + 0.6, y - 3.0), (x + 1.8, y - 1.6)], 0.6, 0.5
    film.metal[...] += np.float32(metal) * strokes(film, [Stroke(points=curve(path), width=width)])
    return True


def foreign_body(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """A small bright object: a pellet, a piercing, a fragment."""
    if tag.at("breast"):
        centres = [(sign(hand) * 0.6 * build.half_width, min(build.dome) + 0.5) for hand in hands(tag)]
    elif tag.at("abdomen"):
        centres = [(rng.uniform(-7, 7), rng.uniform(32, 36))]
    elif tag.at("shoulder"):
        centres = [(sign(hand) * 15.5, build.apex + 4.5) for hand in sides_of(tag, rng)]
    else:
        centres = [spot.centre for spot in spots(build, tag, rng)]
    for centre in centres:
        film.metal[...] += ellipsoid(film, centre, (0.5, 0.5), depth=0.8)
    return True


def contrast_medium(film: Film, build: Build, tag: Tag, rng: np.random.Generator) -> bool:
    """Barium in the bowel or gullet."""
    if tag.at("esophagus"):
        path: list[Point] = [(0.4, 6.0), (0.8, 16.0), (2.2, 26.0)]
        film.metal[...] += np.float32(0.3) * strokes(film, [Stroke(points=curve(path), width=0.9)])
        return True
    for _ in range(5):
        at = (rng.uniform(1, 10) if tag.side == "left" else rng.uniform(-9, 9), rng.uniform(31, 37))
        film.metal[...] += ellipsoid(film, at, (1.3, 0.9), depth=0.4)
    return True
