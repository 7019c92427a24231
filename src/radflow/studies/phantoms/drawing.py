"""Drawn images that know how they were made: each PNG carries a note, and one that would come out the same is
not drawn again."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from radflow.errors import RadflowError
from radflow.files import write_atomic
from radflow.studies import phantoms
from radflow.studies.images import check_image
from radflow.workspace import file_fingerprint, fingerprint

SMALLEST_IMAGE = 64  # below, what a report names cannot be seen
_NOTE = "radflow"  # the PNG text chunk that says how a picture was drawn


def renderer_fingerprint(phantom: str) -> str:
    """A hash of the code that draws one of the phantoms, ``carotid`` or ``chest``.

    A drawing made by other code is made again.
    """
    folder = Path(phantoms.__path__[0]) / phantom
    return fingerprint([file_fingerprint(module) for module in sorted(folder.glob("*.py"))])


def save_drawing(path: Path, image: UInt8[np.ndarray, "H W"], note: Mapping[str, Any]) -> None:
    """Write a drawn image as PNG, whole or not at all, with a note inside of how it was made.

    Raises:
        NotWritableError: the folder cannot be written.
    """
    text = PngInfo()
    text.add_itxt(_NOTE, json.dumps({"drawn": True, **note}, sort_keys=True))
    content = io.BytesIO()
    # Level 1: noise compresses no better at level 6, which takes several times as long.
    Image.fromarray(image).save(content, format="PNG", pnginfo=text, compress_level=1)
    write_atomic(path, content.getvalue(), what="the drawing cannot be written", sync=False)


def drawing_note(path: Path) -> dict[str, Any] | None:
    """The note inside a drawn image; ``None`` if the file is missing, damaged, or has no note."""
    try:
        check_image(path)
        with Image.open(path) as image:
            text = image.info.get(_NOTE)
    except (RadflowError, OSError, SyntaxError):
        return None
    return json.loads(text) if isinstance(text, str) else None
