"""Stored gray values to what is shown: modality LUT, padding, VOI LUT or window, MONOCHROME1.

Each step acts on a value alone, so it is done once for every value between the lowest and the highest of a
frame, and the picture looks its values up. pydicom applies the tables and windows; the choices are made here.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Integer, Num

from radflow.studies.dicom.file import DicomFile
from radflow.studies.dicom.tags import region_of
from radflow.studies.dicom.values import items_of, number_of, numbers_of, text_of, word_of

if TYPE_CHECKING:
    from pydicom import Dataset

# Window centre and width in Hounsfield units, where a CT brings none.
CT_WINDOWS = {
    "chest": (-600.0, 1500.0),
    "abdomen": (40.0, 400.0),
    "head": (40.0, 80.0),
    "bone": (400.0, 1800.0),
}
SOFT_TISSUE = (40.0, 400.0)
PERCENTILES = (0.5, 99.5)
_BLANK = 0.995  # a window that sends this share of the pixels to one end shows nothing
_MAX_LEVELS = 2**17

_GROUPS = (
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
)

Limits = tuple[float, float]


def frame_tags(tags: Dataset, index: int) -> Dataset:
    """The tags of one frame: the file's, with what the functional groups of an enhanced file say of it."""
    if "PerFrameFunctionalGroupsSequence" not in tags and "SharedFunctionalGroupsSequence" not in tags:
        return tags
    from pydicom import Dataset

    own = Dataset()
    own.update(tags)
    own.file_meta = tags.file_meta
    groups = items_of(tags, "SharedFunctionalGroupsSequence")[:1]
    groups += items_of(tags, "PerFrameFunctionalGroupsSequence")[index : index + 1]
    for group in groups:
        for keyword in _GROUPS:
            for item in items_of(group, keyword)[:1]:
                own.update(item)
    return own


def levels_of(
    pixels: Integer[np.ndarray, "H W"],
) -> tuple[Integer[np.ndarray, "L"], Integer[np.ndarray, "H W"], Integer[np.ndarray, "L"]]:
    """Stored values in ascending order, the place of each pixel among them, and how many pixels each has."""
    low, high = int(pixels.min()), int(pixels.max())
    if high - low >= _MAX_LEVELS:
        levels, places, counts = np.unique(pixels, return_inverse=True, return_counts=True)
        return levels.astype(np.int64), places.reshape(pixels.shape), counts
    places = pixels.astype(np.int32) - np.int32(low) if low else pixels
    return np.arange(low, high + 1), places, np.bincount(places.ravel(), minlength=high - low + 1)


def shown_as(
    file: DicomFile,
    tags: Dataset,
    levels: Integer[np.ndarray, "L"],
    counts: Integer[np.ndarray, "L"],
    limits: Limits | None,
) -> tuple[Float32[np.ndarray, "L"], tuple[str, ...]]:
    """What each stored value is shown as, 0 black to 1 white."""
    padding = is_padding(tags, levels)
    counts = np.where(padding, 0, counts)
    values = modality_values(tags, levels)
    remarks: list[str] = []
    shown = _voi(tags, values)
    if items_of(tags, "ModalityLUTSequence") and _modality_lut(tags) is None:
        remarks.append("the modality LUT in the file is empty or broken; it was not used")
    if shown is not None and _blank(shown, values, counts):
        remarks.append("the window in the file shows nothing; it was not used")
        shown = None
    if shown is None:
        low, high = limits or _fallback(file, tags, values, counts)
        shown = np.clip((values - low) / max(high - low, np.finfo(np.float32).eps), 0, 1)
        remarks.append("no usable window in the file")
    if file.photometric == "MONOCHROME1":
        shown = 1 - shown
    shape = word_of(tags, "PresentationLUTShape")
    if shape in ("INVERSE", "IDENTITY") and (shape == "INVERSE") != (file.photometric == "MONOCHROME1"):
        remarks.append("PresentationLUTShape contradicts PhotometricInterpretation, which was followed")
    return np.where(padding, 0, shown).astype(np.float32), tuple(remarks)


def modality_values(tags: Dataset, levels: Integer[np.ndarray, "L"]) -> Num[np.ndarray, "L"]:
    """Modality LUT or rescale (PS3.3 C.11.1); whole numbers stay whole, for a VOI LUT is indexed by them."""
    from pydicom import Dataset
    from pydicom.pixels import apply_modality_lut

    plain = _modality_lut(tags)
    if plain is not None:
        return apply_modality_lut(levels, plain).astype(np.int64)
    slope, intercept = number_of(tags, "RescaleSlope"), number_of(tags, "RescaleIntercept")
    if not slope or intercept is None:  # a slope of 0 would make everything one gray
        return levels
    rescale = Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = _decimal(slope), _decimal(intercept)
    values = apply_modality_lut(levels, rescale)
    whole = np.rint(values)
    return whole.astype(np.int64) if np.array_equal(whole, values) else values


def _modality_lut(tags: Dataset) -> Dataset | None:
    return _with_plain_lut(tags, "ModalityLUTSequence", signed=bool(number_of(tags, "PixelRepresentation")))


def _voi(tags: Dataset, values: Num[np.ndarray, "L"]) -> Float[np.ndarray, "L"] | None:
    """The first VOI LUT, else the first window that can be used, scaled to 0..1; ``None`` without either."""
    from pydicom.pixels import apply_voi, apply_windowing

    plain = _with_plain_lut(tags, "VOILUTSequence", signed=bool(values.min() < 0))
    if plain is not None:
        # Some scanners give the bits of the entries' storage instead of their range: the largest is white.
        largest = max(plain.VOILUTSequence[0].LUTData)
        return apply_voi(np.rint(values).astype(np.int64), plain) / largest
    window = _window(tags)
    return None if window is None else apply_windowing(values, window) / (2**16 - 1)


def _window(tags: Dataset) -> Dataset | None:
    """The first window that PS3.3 C.11.2.1.2 allows, in a dataset of its own with a 16-bit output range."""
    from pydicom import Dataset

    function = word_of(tags, "VOILUTFunction")
    function = function if function in ("LINEAR", "LINEAR_EXACT", "SIGMOID") else "LINEAR"
    centres, widths = numbers_of(tags, "WindowCenter"), numbers_of(tags, "WindowWidth")
    for centre, width in zip(centres, widths, strict=False):
        if math.isfinite(centre) and math.isfinite(width) and width >= (1 if function == "LINEAR" else 1e-9):
            window = Dataset()
            window.PhotometricInterpretation, window.VOILUTFunction = "MONOCHROME2", function
            window.BitsStored, window.PixelRepresentation = 16, 0
            window.WindowCenter, window.WindowWidth = _decimal(centre), _decimal(width)
            return window
    return None


def _decimal(number: float) -> str:
    """A number in the 16 characters that DICOM has for it."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(number)


def _fallback(
    file: DicomFile, tags: Dataset, values: Num[np.ndarray, "L"], counts: Integer[np.ndarray, "L"]
) -> Limits:
    """Black and white where the file brings no window.

    CT in Hounsfield units: by body region. Unsigned 8 bits: the whole range, for such files were made to be
    shown. All else: percentiles, since deep films use a part of their range and a few markers lie outside.
    """
    if file.modality == "CT" and number_of(tags, "RescaleSlope"):
        centre, width = CT_WINDOWS.get(region_of(region_texts(tags)) or "", SOFT_TISSUE)
        return centre - width / 2, centre + width / 2
    untouched = "ModalityLUTSequence" not in tags and not number_of(tags, "RescaleSlope")
    if file.stored <= 8 and not file.signed and untouched:
        return 0.0, float(2**file.stored - 1)
    return percentiles(values, counts)


def region_texts(tags: Dataset) -> list[str]:
    """The texts that may name a body region, the coded one first. They stay inside radflow."""
    keywords = ("BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName")
    return [text_of(tags, keyword) for keyword in keywords]


def percentiles(values: Num[np.ndarray, "L"], counts: Integer[np.ndarray, "L"]) -> Limits:
    """The values below which 0.5 % and 99.5 % of the pixels lie; the whole range where that is one value."""
    order = np.argsort(values, kind="stable")
    seen = np.cumsum(counts[order])
    if seen[-1] == 0:
        return float(values.min()), float(values.max())
    low, high = (values[order][np.searchsorted(seen, seen[-1] * share / 100)] for share in PERCENTILES)
    if low == high:
        there = values[counts > 0]
        low, high = there.min(), there.max()
    return float(low), float(high)


def _blank(
    shown: Float[np.ndarray, "L"], values: Num[np.ndarray, "L"], counts: Integer[np.ndarray, "L"]
) -> bool:
    """Does a window send nearly all pixels to one end, though they differ?"""
    total = counts.sum()
    if total == 0 or np.unique(values[counts > 0]).size < 2:
        return False
    ends = counts[shown <= 0].sum(), counts[shown >= 1].sum()
    return bool(max(ends) >= _BLANK * total)


def is_padding(tags: Dataset, levels: Integer[np.ndarray, "L"]) -> Bool[np.ndarray, "L"]:
    """Which stored values are padding (PS3.3 C.7.5.1.1.2): shown black, kept out of percentiles."""
    value = number_of(tags, "PixelPaddingValue")
    if value is None:
        return np.zeros(levels.shape, dtype=bool)
    other = number_of(tags, "PixelPaddingRangeLimit")
    ends = [_as_stored(tags, v) for v in (value, value if other is None else other)]
    return (levels >= min(ends)) & (levels <= max(ends))


def _as_stored(tags: Dataset, value: float) -> int:
    """63,536 for -2,000 is a common slip in signed files: the tag was written with the unsigned type."""
    bits, number = int(number_of(tags, "BitsAllocated") or 16), int(value)
    signed = bool(number_of(tags, "PixelRepresentation"))
    return number - 2**bits if signed and number >= 2 ** (bits - 1) else number


def _with_plain_lut(tags: Dataset, keyword: str, *, signed: bool) -> Dataset | None:
    """A dataset with the first table of a LUT sequence, its entries as a list of 16-bit numbers.

    pydicom 3.0 indexes by the type of the entries: 8-bit ones with more than 256 places wrap around, 12-bit
    ones in a modality LUT are refused. As plain 16-bit numbers both work. ``None`` where there is no whole
    table.
    """
    from pydicom import Dataset
    from pydicom.sequence import Sequence

    try:
        item = tags[keyword][0]
        count, first, _ = (int(v) for v in item.LUTDescriptor)
        data, little = item["LUTData"].value, tags.original_encoding[1]
        count = count or 2**16
        entries = _entries(data, count, little is not False)
    except Exception:  # missing, empty, or broken in one of pydicom's many ways
        return None
    if len(entries) < count or max(entries) == 0:
        return None
    first -= 2**16 if signed and first >= 2**15 else 0
    table, plain = Dataset(), Dataset()
    table.add_new("LUTDescriptor", "US", [count, first, 16])
    table.add_new("LUTData", "US", entries)
    setattr(plain, keyword, Sequence([table]))
    return plain


def _entries(data: Any, count: int, little: bool) -> list[int]:
    """Entries of a table stored as numbers, as bytes, or as words."""
    if not isinstance(data, bytes):
        return [int(v) for v in (data if hasattr(data, "__iter__") else [data])][:count]
    if len(data) >= 2 * count:
        return list(struct.unpack_from(f"{'<' if little else '>'}{count}H", data))
    return list(data[:count])


def has_window(tags: Dataset) -> bool:
    """Does the file say itself how it is to be shown: by a VOI LUT or a window that can be used?"""
    return _with_plain_lut(tags, "VOILUTSequence", signed=False) is not None or _window(tags) is not None
