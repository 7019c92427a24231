"""Images as data URIs, small enough that a page of cases stays under a few megabytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from radflow.files import open_regular

SIZES = ((800, 80), (560, 82), (400, 82), (320, 75), (240, 68), (160, 60))
"""Longest edge in pixels and JPEG quality, tried in this order until a page's pictures fit the budget."""
BUDGET = 3_500_000
"""Characters of data URIs on one page."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image on the page: a data URI with its size, or the reason why there is none."""

    uri: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""


def caption(views: Sequence[str], index: int, count: int) -> str:
    """What stands below a picture of ``count``: its view where that is known, else its number."""
    if index < len(views):
        return views[index]
    return f"image {index + 1} of {count}" if count > 1 else "image"


def embed_all(paths: Sequence[Path], budget: int = BUDGET) -> dict[Path, Picture]:
    """Embed pictures, as large as ``budget`` allows; the smallest size is kept even where it is exceeded."""
    pictures: dict[Path, Picture] = {}
    for edge, quality in SIZES:
        pictures = {path: embed(path, edge=edge, quality=quality) for path in paths}
        if sum(len(picture.uri) for picture in pictures.values()) <= budget:
            break
    return pictures


def embed(path: Path, *, edge: int = 400, quality: int = 82) -> Picture:
    """Shrink an image so that its longest edge is ``edge`` pixels, and encode it.

    Images are never enlarged. Whichever of PNG and JPEG is smaller is taken, PNG when it costs at most a
    quarter more, since it loses nothing. A file that is missing or cannot be read gives a `Picture` that says
    so: one broken image does not cost the page.
    """
    try:
        with open_regular(path) as file, Image.open(file) as opened:
            image = _eight_bit(opened)
    except FileNotFoundError:
        return Picture(problem=f"{path.name}: the image file is missing")
    except Exception:  # Pillow raises many kinds of errors on broken or unknown files
        return Picture(problem=f"{path.name}: not an image that can be shown here")
    image.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    png, jpeg = _encode(image, "PNG", optimize=True), _encode(image, "JPEG", quality=quality, optimize=True)
    kind, data = ("png", png) if len(png) <= 1.25 * len(jpeg) else ("jpeg", jpeg)
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return Picture(uri=uri, width=image.width, height=image.height)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return the image in 8-bit grey or colour; deeper grey is stretched over its range of values."""
    if image.mode in ("I", "I;16", "I;16B", "F"):
        values = np.asarray(image, dtype=np.float64)
        spread = float(np.ptp(values)) or 1.0
        return Image.fromarray(np.uint8(255 * (values - values.min()) / spread))
    return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")


def _encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
