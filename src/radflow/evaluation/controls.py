"""The systems of a run by name, and the controls that get other images than their study's."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import Image

from radflow.errors import DataError
from radflow.files import write_atomic
from radflow.studies import Study
from radflow.studies.images import load_image

TEMPLATE, SFT, RADFLOW = "template", "sft", "radflow"
SHUFFLED = "radflow-shuffled"
"""Name of the predictions that RadFlow makes when each study gets the pictures of another."""
OTHER_IMAGES = {
    "shuffled": (RADFLOW, SHUFFLED),
    "noise": (RADFLOW, "radflow-noise"),
    "sft-shuffled": (SFT, "sft-shuffled"),
    "sft-noise": (SFT, "sft-noise"),
}
"""Each control of ``evaluation.controls`` on other images: whose it is, and the name of its predictions."""
_CELLS = (
    32  # of noise along the longer side: fine noise would be averaged away where a picture is made smaller
)


def derangement(n: int, seed: int = 0) -> Int[np.ndarray, " n"]:
    """A permutation of ``range(n)`` that leaves nothing in its place, uniform among all such.

    The shuffled-images control deals the pictures with it: a model that looks at its pictures scores lower
    for it; one that ignores them does not notice. Drawn by rejection: a random permutation has no fixed point
    with probability 1/e, so under three tries.

    Args:
        n: at least 2.
        seed: of the draw.

    Raises:
        DataError: ``n`` is below 2, where there is none.

    >>> derangement(2).tolist()
    [1, 0]
    """
    if n < 2:
        raise DataError(f"Expected at least 2 studies to shuffle images among, got {n}.")
    generator = np.random.default_rng(seed)
    while True:
        order = generator.permutation(n)
        if (order != np.arange(n)).all():
            return order


def shuffle_images(studies: Sequence[Study], seed: int = 0) -> list[Study]:
    """Each study with the images of another (`derangement`)."""
    order = derangement(len(studies), seed)
    return [replace(s, images=studies[j].images) for s, j in zip(studies, order.tolist(), strict=True)]


def noise_images(studies: Sequence[Study], folder: Path, seed: int = 0) -> list[Study]:
    """Each study with pictures of noise in place of its own, written to a folder.

    A model that reads its pictures loses what they told it; the mean and the spread of the pixels, and so the
    brightness it is used to, stay (up to what clipping to black and white takes).

    Args:
        studies: whose images are replaced; a picture that two studies share becomes two.
        folder: gets a PNG per picture.
        seed: of the noise.
    """
    changed = []
    for i, study in enumerate(studies):
        paths = [folder / f"{i:06d}-{view}.png" for view in range(len(study.images))]
        for view, (path, original) in enumerate(zip(paths, study.images, strict=True)):
            content = io.BytesIO()
            noise_like(original, seed=[seed, i, view]).save(content, format="PNG")
            write_atomic(path, content.getvalue())
        changed.append(replace(study, images=tuple(paths)))
    return changed


def noise_like(path: Path, *, seed: Sequence[int]) -> Image.Image:
    """Gray squares of Gaussian noise, as large as a picture, with the mean and spread of its pixels."""
    pixels = load_image(path)
    height, width = pixels.shape
    side = max(height, width) / _CELLS
    cells = (math.ceil(height / side), math.ceil(width / side))
    drawn = np.random.default_rng(seed).normal(pixels.mean(), pixels.std(), cells)
    gray = Image.fromarray((255 * drawn.clip(0, 1)).round().astype(np.uint8))
    return gray.resize((width, height), Image.Resampling.NEAREST)
