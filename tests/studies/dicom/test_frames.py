"""NumberOfFrames against the pixel data, and the size in the header of a compressed picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed (the extra 'dicom')")

import pydicom
from pydicom.encaps import get_frame
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from radflow.errors import DataError
from radflow.studies.codestreams import codestream_shape
from radflow.studies.dicom.file import opened
from radflow.studies.dicom.pixels import decode

Make = Callable[..., Path]
PIXELS = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40)


def claiming(path: Path, frames: int) -> Path:
    """The same file with another NumberOfFrames."""
    ds = pydicom.dcmread(path)
    ds.NumberOfFrames = frames
    ds.save_as(path)
    return path


def test_more_frames_than_there_are(make_dicom: Make) -> None:
    path = claiming(make_dicom(np.stack([PIXELS] * 3), frames=3), 100)
    with pytest.raises(DataError, match=r"11520 bytes of pixel data, but 100 frame\(s\)"), opened(path):
        pass


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_more_compressed_frames_than_there_are(make_dicom: Make, syntax: str) -> None:
    path = claiming(make_dicom(np.stack([PIXELS] * 3), frames=3, syntax=syntax), 100)
    with pytest.raises(DataError, match="says 100, the pixel data hold at most 3"), opened(path):
        pass


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_fewer_frames_than_there_are(make_dicom: Make, syntax: str) -> None:
    """The first are read, and the file says that there were more."""
    path = make_dicom(np.stack([PIXELS, PIXELS + 1, PIXELS + 2]), frames=3, syntax=syntax)
    with opened(claiming(path, 2)) as file:
        assert file.excess_frames
        assert file.frames == 2
        np.testing.assert_array_equal(decode(file, 1), PIXELS + 1)


@pytest.mark.parametrize("count", [0, None])
def test_none_means_one(make_dicom: Make, count: int | None) -> None:
    with opened(make_dicom(PIXELS, NumberOfFrames=count)) as file:
        assert (file.frames, file.excess_frames) == (1, False)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize("shape", [(48, 40), (33, 200), (64, 32, 3)])
def test_the_size_in_a_compressed_picture(make_dicom: Make, syntax: str, shape: tuple[int, ...]) -> None:
    ds = pydicom.dcmread(make_dicom(np.zeros(shape, np.uint8), syntax=syntax))
    stream = get_frame(ds.PixelData, 0, number_of_frames=1)
    assert codestream_shape(stream) == (*shape[:2], *(shape[2:] or (1,)))


@pytest.mark.parametrize(
    "stream", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00", b"\xff\x4f\xff\x51\x00", b"GIF89a"]
)
def test_streams_without_a_size(stream: bytes) -> None:
    assert codestream_shape(stream) in (None, (0, 0, 0))
