"""Compressed pictures examined without decoding them to pixels: their size, and whether they are complete.

Decoders silently make a whole picture of half a file: libjpeg only warns, OpenJPEG fills what is
missing. A byte changed inside the coded data is found only where the code then makes no sense; what else
has no check sum cannot be told from a picture (docs/datasets.md).
"""

from __future__ import annotations

import math
import struct

import numpy as np
import simplejpeg
from jaxtyping import UInt8

MAX_SCANS = 100  # of a progressive JPEG, each a pass over all pixels; encoders write about ten
_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG")  # the warnings of libjpeg that are about pixels
_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_END, _SCAN, _TILE = b"\xff\xd9", b"\xff\xda", b"\xff\x90"


def codestream_shape(stream: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and samples in the header of a JPEG, JPEG-LS or JPEG 2000 picture; ``None`` without one.

    >>> codestream_shape(bytes.fromhex("ffd8 ffc0 0011 08 0040 0080 03"))
    (64, 128, 3)
    """
    at = stream.find(_JPEG_2000)
    if at >= 0 and not stream.startswith(_JPEG):
        right, bottom, left, top = struct.unpack_from(">4L", stream.ljust(at + 42, b"\0"), at + 8)
        return bottom - top, right - left, struct.unpack_from(">H", stream.ljust(at + 42, b"\0"), at + 40)[0]
    at = 2
    while at + 10 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return struct.unpack_from(">HHB", stream, at + 5)
        at += 2 + struct.unpack_from(">H", stream, at + 2)[0]
    return None


def damage(stream: bytes) -> str | None:
    """Why a JPEG, JPEG-LS or JPEG 2000 picture is not complete; ``None`` if nothing shows that."""
    if stream.startswith(_JPEG):
        return jpeg_pixels(stream, "GRAY", eighth=True)[1]
    at = stream.find(_JPEG_2000)
    return _jpeg_2000_damage(stream, at) if at >= 0 else None


def jpeg_pixels(
    stream: bytes, colours: str, *, eighth: bool = False
) -> tuple[UInt8[np.ndarray, "H W C"] | None, str | None]:
    """The pixels of a JPEG as libjpeg-turbo decodes it, the same as Pillow's; and what it warns about.

    Args:
        stream: the file.
        colours: ``GRAY`` or ``RGB``.
        eighth: decode at an eighth of the size, where only the warning is wanted.

    Returns:
        The pixels, ``None`` where they are damaged or of a kind it does not read (12 bits, JPEG-LS); the
        damage.
    """
    if stream.count(_SCAN) > MAX_SCANS:
        return None, f"more than {MAX_SCANS} passes"
    if _END not in stream:
        return None, "no end mark"
    side, factor = (1, 8) if eighth else (0, 1)
    try:
        return simplejpeg.decode_jpeg(stream, colours, eighth, eighth, side, side, factor), None
    except ValueError as error:
        return None, str(error) if str(error).startswith(_DAMAGE) else None


def _jpeg_2000_damage(stream: bytes, at: int) -> str | None:
    """Of JPEG 2000 (ISO/IEC 15444-1, A.4): whether all tile-parts are there, each with its full length."""
    try:
        wanted = _tiles(stream, at)
        at += 2
        while stream[at : at + 2] != _TILE:  # over the main header
            at += 2 + struct.unpack_from(">H", stream, at + 2)[0]
        found: set[int] = set()
        while stream[at : at + 2] == _TILE:
            tile, length = struct.unpack_from(">HL", stream, at + 4)
            found.add(tile)
            if not length:  # the last tile-part may leave it out
                at = len(stream.rstrip(b"\0")) - 2
                break
            at += length
    except struct.error:
        return "truncated in its header"
    if stream[at : at + 2] != _END:
        return "no end mark where its lengths say"
    return None if len(found) == wanted else f"{len(found)} of {wanted} tiles"


def _tiles(stream: bytes, at: int) -> int:
    right, bottom, _, _, width, height, left, top = struct.unpack_from(">8L", stream, at + 8)
    if not (width and height):
        raise struct.error
    return math.ceil((right - left) / width) * math.ceil((bottom - top) / height)
