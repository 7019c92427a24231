"""Frames of a DICOM file to pixels in 0..1: decoded, coloured or shown in grays, upright.

pydicom decodes and converts colours; `dicom_gray` says how grays are shown. A frame's size is checked before
it is decoded and after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Integer, Num

from radflow.errors import DataError, RadflowError
from radflow.studies.codestreams import codestream_shape, damage
from radflow.studies.dicom.file import DicomFile
from radflow.studies.dicom.gray import (
    Limits,
    frame_tags,
    is_padding,
    levels_of,
    modality_values,
    percentiles,
    shown_as,
)
from radflow.studies.dicom.view import turned

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A frame as it is shown: pixels in 0..1, gray or RGB, and remarks on how they were made."""

    pixels: Float32[np.ndarray, "H W"] | Float32[np.ndarray, "H W 3"]
    remarks: tuple[str, ...]


def decode(file: DicomFile, index: int = 0) -> Num[np.ndarray, "H W"] | Num[np.ndarray, "H W 3"]:
    """Stored values of one frame (0-based); colours are RGB already, palettes are not applied yet.

    Raises:
        DataError: the pixel data cannot be decoded, or are of another size than the header says.
    """
    from pydicom.pixels import get_decoder

    decoder = get_decoder(file.syntax)
    _check_codestream(file, index)
    shifted = file.high_bit != file.stored - 1
    options = file.options()
    if decoder.is_native:
        options["correct_unused_bits"] = not shifted
    try:
        source: Any = file.pixel_source()
        pixels = decoder.as_array(source, index=index, validate=True, **options)[0]
    except Exception:  # decoders raise many kinds, and some quote values
        raise DataError(
            f"{file.path}: the pixel data cannot be decoded (frame {index + 1}); export it again"
        ) from None
    if pixels.shape[:2] != (file.rows, file.columns):
        raise DataError(
            f"{file.path}: decoded {pixels.shape[:2]} pixels, the header says {file.rows} x {file.columns}"
        )
    if shifted and decoder.is_native and file.samples == 1:
        pixels = (pixels >> (file.high_bit + 1 - file.stored)) & (2**file.stored - 1)
        if file.signed:
            pixels = np.where(pixels >= 2 ** (file.stored - 1), pixels - 2**file.stored, pixels)
    return pixels


def render(file: DicomFile, index: int = 0, limits: Limits | None = None) -> Rendered:
    """One frame as it is meant to be shown.

    Args:
        file: the opened file.
        index: 0-based frame.
        limits: black and white, in values after the modality LUT, where the frame brings no window of its own
            (so that the slices of a series are shown alike).

    Raises:
        DataError: as `decode`; or a palette that cannot be applied.
    """
    stored = decode(file, index)
    try:
        tags = frame_tags(file.tags, index)
        shown, remarks = _shown(file, stored, tags, limits)
        upright, turns = turned(shown, tags, file.modality)
    except RadflowError:
        raise
    except Exception:  # values that no reader expects; the texts of these errors may quote them
        raise DataError(
            f"{file.path}: the pixels cannot be shown as the tags say (frame {index + 1}); export it as PNG"
        ) from None
    return Rendered(pixels=upright, remarks=(*remarks, *turns))


def _shown(
    file: DicomFile, stored: Num[np.ndarray, "..."], tags: Dataset, limits: Limits | None
) -> tuple[Float32[np.ndarray, "..."], tuple[str, ...]]:
    """Decoded values to 0..1, as they lie in the file."""
    if file.photometric == "PALETTE COLOR":
        return _palette(file, stored), ()
    if file.samples == 3:
        return stored.astype(np.float32) / np.float32(2**file.stored - 1), ()
    levels, places, counts = levels_of(stored)
    shown, remarks = shown_as(file, tags, levels, counts, limits)
    return shown[places], remarks


def percentile_limits(file: DicomFile, index: int = 0) -> Limits:
    """Black and white for a gray frame without a window: percentiles of what is not padding."""
    levels, _, counts = levels_of(decode(file, index))
    tags = frame_tags(file.tags, index)
    values = modality_values(tags, levels)
    return percentiles(values, np.where(is_padding(tags, levels), 0, counts))


def _palette(file: DicomFile, pixels: Integer[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W 3"]:
    """Palette colours (PS3.3 C.7.6.3.1.5) through pydicom, scaled by the range that the entries use."""
    from pydicom.pixels import apply_color_lut

    tags = file.tags
    try:
        descriptor = tags.RedPaletteColorLookupTableDescriptor
        count, bits = int(descriptor[0]) or 2**16, int(descriptor[2])
        # pydicom indexes with the entries' own type: bytes reach 256 places, words all of them.
        coloured = apply_color_lut(pixels, _wide_palette(tags, count) or tags)
    except Exception:
        raise DataError(
            f"{file.path}: the colour palette is missing or broken; export the picture as PNG"
        ) from None
    scale = 255 if bits <= 8 or coloured.max() <= 255 else 65535
    return np.minimum(coloured[..., :3].astype(np.float32) / np.float32(scale), np.float32(1))


def _wide_palette(tags: Dataset, count: int) -> Dataset | None:
    """The palette with 16-bit entries, where it has bytes and more than 256 of them."""
    from pydicom import Dataset

    if count <= 256 or len(tags.get("RedPaletteColorLookupTableData") or b"") >= 2 * count:
        return None
    if "RedPaletteColorLookupTableData" not in tags:
        return None
    wide = Dataset()
    first = tags.RedPaletteColorLookupTableDescriptor[1]
    for colour in ("Red", "Green", "Blue"):
        entries = np.frombuffer(tags[f"{colour}PaletteColorLookupTableData"].value, dtype=np.uint8)
        wide.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [count % 2**16, first, 16])
        wide.add_new(f"{colour}PaletteColorLookupTableData", "OW", entries.astype("<u2").tobytes())
    return wide


def _check_codestream(file: DicomFile, index: int) -> None:
    """Refuse a compressed frame that is not whole, or whose own header names another size: a bomb."""
    from pydicom.encaps import get_frame
    from pydicom.uid import UID, RLELossless

    if not UID(file.syntax).is_encapsulated or file.syntax == RLELossless:
        return
    extended = file.options().get("extended_offsets")
    try:
        stream = get_frame(
            file.pixel_source(), index, number_of_frames=file.frames, extended_offsets=extended
        )
    except Exception:
        raise DataError(f"{file.path}: the compressed pixel data are broken (frame {index + 1})") from None
    shape = codestream_shape(stream)
    if shape is None or shape[:2] != (file.rows, file.columns):
        found = "none" if shape is None else f"{shape[0]} x {shape[1]}"
        raise DataError(
            f"{file.path}: the header says {file.rows} x {file.columns} pixels, the picture {found}"
        )
    if shape[2] != file.samples:
        raise DataError(
            f"{file.path}: the header says {file.samples} sample(s) per pixel, the picture {shape[2]}"
        )
    if found := damage(stream):
        raise DataError(
            f"{file.path}: the compressed picture is truncated or broken (frame {index + 1}: {found}); "
            "export it again"
        )
