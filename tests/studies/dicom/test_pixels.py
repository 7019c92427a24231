"""Decoded frames against the arrays they were made from: transfer syntaxes, depths, colours, frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed (the extra 'dicom')")

from pydicom import Dataset
from pydicom.pixels import convert_color_space
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from radflow.errors import DataError
from radflow.studies.dicom.file import opened
from radflow.studies.dicom.pixels import decode, render

Make = Callable[..., Path]
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
LOSSLESS = (RLELossless, JPEGLSLossless, JPEG2000Lossless)


def name_of(syntax: str) -> str:
    return getattr(syntax, "keyword", str(syntax))


def random(dtype: type, bits: int, shape: tuple[int, ...] = (40, 36)) -> np.ndarray:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if np.dtype(dtype).kind == "i" else (0, 2**bits)
    return np.random.default_rng(bits).integers(low, high, shape, dtype=dtype)


@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS], ids=name_of)
@pytest.mark.parametrize(
    ("dtype", "bits"),
    [(np.uint8, 8), (np.uint16, 10), (np.uint16, 12), (np.uint16, 16), (np.int16, 12), (np.int16, 16)],
)
def test_grays_come_back_as_they_were(make_dicom: Make, syntax: str, dtype: type, bits: int) -> None:
    pixels = random(dtype, bits)
    with opened(make_dicom(pixels, syntax=syntax, BitsStored=bits)) as file:
        assert file.syntax in (syntax, ExplicitVRLittleEndian)  # a deflated file is inflated on opening
        np.testing.assert_array_equal(decode(file), pixels)


@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS], ids=name_of)
def test_colours_come_back_as_they_were(make_dicom: Make, syntax: str) -> None:
    pixels = random(np.uint8, 8, (35, 33, 3))
    with opened(make_dicom(pixels, syntax=syntax)) as file:
        np.testing.assert_array_equal(render(file).pixels, pixels.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, *LOSSLESS], ids=name_of)
def test_each_frame_is_itself(make_dicom: Make, syntax: str) -> None:
    pixels = random(np.uint16, 12, (5, 40, 36))
    with opened(make_dicom(pixels, syntax=syntax, frames=5, BitsStored=12)) as file:
        assert file.frames == 5
        for index in (4, 0, 2):
            np.testing.assert_array_equal(decode(file, index), pixels[index])


def test_planes_one_after_the_other(make_dicom: Make) -> None:
    pixels = random(np.uint8, 8, (6, 8, 3))
    path = make_dicom(
        pixels.transpose(2, 0, 1).reshape(6, 8, 3), PlanarConfiguration=1
    )  # the bytes plane by plane, the shape as before
    with opened(path) as file:
        np.testing.assert_array_equal(decode(file), pixels)


def test_ybr_full_becomes_rgb(make_dicom: Make) -> None:
    pixels = random(np.uint8, 8, (6, 8, 3))
    ybr = convert_color_space(pixels, "RGB", "YBR_FULL")
    with opened(make_dicom(ybr, PhotometricInterpretation="YBR_FULL")) as file:
        assert np.abs(decode(file).astype(int) - pixels).max() <= 2  # rounding, there and back


def test_subsampled_ybr_becomes_rgb(make_dicom: Make) -> None:
    gray = np.repeat(random(np.uint8, 8, (4, 4, 1)), 3, axis=2)
    y = gray[..., 0].reshape(-1, 2)
    stored = np.concatenate([y, np.full_like(y, 128)], axis=1).astype(np.uint8)  # Y1 Y2 Cb Cr
    path = make_dicom(stored.reshape(4, 8), Columns=4, SamplesPerPixel=3, PlanarConfiguration=0)
    from pydicom import dcmread

    ds = dcmread(path)
    ds.PhotometricInterpretation = "YBR_FULL_422"
    ds.save_as(path)
    with opened(path) as file:
        np.testing.assert_array_equal(decode(file), gray)


def palette_tags(entries: np.ndarray, first: int = 0) -> dict[str, object]:
    """Tags of a palette of ``entries`` (count, 3)."""
    ds = Dataset()
    bits = entries.dtype.itemsize * 8
    for column, colour in enumerate(("Red", "Green", "Blue")):
        descriptor = [len(entries) % 2**16, first, bits]
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", descriptor)
        setattr(ds, f"{colour}PaletteColorLookupTableData", entries[:, column].tobytes())
    return {element.keyword: element.value for element in ds}


@pytest.mark.parametrize("count", [256, 1024])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_palettes(make_dicom: Make, count: int, dtype: type) -> None:
    """8-bit entries with more than 256 places wrap around where pydicom is asked plainly."""
    entries = np.random.default_rng(count).integers(0, np.iinfo(dtype).max + 1, (count, 3)).astype(dtype)
    pixels = random(np.uint16, 10 if count == 1024 else 8)
    path = make_dicom(pixels, PhotometricInterpretation="PALETTE COLOR", **palette_tags(entries))
    with opened(path) as file:
        expected = entries[pixels].astype(np.float32) / np.float32(np.iinfo(dtype).max)
        np.testing.assert_allclose(render(file).pixels, expected, atol=1e-6)


def test_a_palette_that_is_missing(make_dicom: Make) -> None:
    path = make_dicom(random(np.uint8, 8), PhotometricInterpretation="PALETTE COLOR")
    with opened(path) as file, pytest.raises(DataError, match=r"a\.dcm: the colour palette is missing"):
        render(file)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_a_high_bit_that_is_not_the_last_stored(make_dicom: Make, dtype: type) -> None:
    pixels = random(dtype, 12)
    shifted = (pixels.astype(np.int64) << 4).astype(dtype)  # 12 bits at the top of 16, as old scanners wrote
    with opened(make_dicom(shifted, BitsStored=12, HighBit=15)) as file:
        np.testing.assert_array_equal(decode(file), pixels)


def test_overlays_in_unused_bits_are_left_out(make_dicom: Make) -> None:
    pixels = random(np.uint16, 12)
    with opened(make_dicom(pixels | 0x8000, BitsStored=12)) as file:
        np.testing.assert_array_equal(decode(file), pixels)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=name_of)
def test_a_picture_of_another_size_than_the_header_says(make_dicom: Make, syntax: str) -> None:
    path = make_dicom(random(np.uint8, 8, (64, 32)), syntax=syntax)
    from pydicom import dcmread

    ds = dcmread(path)
    ds.Rows = 32
    ds.save_as(path)
    with opened(path) as file, pytest.raises(DataError, match="says 32 x 32 pixels, the picture 64 x 32"):
        decode(file)


def test_garbage_in_the_compressed_pixels(make_dicom: Make) -> None:
    path = make_dicom(random(np.uint8, 8, (64, 64)), syntax=RLELossless)
    content = bytearray(path.read_bytes())
    start = content.index(b"\xfe\xff\x00\xe0", content.index(b"\xe0\x7f\x10\x00") + 20)
    content[start + 8 : start + 72] = b"\x07" * 64  # the header of the RLE frame
    path.write_bytes(bytes(content))
    with opened(path) as file, pytest.raises(DataError, match="cannot be decoded"):
        decode(file)
