"""How a carotid phantom was scanned: gain, speckle, noise and what stood in the way of the beam.

A phantom's ``difficulty`` from 0 to 1 widens what varies from scan to scan. At 0 every scan is a good one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radflow.studies.phantoms.carotid.geometry import Image, Part, Row, grid, ridge


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The settings of one scan of one side, and its luck; the defaults are a good scan.

    Attributes:
        gain: factor on every echo of the B-mode.
        slope: time-gain compensation set wrong: the gain changes by this share from the middle to the bottom,
            and by as much the other way to the top.
        speckle: exponent on the Rayleigh envelope: 1 is a raw envelope, 0 no speckle.
        noise: electronic noise of the B-mode, in echo strengths.
        calcium: how dense calcium is, 0 to 1: its echo and its shadow.
        in_front: where along the long axis calcium in front of the vessel stands, from 0 (head) to 1 (heart),
            and half its width; its shadow falls over wall, plaque and lumen. ``None``: nothing in front.
        doppler_noise: noise in the colour and spectral panels, in echo strengths.
    """

    gain: float = 1.0
    slope: float = 0.0
    speckle: float = 0.4
    noise: float = 0.01
    calcium: float = 1.0
    in_front: tuple[float, float] | None = None
    doppler_noise: float = 0.0


GOOD = Scan()


def sample_scan(rng: np.random.Generator, *, difficulty: float) -> Scan:
    """Draw how a side was scanned; at difficulty 0 always `GOOD`.

    >>> sample_scan(np.random.default_rng(0), difficulty=0) == GOOD
    True
    """
    gain, slope = rng.uniform(-1, 1, 2)
    thin, stands, where, wide = rng.random(4)
    return Scan(
        gain=float(np.exp(0.6 * difficulty * gain)),
        slope=float(0.5 * difficulty * slope),
        speckle=GOOD.speckle + 0.5 * difficulty,
        noise=GOOD.noise + 0.05 * difficulty,
        calcium=float(1 - 0.6 * difficulty * thin),
        in_front=(float(where), float(0.03 + 0.05 * wide)) if stands < 0.6 * difficulty else None,
        doppler_noise=0.15 * difficulty,
    )


def shade(image: Image, scan: Scan, near: Row, x: Row, scale: float) -> None:
    """Paint the calcium in front of the vessel, if any, and the shadow it casts.

    Args:
        image: painted in place.
        scan: says whether, where and how dense.
        near: row of the near wall.
        x: along the vessel, 0 to 1.
        scale: pixels of a fine line.
    """
    if scan.in_front is None:
        return
    centre, half = scan.in_front
    across = np.clip(1.5 - np.abs(x - np.float32(centre)) / np.float32(half), 0, 1)
    rows, _ = grid(*image.shape)
    depth: Part = (rows - np.float32(0.6 * near.min())).astype(np.float32)
    image *= 1 - np.float32(0.9 * scan.calcium) * across * np.clip(depth / np.float32(3 * scale), 0, 1)
    image += np.float32(0.6 * scan.calcium) * across * ridge(depth, 1.5 * scale)


def receive(image: Image, scan: Scan, rng: np.random.Generator) -> Image:
    """Blur by the beam, then multiply by compressed Rayleigh speckle of mean near 1, wider than deep."""
    padded = np.pad(image, 1, mode="edge")
    image = (padded[:-2, 1:-1] + 2 * image + padded[2:, 1:-1]) / 4
    padded = np.pad(image, 1, mode="edge")
    image = (padded[1:-1, :-2] + 2 * image + padded[1:-1, 2:]) / 4
    noise = rng.standard_normal((2, image.shape[0] + 1, image.shape[1] + 3), dtype=np.float32)
    noise = noise[:, 1:] + noise[:, :-1]
    noise = noise[:, :, 3:] + noise[:, :, 2:-1] + noise[:, :, 1:-2] + noise[:, :, :-3]
    envelope = np.sqrt(noise[0] ** 2 + noise[1] ** 2) / np.float32(np.sqrt(8 * np.pi / 2))
    gain = np.float32(rng.uniform(0.9, 1.1))
    rows, _ = grid(*image.shape)
    gain = gain * np.float32(scan.gain) * (1 + np.float32(scan.slope) * (rows / (len(rows) / 2) - 1))
    return (gain * image * envelope ** np.float32(scan.speckle) + np.float32(scan.noise) * envelope).astype(
        np.float32
    )
