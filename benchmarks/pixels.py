"""What looking at a picture costs a preparation: the check that it is whole, alone and with its pixels' hash.

    python benchmarks/pixels.py

draws a film-like picture, saves it as a large JPEG and a small PNG, and prints one JSON object: milliseconds
of one core per picture, for `check_image` and for `checked_gray` with `pixels_key`.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from radflow.studies.images import check_image, checked_gray
from radflow.studies.preparing.seen import pixels_key

TIMES = 10


def main() -> None:
    """Draw, measure, print."""
    y, x = np.mgrid[:2544, :3056]
    film = 128 + 60 * np.sin(x / 400) * np.cos(y / 300) + np.random.default_rng(0).normal(0, 4, x.shape)
    pixels = film.clip(0, 255).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        jpeg, png = Path(folder, "film.jpg"), Path(folder, "film.png")
        Image.fromarray(pixels).save(jpeg, quality=95)
        Image.fromarray(pixels[::4, ::4]).save(png)
        found = {
            path.suffix: {
                "check_ms": _milliseconds(check_image, path),
                "check_and_pixels_ms": _milliseconds(lambda path: pixels_key(checked_gray(path)), path),
            }
            for path in (jpeg, png)
        }
    print(json.dumps(found, indent=1))


def _milliseconds(work: Callable[[Path], object], path: Path) -> float:
    begin = time.process_time()
    for _ in range(TIMES):
        work(path)
    return round(1000 * (time.process_time() - begin) / TIMES, 1)


if __name__ == "__main__":
    main()
