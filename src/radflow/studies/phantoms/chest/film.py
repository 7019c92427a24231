"""The film: maps of what each ray passes, and their projection to grey values.

Every map holds centimetres along the ray, one value per pixel, so the picture is one Beer-Lambert sum::

    L = mu_water (body + soft - gas - lung (1 - density)) + (mu_bone - mu_water) bone + mu_metal metal
    I = exp(-L) + scatter,   pixel = S(-log I + noise)

with ``S`` the sigmoid of a film's characteristic curve. Coordinates are centimetres: ``x`` from the patient's
midline, positive towards the patient's left, which is the image's right; ``y`` downwards from the top edge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw

FIELD_CM = 38.0
"""Side of the square film."""
MU_WATER, MU_BONE, MU_METAL = 0.20, 0.55, 5.0
"""Linear attenuation, 1/cm: near 60 keV for tissue; metal is any value that stops most of the ray."""
SUPERSAMPLE = 2

Map = Float32[np.ndarray, "H W"]
Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How the patient stands before the film: shift in cm, in-plane tilt in radians."""

    shift_x: float = 0.0
    shift_y: float = 0.0
    tilt: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Film:
    """Maps of one exposure, in cm along the ray. The arrays are drawn upon in place.

    Attributes:
        size: pixels per side.
        pose: of the patient; ``x`` and ``y`` are already in the patient's coordinates.
        x, y: coordinates of the pixel centres, cm.
        body: soft tissue of the trunk as if it were solid.
        lung: aerated lung that takes the place of body.
        density: of that lung, 0 air to 1 water.
        soft: water-like tissue on top of body (vessels apart).
        vessels: lung vessels, kept apart because a pneumothorax takes them away.
        gas: air outside the lung (trachea, stomach).
        bone, metal: what they say.
    """

    size: int
    pose: Pose
    x: Map
    y: Map
    body: Map
    lung: Map
    density: Map
    soft: Map
    vessels: Map
    gas: Map
    bone: Map
    metal: Map
    pixel_cm: float

    @classmethod
    def blank(cls, size: int, pose: Pose) -> Film:
        """Return an unexposed film of ``size`` pixels per side."""
        axis = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(FIELD_CM / size)
        column, row = np.meshgrid(axis - FIELD_CM / 2 - pose.shift_x, axis - pose.shift_y)
        cos, sin = np.float32(math.cos(pose.tilt)), np.float32(math.sin(pose.tilt))
        middle = np.float32(FIELD_CM / 2)
        maps = np.zeros((8, size, size), dtype=np.float32)
        return cls(
            size=size,
            pose=pose,
            x=cos * column + sin * (row - middle),
            y=middle - sin * column + cos * (row - middle),
            **dict(
                zip(("body", "lung", "density", "soft", "vessels", "gas", "bone", "metal"), maps, strict=True)
            ),
            pixel_cm=FIELD_CM / size,
        )

    def pixels(self, points: Iterable[Point], scale: float = 1.0) -> list[Point]:
        """Map patient coordinates in cm to pixel coordinates, times ``scale``."""
        cos, sin, middle = math.cos(self.pose.tilt), math.sin(self.pose.tilt), FIELD_CM / 2
        unit = scale / self.pixel_cm
        return [
            (
                unit * (cos * x - sin * (y - middle) + middle + self.pose.shift_x),
                unit * (sin * x + cos * (y - middle) + middle + self.pose.shift_y),
            )
            for x, y in points
        ]


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """A line of ``width`` cm through ``points``; ``amount`` (0 to 1) is what it leaves on the map."""

    points: Sequence[Point]
    width: float
    amount: float = 1.0


def strokes(film: Film, lines: Iterable[Stroke]) -> Map:
    """Draw lines, later ones over earlier ones; return their map, 0 to 1, widths right to a sub-pixel."""
    canvas = Image.new("L", (film.size * SUPERSAMPLE, film.size * SUPERSAMPLE))
    pen = ImageDraw.Draw(canvas)
    for line in lines:
        exact = line.width * SUPERSAMPLE / film.pixel_cm
        width = max(1, round(exact + 0.4))
        # A line thinner than a sub-pixel keeps its mass, not its width, so all film sizes agree.
        shade = round(255 * min(1.0, line.amount * min(1.0, exact / width)))
        pen.line(film.pixels(line.points, SUPERSAMPLE), fill=shade, width=width)
    return _reduced(canvas)


def curve(points: Sequence[Point], rounds: int = 2) -> list[Point]:
    """Round the corners of a line (Chaikin), keeping its ends.

    >>> curve([(0, 0), (4, 0), (4, 4)], rounds=1)
    [(0, 0), (3.0, 0.0), (4.0, 1.0), (4, 4)]
    """
    line = list(points)
    for _ in range(rounds):
        inner: list[Point] = []
        for (ax, ay), (bx, by) in pairwise(line):
            inner += [
                (0.75 * ax + 0.25 * bx, 0.75 * ay + 0.25 * by),
                (0.25 * ax + 0.75 * bx, 0.25 * ay + 0.75 * by),
            ]
        line = [line[0], *inner[1:-1], line[-1]]
    return line


def polygon(film: Film, outline: Sequence[Point]) -> Map:
    """Return the map, 0 to 1, of a filled outline, anti-aliased."""
    canvas = Image.new("L", (film.size * SUPERSAMPLE, film.size * SUPERSAMPLE))
    ImageDraw.Draw(canvas).polygon(film.pixels(outline, SUPERSAMPLE), fill=255)
    return _reduced(canvas)


def _reduced(canvas: Image.Image) -> Map:
    return np.asarray(canvas.reduce(SUPERSAMPLE), dtype=np.float32) / np.float32(255)


def ellipsoid(film: Film, centre: Point, radii: Point, *, depth: float = 1.0, tilt: float = 0.0) -> Map:
    """Return the chord through an ellipsoid: ``depth`` at its centre, 0 at its edge. ``tilt`` in radians."""
    chord = np.zeros_like(film.x)
    near = _window(film, centre, max(radii))
    dx, dy = film.x[near] - np.float32(centre[0]), film.y[near] - np.float32(centre[1])
    cos, sin = np.float32(math.cos(tilt)), np.float32(math.sin(tilt))
    along, across = cos * dx + sin * dy, cos * dy - sin * dx
    inside = 1 - (along / np.float32(radii[0])) ** 2 - (across / np.float32(radii[1])) ** 2
    chord[near] = np.float32(depth) * np.sqrt(np.maximum(inside, 0))
    return chord


def _window(film: Film, centre: Point, radius: float) -> tuple[slice, slice]:
    """Rows and columns within ``radius`` cm of a point."""
    ((x, y),) = film.pixels([centre])
    reach = radius / film.pixel_cm + 1
    rows, columns = (slice(max(0, int(at - reach)), max(0, math.ceil(at + reach))) for at in (y, x))
    return rows, columns


def blob(film: Film, centre: Point, radii: Point) -> Map:
    """Return a Gaussian bump, 1 at its centre, with standard deviations ``radii``."""
    return np.exp(
        -0.5 * ((film.x - np.float32(centre[0])) / np.float32(radii[0])) ** 2
        - 0.5 * ((film.y - np.float32(centre[1])) / np.float32(radii[1])) ** 2
    )


def step(values: Map, softness: float) -> Map:
    """Return a smooth 0-to-1 step at zero, ``softness`` wide.

    >>> step(np.array([[-9.0, 0.0, 9.0]], dtype=np.float32), 1.0).round(3).tolist()
    [[0.0, 0.5, 1.0]]
    """
    return np.float32(0.5) + np.float32(0.5) * np.tanh(values / np.float32(softness))


def texture(film: Film, rng: np.random.Generator, cells: int) -> Map:
    """Return smooth noise of unit variance with ``cells`` cells per side; the same at every film size."""
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    smooth = Image.fromarray(coarse).resize((film.size, film.size), Image.Resampling.BICUBIC)
    return np.asarray(smooth, dtype=np.float32) * np.float32(1.4)


def expose(
    film: Film, rng: np.random.Generator, *, centre: float, contrast: float, photons: float
) -> UInt8[np.ndarray, "H W"]:
    """Project the maps and develop the film.

    Args:
        film: the maps.
        rng: for quantum noise.
        centre: optical depth that becomes mid grey.
        contrast: slope of the characteristic curve there.
        photons: that a 0.15 cm square of film would count without a patient.
    """
    aerated = film.lung * (1 - film.density)
    water = np.maximum(film.body + film.soft + film.vessels - film.gas - aerated, 0)
    depth = MU_WATER * water + (MU_BONE - MU_WATER) * film.bone + MU_METAL * film.metal
    primary = np.exp(-depth)
    count = primary + _scatter(primary)
    noise = rng.standard_normal(count.shape, dtype=np.float32) * np.float32(0.15 / film.pixel_cm)
    grey = -np.log(count) + noise / np.sqrt(np.float32(photons) * count)
    developed = 1 / (1 + np.exp(np.float32(-contrast) * (grey - np.float32(centre))))
    return np.clip(255 * developed + 0.5, 0, 255).astype(np.uint8)


def _scatter(primary: Map, share: float = 0.35) -> Map:
    """Scattered radiation: a wide blur of what passed, the bare beam beside the patient left out."""
    small = Image.fromarray(np.minimum(primary, np.float32(0.25))).resize((12, 12), Image.Resampling.BOX)
    wide = small.resize(primary.shape[::-1], Image.Resampling.BICUBIC)
    return np.maximum(np.float32(share) * np.asarray(wide, dtype=np.float32), np.float32(1e-4))
