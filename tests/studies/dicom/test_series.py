"""Series, clips and folders: order, localizers, key slices, montage, and that slices are shown alike."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("pydicom", reason="pydicom is not installed (the extra 'dicom')")

from radflow.errors import DataError, MissingFileError, NotWritableError
from radflow.studies.dicom import expand
from radflow.studies.dicom.series import evenly, montage
from radflow.studies.images import load_image

Make = Callable[..., Path]
AXIAL = [1, 0, 0, 0, 1, 0]


@pytest.fixture
def make_series(make_dicom: Make, tmp_path: Path) -> Callable[..., Path]:
    """A folder of slices whose gray is their place from the head, under shuffled names and numbers."""

    def make(count: int = 20, modality: str = "CT", uid: str = "1.2.3", **tags: Any) -> Path:
        numbers = list(range(count))
        random.Random(0).shuffle(numbers)
        for place, number in enumerate(numbers):
            make_dicom(
                np.full((16, 12), 1000 + 10 * place, np.uint16),
                name=f"study/{uid}/IM{number:04d}",
                **{
                    "Modality": modality,
                    "SeriesInstanceUID": uid,
                    "ImageOrientationPatient": AXIAL,
                    "ImagePositionPatient": [0, 0, 500 - 2.5 * place],
                    "InstanceNumber": number,
                    "RescaleSlope": 1,
                    "RescaleIntercept": -1000,
                    "WindowCenter": 100,
                    "WindowWidth": 400,
                    **tags,
                },
            )
        return tmp_path / "study"

    return make


def grays(paths: list[Path]) -> list[float]:
    return [round(float(load_image(path).mean()), 3) for path in paths]


def test_slices_run_from_head_to_feet_whatever_they_are_called(make_series: Make, tmp_path: Path) -> None:
    found = expand(make_series(20), tmp_path / "out", frames=20)
    assert [path.name for path in found][:2] == ["001-slice-01.png", "001-slice-02.png"]
    assert len(found) == 20
    assert grays(found) == sorted(grays(found))


def test_key_slices_are_evenly_spaced(make_series: Make, tmp_path: Path) -> None:
    folder = make_series(20)
    every = grays(expand(folder, tmp_path / "all", frames=20))
    assert grays(expand(folder, tmp_path / "out", frames=4)) == [every[place] for place in (2, 7, 12, 17)]


@pytest.mark.parametrize(
    ("cosines", "axis", "falls"),
    [([1, 0, 0, 0, 1, 0], 2, True), ([1, 0, 0, 0, 0, -1], 1, False), ([0, 1, 0, 0, 0, -1], 0, False)],
)
def test_each_plane_has_its_direction(
    make_dicom: Make, tmp_path: Path, cosines: list[int], axis: int, falls: bool
) -> None:
    for place in range(5):
        position = [0.0, 0.0, 0.0]
        position[axis] = 10.0 * place
        make_dicom(
            np.full((8, 8), place * 50, np.uint8),
            name=f"study/{9 - place}",
            Modality="MR",
            SeriesInstanceUID="1.2",
            ImageOrientationPatient=cosines,
            ImagePositionPatient=position,
            WindowCenter=128,
            WindowWidth=256,
        )
    shown = grays(expand(tmp_path / "study", tmp_path / "out"))
    assert shown == sorted(shown, reverse=falls)
    assert len(set(shown)) == 5


def test_without_positions_the_instance_number_decides(make_series: Make, tmp_path: Path) -> None:
    folder = make_series(6, ImagePositionPatient=None)
    assert grays(expand(folder, tmp_path / "out")) != sorted(grays(expand(folder, tmp_path / "out")))


@pytest.mark.parametrize(
    "tags", [{"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, {"SeriesDescription": "Scout 1"}]
)
def test_localizers_are_left_out(make_series: Make, tmp_path: Path, tags: dict[str, Any]) -> None:
    make_series(3, uid="1.2.9", **tags)
    assert len(expand(tmp_path / "study", tmp_path / "alone")) == 3  # there is nothing else
    assert len(expand(make_series(5), tmp_path / "out")) == 5


def test_slices_of_another_plane_are_a_series_of_their_own(make_series: Make, tmp_path: Path) -> None:
    make_series(6)
    folder = make_series(4, ImageOrientationPatient=[1, 0, 0, 0, 0, -1], SeriesNumber=2)
    # The second call wrote over four slices of the first: two axial ones are left beside four coronal ones.
    names = [path.name for path in expand(folder, tmp_path / "out", frames=3)]
    assert names == [
        "001-slice-01.png",
        "001-slice-02.png",
        "002-slice-01.png",
        "002-slice-02.png",
        "002-slice-03.png",
    ]


def test_a_montage_is_one_sheet(make_series: Make, tmp_path: Path) -> None:
    [sheet] = expand(make_series(20), tmp_path / "out", frames=5, as_montage=True)
    assert sheet.name == "001-montage-01.png"
    with Image.open(sheet) as image:
        assert image.size == (3 * 12 + 4, 2 * 16 + 2)
        assert image.info == {}


def test_slices_without_a_window_share_one(make_series: Make, tmp_path: Path) -> None:
    """Each alone, an even slice would be stretched to nothing; together they keep their order of gray."""
    folder = make_series(10, modality="MR", WindowCenter=None, WindowWidth=None)
    shown = grays(expand(folder, tmp_path / "out", frames=10))
    assert shown[0] == 0.0
    assert shown[-1] == 1.0
    assert shown == sorted(shown)
    assert len(set(shown)) == 10


def test_a_clip_gives_evenly_spaced_frames(make_dicom: Make, tmp_path: Path) -> None:
    pixels = np.arange(30, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 6, 3), np.uint8)
    path = make_dicom(pixels, frames=30, Modality="US")
    found = expand(path, tmp_path / "out", frames=3)
    assert [path.name for path in found] == ["001-frame-01.png", "001-frame-02.png", "001-frame-03.png"]
    assert [round(gray * 255) for gray in grays(found)] == [5, 15, 25]
    [sheet] = expand(path, tmp_path / "sheet", frames=4, as_montage=True)
    with Image.open(sheet) as image:
        assert image.mode == "RGB"
        assert image.size == (14, 18)


def test_films_come_frontal_first_and_other_files_are_passed_on_or_by(
    make_dicom: Make, tmp_path: Path
) -> None:
    film = np.random.default_rng(0).integers(0, 255, (20, 20), dtype=np.uint8)
    make_dicom(film, name="study/a", Modality="DX", ViewPosition="LL", SeriesNumber=1, InstanceNumber=1)
    make_dicom(255 - film, name="study/b", Modality="DX", ViewPosition="PA", SeriesNumber=2, InstanceNumber=1)
    Image.fromarray(film).save(tmp_path / "study" / "photo.png")
    (tmp_path / "study" / "README.txt").write_text("not a picture")
    found = expand(tmp_path / "study", tmp_path / "out")
    assert [path.name for path in found] == ["001-picture-01.png", "002-picture-01.png", "photo.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(found[0])), 255 - film)


def test_reports_and_directories_in_a_folder_are_skipped(make_dicom: Make, tmp_path: Path) -> None:
    import pydicom
    from pydicom.uid import BasicTextSRStorage

    path = make_dicom(np.zeros((8, 8), np.uint8), name="study/report")
    make_dicom(np.zeros((8, 8), np.uint8), name="study/picture", Modality="US")
    make_dicom(np.ones((8, 8), np.uint8), name="study/mask", Modality="SEG")
    ds = pydicom.dcmread(path)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(ds, keyword)
    ds.save_as(path)
    assert len(expand(tmp_path / "study", tmp_path / "out")) == 1
    with pytest.raises(DataError, match="holds no pixel data"):
        expand(path, tmp_path / "out")


def test_a_loop_of_links_ends(make_series: Make, tmp_path: Path) -> None:
    folder = make_series(3)
    (folder / "again").symlink_to(folder, target_is_directory=True)
    assert len(expand(folder, tmp_path / "out")) == 3


def test_pictures_of_an_earlier_call_are_not_taken_for_the_study_s(make_series: Make) -> None:
    folder = make_series(4)
    first = expand(folder, folder / "pictures")
    assert expand(folder, folder / "pictures") == first


class TestRefused:
    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(MissingFileError, match="no such file or folder"):
            expand(tmp_path / "gone", tmp_path / "out")
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match="expected a DICOM file or a folder with pictures"):
            expand(tmp_path / "empty", tmp_path / "out")

    def test_one_broken_slice_spoils_the_study(self, make_series: Make, tmp_path: Path) -> None:
        folder = make_series(4)
        broken = sorted(folder.rglob("IM*"))[2]
        broken.write_bytes(broken.read_bytes()[:-100])
        with pytest.raises(DataError, match=rf"{broken.name}: the DICOM file is truncated"):
            expand(folder, tmp_path / "out")

    def test_a_place_that_cannot_be_written(self, make_series: Make, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(NotWritableError, match="cannot write the picture"):
            expand(make_series(1), tmp_path / "file" / "out")

    def test_no_frames(self, make_series: Make, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="at least 1"):
            expand(make_series(1), tmp_path / "out", frames=0)


@given(count=st.integers(1, 400), wanted=st.integers(1, 40))
def test_even_spacing(count: int, wanted: int) -> None:
    places = evenly(count, wanted)
    assert len(places) == len(set(places)) == min(count, wanted)
    assert places == sorted(places)
    assert places[0] >= 0
    assert places[-1] < count
    steps = np.diff(places)
    assert steps.size == 0 or steps.max() - steps.min() <= 1
    assert abs(places[0] - (count - 1 - places[-1])) <= 1


def test_a_montage_scales_large_tiles() -> None:
    sheet = montage([Image.new("L", (1000, 500), 200)] * 3)
    assert sheet.size == (2 * 384 + 2, 2 * 192 + 2)
    assert np.asarray(sheet)[0, 0] == 200
    assert np.asarray(sheet)[-1, -1] == 0
