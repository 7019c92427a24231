"""Draw one side of a carotid phantom as a sheet of panels, the way an ultrasound machine prints it.

Legend: ``H W`` pixels of a panel; ``x`` along the vessel from 0 (head, ICA) over the bulb to 1 (heart, CCA);
``y`` depth. Echo strengths are 0 (black) to 1 (white), after log compression. Painting follows the physics:
tissue, vessel, plaque, then what lies behind (shadow or enhancement), then the beam's blur, then speckle.

Lengths are to scale (:data:`LONG_MM` across the sheet), the vessel enlarged to fill its panel, because a
policy may see the sheet at 96 x 96 pixels. Speckle is multiplicative and Rayleigh distributed, correlated
over a resolution cell and compressed by an exponent (`radflow.studies.phantoms.carotid.scan`).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float32, UInt8

from radflow.studies.phantoms.carotid.anatomy import DIAMETER_MM, Plaque, Side, Vessel
from radflow.studies.phantoms.carotid.doppler import colour_panel, spectrum_panel
from radflow.studies.phantoms.carotid.geometry import (
    LONG_MM,
    Image,
    Row,
    calibre,
    closed,
    grid,
    inside,
    paint,
    reach,
    ridge,
)
from radflow.studies.phantoms.carotid.scan import GOOD, Scan, receive, shade

SHORT_MM = 12.5  # width of the short-axis panel
LONG_SHARE, SHORT_SHARE, COLOUR_SHARE = 0.48, 0.42, 0.24  # of the sheet's height, its width, Doppler's height

FLESH, LUMEN, MEDIA, WALL = 0.2, 0.015, 0.27, 0.8
SOFT, CALCIUM = 0.24, 0.95


def draw_sheet(
    side: Side, vessel: Vessel, rng: np.random.Generator, *, size: int = 192, scan: Scan = GOOD
) -> UInt8[np.ndarray, "size size"]:
    """Return the sheet of one side: long axis on top; short axis, colour and spectral Doppler below.

    Args:
        side: what is true of this side.
        vessel: how the patient's vessel lies.
        rng: speckle, tissue texture and the beat of the heart.
        size: height and width in pixels, at least 64.
        scan: how it was scanned.

    Raises:
        ValueError: ``size`` is below 64, too small for the panels.
    """
    if size < 64:
        raise ValueError(f"expected a sheet of at least 64 pixels, got {size}; use 96 or 192.")
    sheet = np.zeros((size, size), np.float32)
    for name, box in panels(size).items():
        view = sheet[box]
        view[:] = _PAINTERS[name](side, vessel, scan, rng, *view.shape)
    return np.round(np.clip(sheet, 0, 1) * 255).astype(np.uint8)


def panels(size: int) -> dict[str, tuple[slice, slice]]:
    """Return where each panel lies on a sheet: name -> rows and columns.

    >>> panels(100)["long"]
    (slice(0, 47, None), slice(0, 100, None))
    """
    gap = max(1, size // 96)
    top, left = round(size * LONG_SHARE), round(size * SHORT_SHARE)
    colour = top + round((size - top) * COLOUR_SHARE)
    return {
        "long": (slice(0, top - gap), slice(0, size)),
        "short": (slice(top, size), slice(0, left - gap)),
        "colour": (slice(top, colour - gap), slice(left, size)),
        "spectrum": (slice(colour, size), slice(left, size)),
    }


def _long_axis(
    side: Side, vessel: Vessel, scan: Scan, rng: np.random.Generator, height: int, width: int
) -> Image:
    """Along the vessel, both walls in view."""
    rows, x = grid(height, width)
    mm = width / LONG_MM
    scale = mm / 5.2  # 1 at 192 pixels: how thick a fine line is
    middle = (0.54 * height + mm * (vessel.depth_mm + vessel.tilt_mm * (x - 0.5))).astype(np.float32)
    half = calibre(vessel, x) * np.float32(mm / 2)
    above, below = rows - (middle - half), (middle + half) - rows  # how far inside each wall
    image = _tissue(rng, height, width, middle - half, middle + half, scale)
    _wall(image, np.minimum(above, below), side.imt_mm * mm, scale)
    for plaque in side.plaques:
        if plaque.wall is None:
            body = inside(np.minimum(above, below)) * closed(plaque, x)
            surface = -above
        elif plaque.wall == "anterior":
            surface = reach(plaque, vessel, x) * mm - above  # positive within the plaque
            body = np.minimum(inside(surface), inside(above))
        else:
            surface = reach(plaque, vessel, x) * mm - below
            body = np.minimum(inside(surface), inside(below))
        _plaque(image, body, surface, below, plaque, scale, scan.calcium, rng)
    shade(image, scan, middle - half, x, scale)
    return receive(image, scan, rng)


def _short_axis(
    side: Side, vessel: Vessel, scan: Scan, rng: np.random.Generator, height: int, width: int
) -> Image:
    """Across the vessel through the narrowest place, or through the bulb where there is none."""
    rows, x = grid(height, width)
    mm = width / SHORT_MM
    scale = mm / 6.3
    worst = side.plaques[0] if side.plaques else None
    radius = np.float32(DIAMETER_MM[worst.segment if worst else "bulb"] * vessel.calibre * mm / 2)
    down, across = rows - np.float32(0.5 * height), (x - np.float32(0.5)) * np.float32(width)
    depth = radius - np.hypot(down, across)  # how far inside the adventitia
    chord = np.sqrt(np.clip(radius**2 - across**2, 0, None))
    image = _tissue(rng, height, width, 0.5 * height - chord, 0.5 * height + chord, scale)
    _wall(image, depth, side.imt_mm * mm, scale)
    if worst is None:
        return receive(image, scan, rng)
    thick = min(worst.thickness_mm * vessel.calibre, 2 * float(radius) / mm) * mm
    rest = np.float32(radius - (thick + side.imt_mm * mm) / 2)  # radius of the lumen that is left
    shift = np.float32((thick - side.imt_mm * mm) / 2) * (1 if worst.wall == "anterior" else -1)
    surface = np.hypot(down - shift, across) - rest
    if worst.surface == "irregular":
        surface = surface + np.float32(0.1) * rest * np.cos(7 * np.arctan2(down - shift, across))
    body = inside(depth) if worst.wall is None else np.minimum(inside(surface), inside(depth - scale))
    beyond = np.where(chord > 0.35 * radius, chord - down, np.float32(height))
    _plaque(image, body, surface, beyond, worst, scale, scan.calcium, rng)
    return receive(image, scan, rng)


def _tissue(rng: np.random.Generator, height: int, width: int, near: Row, far: Row, scale: float) -> Image:
    """Muscle between bright fascia above the vessel, duller tissue below; enhancement behind the blood."""
    rows, columns = grid(height, width)
    cloud = _cloud(rng, height, width)
    start = near.min()
    image = FLESH * (1.1 - 0.5 * rows / height) * (0.6 + 0.8 * cloud)
    image *= 0.55 + 0.45 * np.clip((rows - 0.6 * start) / (0.2 * start), 0, 1)  # muscle is dark
    for depth in (0.1, 0.3 + 0.1 * rng.random(), 0.66 + 0.1 * rng.random()):
        wave = 0.07 * np.sin(2 * np.pi * (columns * rng.uniform(0.3, 0.9) + rng.random()))
        glint = rng.uniform(0.3, 0.6) * (0.2 + 1.4 * cloud[round(depth * height)])
        image += glint * ridge((rows - (depth + wave) * start).astype(np.float32), 1.1 * scale)
    behind = np.clip((rows - far) / np.float32(5 * scale), 0, 1) * ((far - near) / (far - near).max())
    image += 0.13 * behind * (0.6 + 0.8 * cloud)
    image[: max(1, round(1.5 * scale))] = 0.6  # the skin
    return image.astype(np.float32)


def _cloud(rng: np.random.Generator, height: int, width: int) -> Image:
    """Slow random variation between 0 and 1, bilinear between 6 x 9 nodes."""
    down, across = _hats(height, 6), _hats(width, 9)
    return down @ rng.random((6, 9), dtype=np.float32) @ across.T


@lru_cache(maxsize=16)
def _hats(length: int, nodes: int) -> Float32[np.ndarray, "length nodes"]:
    """Bilinear weights of evenly spaced nodes."""
    at = np.linspace(0, nodes - 1, length, dtype=np.float32)
    return np.clip(1 - np.abs(at[:, None] - np.arange(nodes, dtype=np.float32)), 0, 1)


def _wall(image: Image, depth: Image, imt: float, scale: float) -> None:
    """Paint adventitia bright, media grey, intima a fine line, blood black. ``depth``: pixels inside."""
    paint(image, ridge(depth + np.float32(scale), 1.6 * scale), WALL)
    paint(image, inside(depth), MEDIA)
    paint(image, inside(depth - np.float32(imt)), LUMEN)
    paint(image, 0.8 * ridge(depth - np.float32(imt), 0.9 * scale), 0.6)


def _plaque(
    image: Image,
    body: Image,
    surface: Image,
    beyond: Image,
    plaque: Plaque,
    scale: float,
    density: float,
    rng: np.random.Generator,
) -> None:
    """Paint a plaque; calcium throws a shadow on all that lies deeper.

    Args:
        image: painted in place.
        body: 1 inside the plaque.
        surface: pixels below its surface towards the wall, negative in the lumen.
        beyond: pixels above the far wall, negative behind it: where the shadow of a posterior plaque begins.
        plaque: kind and wall.
        scale: pixels of a fine line.
        density: of calcium, 0 to 1.
        rng: for the grain inside.
    """
    grain = _cloud(rng, *image.shape)
    paint(image, body, SOFT * (0.7 + 0.6 * grain))
    paint(image, 0.55 * np.minimum(body * 2, 1) * ridge(surface, 1.1 * scale), 0.55)
    if plaque.kind == "soft":
        return
    thick = body.sum(0)
    calcium = np.clip(thick / (4 * scale), 0, 1)
    if plaque.kind == "mixed":  # calcium in the half towards the heart only, with a ragged border
        columns = np.arange(len(thick), dtype=np.float32)
        centre = float((columns * thick).sum() / max(float(thick.sum()), 1e-6))
        toward_heart = (columns - centre) / np.float32(8 * scale)
        body = body * np.clip(toward_heart + 3 * (grain - 0.5) + 0.5, 0, 1)
        calcium = calcium * np.clip(toward_heart + 0.5, 0, 1)
    strength = density * (CALCIUM if plaque.wall else 0.75 * CALCIUM)  # an old thrombus is duller
    paint(image, body * calcium, strength * (0.75 + 0.35 * grain))
    below = np.cumsum(body, axis=0) >= 0.98 * thick if plaque.wall == "anterior" else beyond < 0
    fade = np.cumsum(below, axis=0) / np.float32(3 * scale)
    image *= 1 - 0.92 * density * calcium * np.clip(fade, 0, 1) * (1 - body)


_PAINTERS = {"long": _long_axis, "short": _short_axis, "colour": colour_panel, "spectrum": spectrum_panel}
