"""The Doppler panels of a carotid phantom: colour (in grey levels) and the spectrum over time."""

from __future__ import annotations

import numpy as np

from radflow.studies.phantoms.carotid.anatomy import Side, Vessel
from radflow.studies.phantoms.carotid.geometry import (
    Image,
    calibre,
    closed,
    grid,
    inside,
    paint,
    reach,
    ridge,
)
from radflow.studies.phantoms.carotid.scan import Scan

COLOUR_MM = 11.0  # depth of the colour panel
MAX_VELOCITY = 420.0
"""Velocity at the top of the spectral panel in cm/s, the same in every sheet."""

BASELINE = 0.95
"""Where velocity 0 lies in the spectral panel, as a share of its height."""


def colour_panel(
    side: Side, vessel: Vessel, scan: Scan, rng: np.random.Generator, height: int, width: int
) -> Image:
    """Colour Doppler in grey levels: only blood that moves, brighter where it is squeezed and faster."""
    rows, x = grid(height, width)
    mm = height / COLOUR_MM
    width_mm = calibre(vessel, x)
    near, far = np.full_like(width_mm, side.imt_mm), width_mm - side.imt_mm  # mm below the near adventitia
    for plaque in side.plaques:
        if plaque.wall is None:
            far = np.where(closed(plaque, x), near, far)
        elif plaque.wall == "anterior":
            near = np.maximum(near, reach(plaque, vessel, x))
        else:
            far = np.minimum(far, width_mm - reach(plaque, vessel, x))
    top = np.float32(0.5 * height) - width_mm * np.float32(mm / 2)
    flowing = np.minimum(inside(rows - top - near * mm), inside(top + far * mm - rows)) * (far - near > 0.05)
    squeeze = np.clip(width_mm / np.clip(far - near, 0.3, None) - 1.4, 0, 2)
    speed = 0.3 + 0.2 * min(side.psv / 100, 1) + 0.25 * squeeze
    image = 0.06 + 0.08 * rng.random((height, width), dtype=np.float32)
    paint(image, flowing, np.clip(speed, 0, 1) if side.psv else 0.03)
    return _noisy(image, scan, rng)


def spectrum_panel(
    side: Side, vessel: Vessel, scan: Scan, rng: np.random.Generator, height: int, width: int
) -> Image:
    """Spectral Doppler: three beats whose peaks reach the peak systolic velocity on a fixed scale."""
    rows, x = grid(height, width)
    base = np.float32(height * BASELINE)
    per = base / np.float32(MAX_VELOCITY)
    image = 0.02 + 0.03 * rng.random((height, width), dtype=np.float32)
    for mark in (100, 200, 300, 400):
        image += 0.1 * ridge(rows - (base - mark * per), 0.6)
    beat = (3 * x + np.float32(rng.uniform(0, 0.12))) % 1
    shape = np.exp(-(((beat - 0.2) / 0.1) ** 2)) + 0.3 * np.exp(-(((beat - 0.5) / 0.13) ** 2))
    diastole = side.edv * (1 - 0.3 * np.clip(beat - 0.2, 0, 1))
    velocity = diastole + (side.psv - diastole) * np.minimum(shape, 1)
    if side.psv:
        depth = rows - (base - velocity * per)  # pixels below the envelope
        above = rows < base
        dense = 0.75 if side.flow in ("turbulent", "accelerated") else 0.4  # spectral broadening
        grain = 0.7 + 0.6 * rng.random((height, width), dtype=np.float32)
        paint(image, inside(depth) * above, dense * grain)
        paint(image, ridge(depth, 1.5 * height / 75) * above, 0.95)
    paint(image, ridge(rows - base, 0.8), 0.6)
    return _noisy(image, scan, rng)


def _noisy(image: Image, scan: Scan, rng: np.random.Generator) -> Image:
    """A weak signal: noise covers what it adds to, and the rest is dimmer."""
    if scan.doppler_noise:
        image *= np.float32(1 - scan.doppler_noise)
        image += np.float32(2 * scan.doppler_noise) * rng.random(image.shape, dtype=np.float32)
    return image
