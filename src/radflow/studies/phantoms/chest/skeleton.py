"""Draw a healthy skeleton: ribs, shoulder girdle, spine. Bones are tubes with a dense cortex."""

from __future__ import annotations

import math

import numpy as np

from radflow.studies.phantoms.chest.build import HANDS, Build, Hand, cage, cage_at, sign, spine_x
from radflow.studies.phantoms.chest.film import Film, Point, Stroke, ellipsoid, polygon, strokes


def draw_skeleton(film: Film, build: Build, rng: np.random.Generator) -> None:
    """Add ribs, clavicles, scapulae, upper arms and the spine to the film."""
    _ribs(film, build, rng)
    _shoulder_girdle(film, build)
    _spine(film, build)


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
