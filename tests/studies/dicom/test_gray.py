"""Grays as shown: windows against the standard's formula, tables, padding, MONOCHROME1, no window."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pydicom", reason="pydicom is not installed (the extra 'dicom')")

from pydicom import Dataset
from pydicom.sequence import Sequence

from radflow.studies.dicom.file import opened
from radflow.studies.dicom.gray import _voi
from radflow.studies.dicom.pixels import Rendered, percentile_limits, render

Make = Callable[..., Path]
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
NOT_USED = "no usable window in the file"


def shown(path: Path, **options: Any) -> Rendered:
    with opened(path) as file:
        return render(file, **options)


def by_the_standard(x: float, centre: float, width: float, function: str) -> float:
    """PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT), from 0 to 1."""
    if function == "SIGMOID":
        return 1 / (1 + math.exp(-4 * (x - centre) / width))
    if function == "LINEAR_EXACT":
        if x <= centre - width / 2:
            return 0.0
        return 1.0 if x > centre + width / 2 else (x - centre) / width + 0.5
    if x <= centre - 0.5 - (width - 1) / 2:
        return 0.0
    if x > centre - 0.5 + (width - 1) / 2:
        return 1.0
    return (x - (centre - 0.5)) / (width - 1) + 0.5


@settings(deadline=None, max_examples=60)
@given(
    centre=st.integers(-2000, 5000),
    width=st.integers(1, 5000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_windows_follow_the_formula(centre: int, width: int, function: str) -> None:
    tags = Dataset()
    tags.WindowCenter, tags.WindowWidth, tags.VOILUTFunction = centre, width, function
    values = np.arange(centre - width, centre + width + 1, max(1, width // 50))
    expected = [by_the_standard(float(x), centre, width, function) for x in values]
    np.testing.assert_allclose(_voi(tags, values), expected, atol=1e-4)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_after_rescaling(make_dicom: Make, photometric: str) -> None:
    path = make_dicom(
        RAMP,
        PhotometricInterpretation=photometric,
        BitsStored=12,
        RescaleSlope="2",
        RescaleIntercept="-1024",
        WindowCenter="1000",
        WindowWidth="3000",
    )
    x = RAMP.astype(float) * 2 - 1024
    expected = np.clip((x - 999.5) / 2999 + 0.5, 0, 1)
    result = shown(path)
    assert result.pixels.dtype == np.float32
    assert result.remarks == ()
    np.testing.assert_allclose(
        result.pixels, 1 - expected if photometric == "MONOCHROME1" else expected, atol=1e-4
    )


def test_a_falling_rescale_slope_turns_the_grays_round(make_dicom: Make) -> None:
    path = make_dicom(
        RAMP,
        RescaleSlope="-1",
        RescaleIntercept="4095",
        WindowCenter="2048",
        WindowWidth="4096",
        BitsStored=12,
    )
    pixels = shown(path).pixels
    assert pixels[0, 0] == pytest.approx(1, abs=1e-3)
    assert pixels[-1, -1] == pytest.approx(0, abs=1e-3)


def test_signed_values(make_dicom: Make) -> None:
    signed = (RAMP.astype(np.int16) - 2048).astype(np.int16)
    path = make_dicom(signed, BitsStored=12, WindowCenter="0", WindowWidth="4096")
    np.testing.assert_allclose(shown(path).pixels.ravel(), np.arange(4096) / 4095, atol=1e-3)


def test_the_first_of_several_windows(make_dicom: Make) -> None:
    path = make_dicom(RAMP, WindowCenter=[1000, 3000], WindowWidth=[500, 100])
    assert shown(path).pixels.ravel()[1500] == 1.0
    assert shown(path).pixels.ravel()[500] == 0.0


@pytest.mark.parametrize("width", ["0", "-5", "0.5"])
def test_a_width_that_the_standard_forbids_is_passed_over(make_dicom: Make, width: str) -> None:
    both = make_dicom(RAMP, WindowCenter=["1", "1000"], WindowWidth=[width, "500"])
    assert shown(both).pixels.ravel()[1000] == pytest.approx(0.5, abs=0.01)
    alone = make_dicom(RAMP, WindowCenter="1", WindowWidth=width)
    assert shown(alone).remarks == (NOT_USED,)


def test_a_window_that_shows_nothing_is_not_used(make_dicom: Make) -> None:
    result = shown(make_dicom(RAMP, WindowCenter="9000", WindowWidth="200"))
    assert result.remarks == ("the window in the file shows nothing; it was not used", NOT_USED)
    assert 0.3 < result.pixels.mean() < 0.7


def test_an_even_picture_keeps_its_window(make_dicom: Make) -> None:
    result = shown(make_dicom(np.full((8, 8), 7, np.uint16), WindowCenter="40", WindowWidth="20"))
    assert result.remarks == ()
    assert result.pixels.max() == 0.0


def lut(entries: list[int], first: int, bits: int, data: bytes | None = None) -> Sequence:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 2**16, first, bits])
    item.add_new("LUTData", "OW" if data else "US", data or entries)
    return Sequence([item])


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_voi_tables_of_any_depth(make_dicom: Make, bits: int) -> None:
    entries = [round(math.sqrt(x / 4095) * (2**bits - 1)) for x in range(4096)]
    path = make_dicom(RAMP, BitsStored=12, VOILUTSequence=lut(entries, 0, bits))
    np.testing.assert_allclose(shown(path).pixels.ravel(), np.array(entries) / (2**bits - 1), atol=1e-6)


def test_a_voi_table_comes_before_a_window(make_dicom: Make) -> None:
    falling = list(range(4095, -1, -1))
    path = make_dicom(RAMP, VOILUTSequence=lut(falling, 0, 12), WindowCenter="2000", WindowWidth="4000")
    assert shown(path).pixels[0, 0] == 1.0


def test_a_voi_table_that_is_narrower_than_it_says(make_dicom: Make) -> None:
    """Some scanners write 16 for the storage of 12-bit entries: the picture would be nearly black."""
    path = make_dicom(RAMP, BitsStored=12, VOILUTSequence=lut(list(range(4096)), 0, 16))
    assert shown(path).pixels.max() == 1.0


def test_a_voi_table_as_words_after_rescaling(make_dicom: Make) -> None:
    words = np.arange(100, dtype="<u2")
    path = make_dicom(
        RAMP,
        BitsStored=12,
        RescaleSlope="1",
        RescaleIntercept="-1000",
        VOILUTSequence=lut(list(words), -50, 16, words.tobytes()),
    )
    pixels = shown(path).pixels.ravel()
    assert pixels[900] == 0.0
    assert pixels[1000] == pytest.approx(50 / 99)
    assert pixels[1200] == 1.0


def test_a_first_place_below_zero_written_as_unsigned(make_dicom: Make) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [100, 2**16 - 50, 16])
    item.add_new("LUTData", "US", list(range(100)))
    path = make_dicom(RAMP, RescaleSlope="1", RescaleIntercept="-1000", VOILUTSequence=Sequence([item]))
    assert shown(path).pixels.ravel()[1000] == pytest.approx(50 / 99)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_modality_tables_of_any_depth(make_dicom: Make, bits: int) -> None:
    top = 2**bits - 1
    entries = [round(x / 4095 * top) for x in range(4096)][::-1]
    path = make_dicom(
        RAMP, BitsStored=12, ModalityLUTSequence=lut(entries, 0, bits), WindowCenter=top / 2, WindowWidth=top
    )
    np.testing.assert_allclose(shown(path).pixels.ravel(), np.arange(4095, -1, -1) / 4095, atol=0.01)


@pytest.mark.parametrize("broken", [[0, 0, 16], [5000, 0, 16]])
def test_a_table_with_too_few_entries_is_passed_over(make_dicom: Make, broken: list[int]) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", broken)
    item.add_new("LUTData", "US", [1, 2, 3])
    assert shown(make_dicom(RAMP, VOILUTSequence=Sequence([item]))).remarks == (NOT_USED,)


@pytest.mark.parametrize("data", [None, b"", b"\0"])
@pytest.mark.parametrize("descriptor", [[0, 0, 16], [64, 0, 16], [], [64]])
@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
def test_an_empty_table_is_passed_over(
    make_dicom: Make, keyword: str, descriptor: list[int], data: bytes | None
) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", descriptor)
    item.add_new("LUTData", "OW", data)
    result = shown(make_dicom(RAMP, **{keyword: Sequence([item])}))
    assert result.pixels.min() == 0
    assert result.pixels.max() == 1
    broken = ("the modality LUT in the file is empty or broken; it was not used",)
    assert result.remarks == (broken if keyword.startswith("Modality") else ()) + (NOT_USED,)


@pytest.mark.parametrize("shape", ["INVERSE", "IDENTITY"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_presentation_shape_inverts_nothing_twice(make_dicom: Make, photometric: str, shape: str) -> None:
    result = shown(
        make_dicom(RAMP.astype(np.uint8), PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    )
    assert result.pixels[0, 0] == (1.0 if photometric == "MONOCHROME1" else 0.0)
    contradicts = (photometric == "MONOCHROME1") != (shape == "INVERSE")
    assert any("contradicts" in remark for remark in result.remarks) == contradicts


def test_padding_is_black_and_not_counted(make_dicom: Make) -> None:
    pixels = (RAMP % 1000 + 1000).astype(np.int16)
    pixels[:32] = -2000
    for value in (-2000, 63536):  # the second: the tag written with the unsigned type
        path = make_dicom(pixels, name=f"{value}.dcm", Modality="MR")
        from pydicom import dcmread

        ds = dcmread(path)
        ds.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)
        ds.save_as(path)
        result = shown(path).pixels
        assert result[:32].max() == 0.0
        assert result[32:].mean() == pytest.approx(0.5, abs=0.02)


def test_padding_is_black_in_a_negative_too(make_dicom: Make) -> None:
    pixels = RAMP.copy()
    pixels[0] = 0
    path = make_dicom(
        pixels,
        PhotometricInterpretation="MONOCHROME1",
        PixelPaddingValue=0,
        PixelPaddingRangeLimit=3,
        WindowCenter="2048",
        WindowWidth="4096",
    )
    result = shown(path).pixels
    assert result[0].max() == 0.0
    assert result[1, 0] > 0.9


class TestNoWindow:
    def test_8_bits_keep_their_range(self, make_dicom: Make) -> None:
        pixels = (RAMP % 100).astype(np.uint8)
        result = shown(make_dicom(pixels))
        np.testing.assert_allclose(result.pixels, pixels / 255, atol=1e-6)
        assert result.remarks == (NOT_USED,)

    def test_deep_films_are_stretched_between_percentiles(self, make_dicom: Make) -> None:
        pixels = (RAMP // 4 + 500).astype(np.uint16)
        pixels[0, 0] = 65535  # one hot pixel decides nothing
        result = shown(make_dicom(pixels))
        assert result.pixels.mean() == pytest.approx(0.5, abs=0.01)
        assert result.pixels.min() == 0.0

    def test_an_even_picture(self, make_dicom: Make) -> None:
        assert np.isfinite(shown(make_dicom(np.full((8, 8), 300, np.uint16))).pixels).all()

    @pytest.mark.parametrize(
        ("body_part", "black", "white"),
        [("CHEST", -1350, 150), ("HEAD", 0, 80), ("KNEE", -500, 1300), ("", -160, 240)],
    )
    def test_ct_by_body_region(self, make_dicom: Make, body_part: str, black: int, white: int) -> None:
        path = make_dicom(
            RAMP, Modality="CT", BodyPartExamined=body_part, RescaleSlope="1", RescaleIntercept="-1500"
        )
        pixels = shown(path).pixels.ravel()
        middle = (black + white) // 2 + 1500
        assert pixels[black + 1500] == 0.0
        assert pixels[white + 1500] == 1.0
        assert pixels[middle] == pytest.approx(0.5, abs=0.01)

    def test_limits_from_outside(self, make_dicom: Make) -> None:
        path = make_dicom(RAMP)
        with opened(path) as file:
            low, high = percentile_limits(file)
        assert (low, high) == (pytest.approx(20, abs=2), pytest.approx(4075, abs=2))
        assert shown(path, limits=(0.0, 8190.0)).pixels.max() == pytest.approx(0.5, abs=0.01)


def test_32_bit_values(make_dicom: Make) -> None:
    pixels = np.linspace(0, 2**31, 4096).astype(np.uint32).reshape(64, 64)
    result = shown(make_dicom(pixels)).pixels
    assert result[32, 0] == pytest.approx(0.5, abs=0.01)


def test_functional_groups_of_an_enhanced_file(make_dicom: Make) -> None:
    frames = np.stack([RAMP, RAMP])

    def group(centre: int) -> Dataset:
        window, rescale, own = Dataset(), Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = centre, 1000
        rescale.RescaleSlope, rescale.RescaleIntercept = 1, -1000
        own.FrameVOILUTSequence = Sequence([window])
        own.PixelValueTransformationSequence = Sequence([rescale])
        return own

    path = make_dicom(frames, frames=2, PerFrameFunctionalGroupsSequence=Sequence([group(0), group(2000)]))
    assert shown(path, index=0).pixels.ravel()[1000] == pytest.approx(0.5, abs=0.01)
    assert shown(path, index=1).pixels.ravel()[3000] == pytest.approx(0.5, abs=0.01)
