"""DICOM wherever a PNG is taken, what is told of a file, and the real files with their traps.

What each real file looks like to the eye is in docs/dicom.md; here it is held fast.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("pydicom", reason="pydicom is not installed (the extra 'dicom')")

import pydicom
from pydicom import Dataset
from pydicom.pixels import pixel_array
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from radflow.errors import DataError, MissingDependencyError, RadflowError
from radflow.studies import load_image, to_pil
from radflow.studies.dicom import DicomInfo, expand, inspect, load_dicom
from radflow.studies.images import check_image

Make = Callable[..., Path]
DAMAGED = (
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
)
FILM = np.random.default_rng(0).integers(0, 4096, (40, 36), dtype=np.uint16)
COLOURS = np.random.default_rng(1).integers(0, 256, (40, 36, 3), dtype=np.uint8)


class TestWhereAPngIsTaken:
    @pytest.mark.parametrize("name", ["scan.dcm", "IM0001", "picture.png"])
    def test_grays(self, make_dicom: Make, name: str) -> None:
        path = make_dicom(FILM, name=name, WindowCenter=2048, WindowWidth=4096, BitsStored=12)
        image = load_image(path)
        assert image.dtype == np.float32
        np.testing.assert_allclose(image, FILM / 4095, atol=1e-3)
        assert check_image(path) == (40, 36)
        eight_bits = to_pil(path)
        assert eight_bits.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(eight_bits)[..., 1], np.round(image * 255))

    def test_colours_stay_for_the_processor(self, make_dicom: Make) -> None:
        path = make_dicom(COLOURS, syntax=JPEG2000Lossless, Modality="US")
        np.testing.assert_array_equal(np.asarray(to_pil(path)), COLOURS)
        np.testing.assert_allclose(load_image(path), COLOURS @ [0.299, 0.587, 0.114] / 255, atol=1e-6)

    @pytest.mark.parametrize("function", [load_image, to_pil, check_image])
    def test_clips_are_refused(self, make_dicom: Make, function: Callable[[Path], object]) -> None:
        path = make_dicom(np.stack([FILM, FILM]), frames=2)
        with pytest.raises(DataError, match=r"a\.dcm: expected one picture, got .* 2 frames.*expand"):
            function(path)


def test_what_is_told_of_a_file(make_dicom: Make) -> None:
    path = make_dicom(
        FILM,
        syntax=JPEG2000Lossless,
        Modality="DX",
        ViewPosition="PA",
        BitsStored=12,
        WindowCenter=2048,
        WindowWidth=4096,
        BurnedInAnnotation="YES",
        PresentationIntentType="FOR PROCESSING",
        BodyPartExamined="HAND",
    )
    assert inspect(path) == DicomInfo(
        modality="DX",
        view="frontal",
        rows=40,
        columns=36,
        frames=1,
        bits=12,
        photometric="MONOCHROME2",
        transfer_syntax="JPEG 2000 Image Compression (Lossless Only)",
        flags=("burned-in text: the file's tag says so", "raw detector data, not made for display"),
    )


def test_more_frames_than_the_header_says_are_flagged(make_dicom: Make) -> None:
    path = make_dicom(np.stack([FILM] * 3), frames=3)
    ds = pydicom.dcmread(path)
    ds.NumberOfFrames = 1
    ds.save_as(path)
    assert any("more frames than NumberOfFrames" in flag for flag in inspect(path).flags)
    assert len(expand(path, path.parent / "out")) == 1


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    syntax=st.sampled_from([ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless]),
    flips=st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.none() | st.integers(0, 1500),
)
def test_damage_gives_a_picture_or_one_clear_line(
    make_dicom: Make, syntax: str, flips: list[tuple[int, int]], cut: int | None
) -> None:
    path = make_dicom(FILM, syntax=syntax, WindowCenter=2048, WindowWidth=4096, PatientOrientation=["L", "F"])
    content = bytearray(path.read_bytes())
    for place, value in flips:
        content[place % len(content)] = value
    path.write_bytes(bytes(content[:cut]))
    try:
        image = load_image(path)
    except RadflowError as error:
        assert str(error).startswith(f"{path}: ")
        assert "\n" not in str(error)
    else:
        assert 0 <= image.min() <= image.max() <= 1


class TestRealFiles:
    def test_monochrome1_film_of_15_bits_in_jpeg_2000(self, real_dicom: Path) -> None:
        """Bones and heart bright, lungs darker, the corners above the shoulders darkest."""
        path = real_dicom / "RG1_J2KI.dcm"
        film = load_image(path)
        assert film.shape == check_image(path) == (1955, 1841)
        lung, spine, corner = film[800:900, 400:500], film[1300:1500, 870:970], film[:60, -60:]
        assert corner.mean() < lung.mean() < spine.mean()
        stored = pixel_array(path).astype(float)
        window = 1 - np.clip((stored - 14999.5) / 29999 + 0.5, 0, 1)  # its own, centre 15000, width 30000
        np.testing.assert_allclose(film, window, atol=1e-4)
        told = inspect(path)
        assert (told.view, told.flags) == ("frontal", ())

    def test_the_same_film_labelled_right_and_wrong(self, real_dicom: Path) -> None:
        """Nothing in the tags tells which label is right; the wrong one is shown as labelled, and flagged."""
        right, wrong = real_dicom / "siim_cxr_jpegbaseline_mono2.dcm", real_dicom / "Fake_MONOHR1.dcm"
        np.testing.assert_allclose(load_image(wrong), 1 - load_image(right), atol=1e-6)
        np.testing.assert_allclose(load_image(right), pixel_array(right) / 255, atol=1e-6)
        assert not any("looks inverted" in flag for flag in inspect(right).flags)
        assert any("looks inverted" in flag and "heuristic" in flag for flag in inspect(wrong).flags)
        assert inspect(right).view == inspect(wrong).view == "frontal"

    def test_power_doppler_with_the_name_of_a_hospital(self, real_dicom: Path) -> None:
        """Orange flow in a lymph node, white text in the upper corners: YBR_RCT is undone by the decoder."""
        path = real_dicom / "US1_J2KR.dcm"
        colours = np.asarray(to_pil(path)).astype(int)
        flow = colours[170:260, 100:500].reshape(-1, 3)
        flow = flow[np.ptp(flow, axis=1) > 100]
        assert len(flow) > 2000
        assert (flow[:, 0] > flow[:, 2]).mean() > 0.99  # red above blue
        [flag] = inspect(path).flags
        assert flag.startswith("burned-in text: ")
        assert int(flag.split()[2]) > 50

    def test_16_bit_palette(self, real_dicom: Path) -> None:
        """Two gray sectors, green marks, a blue-gray bar below; the segmented palette has 65,536 places."""
        path = real_dicom / "gdcm-US-ALOKA-16.dcm"
        colours = np.asarray(to_pil(path)).astype(int)
        assert colours.shape == (480, 640, 3)
        tissue = colours[240:340, 60:300].reshape(-1, 3)
        assert (np.ptp(tissue, axis=1) <= 8).mean() > 0.99
        green = (colours[..., 1] > 150) & (colours[..., 0] < 100) & (colours[..., 2] < 100)
        assert 50 < green.sum() < 5000
        assert any(flag.startswith("burned-in text") for flag in inspect(path).flags)
        assert inspect(path).view == "right"

    @pytest.mark.parametrize("name", ["mlut_18.dcm", "vlut_04.dcm"])
    def test_tables(self, real_dicom: Path, name: str) -> None:
        """The SMPTE pattern: each patch is as bright as the percentage beside it, 5 % and 95 % too."""
        pattern = load_image(real_dicom / name)
        for share, (row, column) in SMPTE.items():
            assert pattern[row, column] == pytest.approx(share, abs=0.01), share

    def test_real_files_as_one_study(self, real_dicom: Path, tmp_path: Path) -> None:
        found = expand(real_dicom, tmp_path / "out")
        assert [path.name for path in found] == [f"{number:03d}-picture-01.png" for number in range(1, 8)]
        assert load_dicom(real_dicom / "US1_J2KR.dcm").shape == (480, 640, 3)


SMPTE = {
    0.0: (333, 130), 0.1: (282, 130), 0.2: (230, 130), 0.3: (180, 130), 0.4: (190, 175), 0.6: (190, 330),
    0.7: (180, 385), 0.8: (230, 385), 0.9: (282, 385), 1.0: (333, 385), 0.05: (333, 180), 0.95: (333, 333),
}  # fmt: skip

PACKAGED = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_rle.dcm",
        "SC_rgb_rle_16bit.dcm",
        "SC_rgb_rle_32bit.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+n1.dcm",
        "SC_rgb_dcmtk_+eb+cy+n2.dcm",
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",
        "SC_rgb_jls_lossy_sample.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ],
)
def test_the_bars_of_pydicom_s_own_files(name: str) -> None:
    """Coloured, gray, black and white bars in eleven encodings, read where pydicom keeps them."""
    if not (PACKAGED / name).is_file():
        pytest.skip(f"{name} is not in this pydicom")
    bars = np.asarray(to_pil(PACKAGED / name)).astype(int)[5::10, 50]
    expected = [
        [255, 0, 0], [255, 128, 128], [0, 255, 0], [128, 255, 128], [0, 0, 255], [128, 128, 255],
        [0, 0, 0], [64, 64, 64], [192, 192, 192], [255, 255, 255],
    ]  # fmt: skip
    assert np.abs(bars - expected).max() <= 5  # lossy ones


@pytest.mark.parametrize("syntax", DAMAGED, ids=lambda syntax: syntax.name)
def test_no_damage_is_a_traceback_or_breaks_a_picture_that_was_passed(make_dicom: Make, syntax: UID) -> None:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [64, 0, 16])
    table.add_new("LUTData", "US", list(range(64)))
    tags = {"ModalityLUTSequence": Sequence([table]), "WindowCenter": 30, "WindowWidth": 60}
    path = make_dicom(np.arange(4096, dtype=np.uint16).reshape(64, 64) // 64, syntax=syntax, **tags)
    whole, draw = path.read_bytes(), random.Random(0)
    for _ in range(120):
        altered = bytearray(whole[: draw.randrange(len(whole))] if draw.random() < 0.2 else whole)
        for _ in range(draw.randrange(1, 5)):
            altered[draw.randrange(len(altered) // 2, len(altered))] = draw.randrange(256)
        path.write_bytes(altered)
        try:
            check_image(path)
        except (DataError, MissingDependencyError):  # of a transfer syntax that the damage made
            continue
        to_pil(path)
