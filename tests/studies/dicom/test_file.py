"""What is refused, with one line that names the file, and what is read although it is odd."""

from __future__ import annotations

import builtins
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pydicom", reason="pydicom is not installed (the extra 'dicom')")

import pydicom
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from radflow.errors import DataError, MissingDependencyError, MissingFileError
from radflow.studies.dicom import file as dicom_file
from radflow.studies.dicom.file import is_dicom, opened
from radflow.studies.dicom.pixels import decode

Make = Callable[..., Path]
PIXELS = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40)


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught, opened(path) as file:
        decode(file)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")  # the folder is named after the test


def rewritten(path: Path, **tags: Any) -> Path:
    """The file with other tags, its pixel data untouched."""
    ds = pydicom.dcmread(path)
    for keyword, value in tags.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.save_as(path)
    return path


class TestNotAsItShouldBe:
    def test_missing(self, tmp_path: Path) -> None:
        with (
            pytest.raises(MissingFileError, match=r"gone\.dcm: no such image file"),
            opened(tmp_path / "gone.dcm"),
        ):
            pass

    def test_a_folder(self, tmp_path: Path) -> None:
        assert "cannot be read" in refusal(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(200)])
    def test_not_dicom(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "scan.dcm"
        path.write_bytes(content)
        assert not is_dicom(path)
        assert "expected a DICOM file" in refusal(path)

    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
    @pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.98])
    def test_truncated(self, make_dicom: Make, syntax: str, share: float) -> None:
        path = make_dicom(PIXELS, syntax=syntax)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        message = refusal(path)
        assert "truncated" in message or "expected a DICOM file" in message

    def test_a_deflated_file_that_is_truncated(self, make_dicom: Make) -> None:
        path = make_dicom(PIXELS, syntax=DeflatedExplicitVRLittleEndian)
        path.write_bytes(path.read_bytes()[:-40])
        assert refusal(path).startswith("the deflated DICOM file is truncated")

    def test_no_pixel_data(self, make_dicom: Make) -> None:
        assert "holds no pixel data" in refusal(rewritten(make_dicom(PIXELS), PixelData=None))

    def test_floating_point_pixels(self, make_dicom: Make) -> None:
        path = rewritten(make_dicom(PIXELS), PixelData=None, FloatPixelData=bytes(48 * 40 * 4))
        assert "got floating-point ones" in refusal(path)

    @pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"])
    def test_a_tag_that_decoding_needs(self, make_dicom: Make, keyword: str) -> None:
        assert keyword in refusal(rewritten(make_dicom(PIXELS), **{keyword: None}))

    @pytest.mark.parametrize(
        ("tags", "words"),
        [
            ({"PhotometricInterpretation": "HSV"}, "not one of MONOCHROME1"),
            ({"PhotometricInterpretation": "RGB"}, "RGB has 3 samples per pixel, the file says 1"),
            ({"BitsAllocated": 12}, "BitsAllocated should be 1, 8, 16 or 32, got 12"),
            ({"BitsStored": 17}, "BitsStored should be from 1 to 16, got 17"),
            ({"PixelRepresentation": 2}, "PixelRepresentation should be from 0 to 1"),
            ({"Rows": 0}, "Rows should be from 1 to 65535, got 0"),
            ({"Rows": 480}, "480 x 40 at 16 bits need 38400"),
        ],
    )
    def test_headers_that_cannot_be(self, make_dicom: Make, tags: dict[str, Any], words: str) -> None:
        assert words in refusal(rewritten(make_dicom(PIXELS), **tags))

    def test_a_number_that_is_none(self, make_dicom: Make) -> None:
        path = make_dicom(PIXELS, NumberOfFrames=1)
        path.write_bytes(path.read_bytes().replace(b"IS\x02\x001 ", b"IS\x02\x00X^"))
        message = refusal(path)
        assert "NumberOfFrames should be a whole number" in message
        assert "X^" not in message

    @pytest.mark.parametrize("syntax", ["1.2.3.4.5", MPEG2MPML])
    def test_a_transfer_syntax_that_cannot_be_read(self, make_dicom: Make, syntax: str) -> None:
        path = make_dicom(PIXELS, syntax=RLELossless)
        ds = pydicom.dcmread(path)
        ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(path, implicit_vr=False, little_endian=True)
        message = refusal(path)
        assert "transfer syntax that cannot be read" in message
        assert "1.2.3.4.5" not in message

    def test_compressed_data_with_a_length(self, make_dicom: Make) -> None:
        path = make_dicom(PIXELS, syntax=JPEGLSLossless)
        content = path.read_bytes()
        at = content.index(b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff")
        path.write_bytes(content[: at + 8] + b"\x10\x27\x00\x00" + content[at + 12 :])
        assert "must have undefined length" in refusal(path)

    @pytest.mark.parametrize("length", [b"\x10\x00\x00\x00", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff"])
    def test_a_fragment_of_the_wrong_length(self, make_dicom: Make, length: bytes) -> None:
        path = make_dicom(PIXELS, syntax=JPEGLSLossless)
        content = path.read_bytes()
        item = content.index(b"\xfe\xff\x00\xe0", content.index(b"\xe0\x7f\x10\x00OB") + 20)
        path.write_bytes(content[: item + 4] + length + content[item + 8 :])
        message = refusal(path)
        assert "broken" in message or "truncated" in message

    def test_uncompressed_data_that_claim_to_be_compressed(self, make_dicom: Make) -> None:
        path = make_dicom(PIXELS)
        old, new = b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.5\x00"
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new))
        assert "must have undefined length" in refusal(path)


class TestBombs:
    def test_more_pixels_than_pillow_allows(self, make_dicom: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        path = make_dicom(PIXELS)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 48 * 40 - 1)
        assert "decompression bomb (48 x 40 pixels" in refusal(path)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        with opened(path) as file:
            assert file.rows == 48

    def test_a_header_alone_is_enough_to_refuse(self, make_dicom: Make) -> None:
        assert "decompression bomb" in refusal(rewritten(make_dicom(PIXELS), Rows=60000, Columns=60000))

    def test_a_deflated_file_that_grows(self, make_dicom: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        path = make_dicom(np.zeros((300, 300), np.uint16), syntax=DeflatedExplicitVRLittleEndian)
        assert path.stat().st_size < 2000
        monkeypatch.setattr(dicom_file, "MAX_INFLATED_BYTES", 100_000)
        assert "inflates to over 100000 bytes" in refusal(path)

    def test_a_bomb_is_refused_within_its_bound(
        self, make_dicom: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = make_dicom(np.zeros((5000, 5000), np.uint16), syntax=DeflatedExplicitVRLittleEndian)
        monkeypatch.setattr(dicom_file, "MAX_INFLATED_BYTES", 2**22)
        tracemalloc.start()
        assert "decompression bomb" in refusal(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * 2**22, "of 50 MB"

    @pytest.mark.parametrize("pixels", [np.zeros((48, 40, 3), np.uint8), np.zeros((48, 40), np.uint32)])
    def test_what_costs_more_memory_may_have_fewer_pixels(
        self, make_dicom: Make, monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray
    ) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 48 * 40)
        assert "decompression bomb" in refusal(make_dicom(pixels))
        with opened(make_dicom(PIXELS)) as file:
            assert decode(file).size == 48 * 40


class TestOddButRead:
    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, None])
    def test_no_preamble_and_no_group_2(self, make_dicom: Make, syntax: str | None, tmp_path: Path) -> None:
        ds = pydicom.dcmread(make_dicom(PIXELS, syntax=syntax))
        bare = tmp_path / "IM0001"
        implicit, little = ds.original_encoding
        plain = pydicom.Dataset(ds)
        plain.save_as(bare, implicit_vr=implicit, little_endian=little)
        assert bare.read_bytes()[128:132] != b"DICM"
        assert is_dicom(bare)
        with opened(bare) as file:
            np.testing.assert_array_equal(decode(file), PIXELS)

    def test_deflated_bytes_after_the_stream(self, make_dicom: Make) -> None:
        path = make_dicom(PIXELS, syntax=DeflatedExplicitVRLittleEndian)
        path.write_bytes(path.read_bytes() + b"\x00")  # the standard pads to an even length
        with opened(path) as file:
            np.testing.assert_array_equal(decode(file), PIXELS)

    def test_named_as_something_else(self, make_dicom: Make) -> None:
        assert is_dicom(make_dicom(PIXELS, name="picture.png"))

    def test_a_modality_that_is_on_no_list(self, make_dicom: Make) -> None:
        with opened(make_dicom(PIXELS, Modality="SMITH")) as file:
            assert file.modality == "OT"


def test_without_pydicom(make_dicom: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_dicom(PIXELS)
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "pydicom":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert is_dicom(path)
    with pytest.raises(MissingDependencyError, match=r"pip install 'radflow\[dicom\]'"), opened(path):
        pass


def test_without_a_decoder(make_dicom: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_dicom(PIXELS, syntax=JPEG2000Lossless)
    decoder = pydicom.pixels.get_decoder(JPEG2000Lossless)
    monkeypatch.setattr(decoder, "_available", {})
    with (
        pytest.raises(MissingDependencyError, match=r"no decoder for JPEG 2000.*radflow\[dicom\]"),
        opened(path),
    ):
        pass
