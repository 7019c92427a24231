"""The shape of a carotid phantom's vessel and plaques, and the few strokes all panels are painted with.

Legend: ``H W`` pixels of a panel; ``x`` along the vessel from 0 (head, ICA) over the bulb to 1 (heart, CCA).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Float32

from radflow.studies.phantoms.carotid.anatomy import DIAMETER_MM, Plaque, Segment, Vessel

LONG_MM = 37.0
"""Length of vessel in view."""

CENTRE: dict[Segment, float] = {"ICA": 0.17, "bulb": 0.5, "CCA": 0.83}
"""Where a segment lies along x."""

Image = Float32[np.ndarray, "H W"]
Part = Float32[np.ndarray, "#H #W"]
Row = Float[np.ndarray, " W"]


def calibre(vessel: Vessel, x: Row) -> Row:
    """Diameter along the vessel in mm, adventitia to adventitia: ICA, the wider bulb, CCA."""
    ica, bulb, cca = (DIAMETER_MM[segment] * vessel.calibre for segment in ("ICA", "bulb", "CCA"))
    return np.interp(x, (0.0, 0.27, 0.38, 0.62, 0.74, 1.0), (ica, ica, bulb, bulb, cca, cca)).astype(
        np.float32
    )


def reach(plaque: Plaque, vessel: Vessel, x: Row) -> Row:
    """How far a plaque reaches from its wall into the lumen, in mm; its outline is its surface."""
    u = (x - CENTRE[plaque.segment]) / (plaque.length_mm / 2 / LONG_MM)
    bump = np.sqrt(np.clip(1 - np.abs(u) ** 3, 0, 1))
    if plaque.surface == "irregular":
        bump = bump * (0.84 + 0.16 * np.cos(12 * u))
    elif plaque.surface == "ulcerated":
        bump = bump * (1 - 0.6 * np.exp(-(((u - 0.3) / 0.2) ** 4)))
    return (plaque.thickness_mm * vessel.calibre * bump).astype(np.float32)


def closed(plaque: Plaque, x: Row) -> Bool[np.ndarray, " W"]:
    """Where an occluded vessel is filled: from the plaque on towards the head."""
    return x < CENTRE[plaque.segment] + plaque.length_mm / 2 / LONG_MM


@lru_cache(maxsize=16)
def grid(height: int, width: int) -> tuple[Float32[np.ndarray, "H 1"], Row]:
    """Pixel centres: rows in pixels, columns from 0 to 1. Shared, so read-only."""
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = (np.arange(width, dtype=np.float32) + 0.5) / np.float32(width)
    for array in (rows, columns):
        array.flags.writeable = False
    return rows, columns


def inside(distance: Part) -> Part:
    """Return 1 where a distance to a border is positive, 0 where negative, with an edge one pixel soft."""
    return np.clip(distance + np.float32(0.5), 0, 1)


def ridge(distance: Part, width: float) -> Part:
    """Return a bright line: 1 at distance 0, falling off within ``width`` pixels."""
    return np.exp(-((distance / np.float32(width)) ** 2))


def paint(image: Image, where: Part, strength: Part | Row | float) -> None:
    """Blend an echo strength into the image in place."""
    image += where * (strength - image)
