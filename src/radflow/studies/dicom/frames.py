"""Does the pixel data of a DICOM file hold what its header says? Looked at without decoding."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from radflow.errors import DataError


def native_frames(
    path: Path, source: BufferedIOBase, start: int, length: int, numbers: Mapping[str, Any]
) -> bool:
    """Check the length of uncompressed pixels; true where they hold more frames than the header says."""
    pixels = numbers["rows"] * numbers["columns"]
    samples = 2 if numbers["photometric"] == "YBR_FULL_422" else numbers["samples"]
    bits = pixels * samples * numbers["allocated"]
    there = source.seek(0, io.SEEK_END) - start
    if length == 0xFFFFFFFF:
        raise DataError(f"{path}: uncompressed pixel data of undefined length; the transfer syntax is wrong")
    wanted = (bits * numbers["frames"] + 7) // 8
    if there < min(length, wanted):
        raise DataError(
            f"{path}: the DICOM file is truncated: {max(there, 0)} of {wanted} bytes of pixel data; "
            "copy or download it again"
        )
    if length < wanted:
        raise DataError(
            f"{path}: {length} bytes of pixel data, but {numbers['frames']} frame(s) of {numbers['rows']} x "
            f"{numbers['columns']} at {numbers['allocated']} bits need {wanted}"
        )
    return length * 8 >= bits * (numbers["frames"] + 1)


def encapsulated_frames(
    path: Path, source: BufferedIOBase, start: int, length: int, numbers: Mapping[str, Any]
) -> bool:
    """Walk the fragments of compressed pixel data; true where they hold more frames than the header says."""
    from pydicom.encaps import parse_basic_offsets, parse_fragments

    if length != 0xFFFFFFFF:
        raise DataError(f"{path}: compressed pixel data must have undefined length, the file gives one")
    size = source.seek(0, io.SEEK_END)
    source.seek(start)
    try:
        offsets = parse_basic_offsets(source)
        fragments, at = parse_fragments(source)
    except Exception:  # a wrong item length leads to garbage, which pydicom calls many things
        raise DataError(f"{path}: the compressed pixel data are broken (wrong length of an item)") from None
    if not fragments:
        raise DataError(f"{path}: the compressed pixel data are empty or truncated")
    source.seek(at[-1] + 4)
    if at[-1] + 8 + struct.unpack("<L", source.read(4))[0] > size:
        raise DataError(f"{path}: the DICOM file is truncated in its pixel data; copy or download it again")
    if fragments < numbers["frames"]:
        raise DataError(
            f"{path}: NumberOfFrames says {numbers['frames']}, the pixel data hold at most {fragments}"
        )
    return len(offsets) > numbers["frames"] or _starts(source, at) > numbers["frames"]


def _starts(source: BufferedIOBase, fragments: list[int]) -> int:
    """How many fragments begin a JPEG, JPEG-LS or JPEG 2000 picture."""
    count = 0
    for at in fragments:
        source.seek(at + 8)
        count += source.read(2) in (b"\xff\xd8", b"\xff\x4f")
    return count
