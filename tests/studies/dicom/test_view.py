"""View words and the turn to the usual display, on a picture whose corners differ."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed (the extra 'dicom')")

from pydicom import Dataset
from pydicom.sequence import Sequence

from radflow.studies.dicom.view import directions_of, turned, view_of

# Row by row: what is where when the patient's right is on the reader's left and the head is up.
RIGHT_HEAD, LEFT_HEAD, RIGHT_FEET, LEFT_FEET = range(4)
UPRIGHT = np.array([[RIGHT_HEAD, LEFT_HEAD], [RIGHT_FEET, LEFT_FEET]])


def tags_of(**tags: object) -> Dataset:
    ds = Dataset()
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return ds


def code(meaning: str) -> Sequence:
    return Sequence([tags_of(CodeValue="399348003", CodeMeaning=meaning)])


@pytest.mark.parametrize(
    ("tags", "view"),
    [
        ({"ViewPosition": "PA"}, "frontal"),
        ({"ViewPosition": "AP"}, "frontal"),
        ({"ViewPosition": "LL"}, "lateral"),
        ({"ViewPosition": "LATERAL"}, "lateral"),
        ({"ViewPosition": "LAO"}, None),
        ({"ViewPosition": "", "ViewCodeSequence": code("antero-posterior")}, "frontal"),
        ({"ViewCodeSequence": code("left lateral")}, "lateral"),
        ({"ViewCodeSequence": code("antero-posterior oblique")}, None),
        ({"SeriesDescription": "view: PA"}, "frontal"),
        ({"SeriesDescription": "CHEST LAT"}, "lateral"),
        ({"SeriesDescription": "CHEST PA AND LATERAL"}, None),
        ({"ProtocolName": "Thorax lateral", "SeriesDescription": "W033"}, "lateral"),
        ({"SeriesDescription": "LAT", "ViewPosition": "PA"}, "frontal"),
        ({}, None),
    ],
)
def test_views_of_films(tags: dict[str, object], view: str | None) -> None:
    assert view_of(tags_of(**tags), "DX") == view


@pytest.mark.parametrize(
    ("cosines", "plane"),
    [
        ([1, 0, 0, 0, 1, 0], "axial"),
        ([0.98, 0.17, 0, -0.17, 0.96, 0.2], "axial"),
        ([1, 0, 0, 0, 0, -1], "coronal"),
        ([0, 1, 0, 0, 0, -1], "sagittal"),
        ([1, 0, 0, 1, 0, 0], None),
        (["1"], None),
    ],
)
def test_planes_of_slices(cosines: list[float], plane: str | None) -> None:
    assert view_of(tags_of(ImageOrientationPatient=cosines), "MR") == plane


@pytest.mark.parametrize(("side", "word"), [("R", "right"), ("L", "left"), ("B", None), ("", None)])
def test_sides_of_sonograms(side: str, word: str | None) -> None:
    assert view_of(tags_of(ImageLaterality=side), "US") == word


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (["L", "F"], UPRIGHT),
        (["R", "F"], UPRIGHT[:, ::-1]),
        (["L", "H"], UPRIGHT[::-1]),
        (["R", "H"], UPRIGHT[::-1, ::-1]),
        (["F", "L"], UPRIGHT.T),
        (["H", "R"], UPRIGHT.T[::-1, ::-1]),
        (["LF", "FR"], UPRIGHT),
    ],
)
def test_films_are_shown_as_if_the_patient_faced_the_reader(
    orientation: list[str], stored: np.ndarray
) -> None:
    pixels, remarks = turned(stored, tags_of(PatientOrientation=orientation), "CR")
    np.testing.assert_array_equal(pixels, UPRIGHT)
    assert bool(remarks) == (stored is not UPRIGHT)


def test_lateral_films_are_put_upright_but_never_mirrored() -> None:
    for front in "AP":
        pixels, _ = turned(UPRIGHT[::-1], tags_of(PatientOrientation=[front, "H"]), "DX")
        np.testing.assert_array_equal(pixels, UPRIGHT)


@pytest.mark.parametrize(
    ("modality", "tags"),
    [
        ("CR", {}),
        ("CR", {"PatientOrientation": ""}),
        ("CR", {"PatientOrientation": ["X", "Y"]}),
        ("CR", {"PatientOrientation": ["L", "R"]}),
        ("CR", {"PatientOrientation": ["R", "F"], "BodyPartExamined": "HAND"}),
        ("MG", {"PatientOrientation": ["P", "F"]}),
        ("US", {"PatientOrientation": ["R", "F"]}),
        ("DX", {"FieldOfViewHorizontalFlip": "YES", "FieldOfViewRotation": "180"}),
    ],
)
def test_what_is_left_as_it_lies(modality: str, tags: dict[str, object]) -> None:
    pixels, remarks = turned(UPRIGHT, tags_of(**tags), modality)
    assert pixels is UPRIGHT
    assert remarks == ()


@pytest.mark.parametrize(
    ("cosines", "letters", "stored"),
    [
        ([1, 0, 0, 0, 1, 0], ("L", "P"), UPRIGHT),
        ([-1, 0, 0, 0, -1, 0], ("R", "A"), UPRIGHT[::-1, ::-1]),  # prone
        ([1, 0, 0, 0, 0, 1], ("L", "H"), UPRIGHT[::-1]),  # coronal, feet up
        ([0, -1, 0, 0, 0, -1], ("A", "F"), UPRIGHT[:, ::-1]),  # sagittal, the front on the right
    ],
)
def test_slices_are_turned_the_same_way(
    cosines: list[float], letters: tuple[str, str], stored: np.ndarray
) -> None:
    tags = tags_of(ImageOrientationPatient=cosines)
    assert directions_of(tags, "CT") == letters
    np.testing.assert_array_equal(turned(stored, tags, "CT")[0], UPRIGHT)


def test_colours_are_turned_as_a_whole() -> None:
    pixels = np.arange(12).reshape(2, 2, 3)
    np.testing.assert_array_equal(
        turned(pixels, tags_of(PatientOrientation=["F", "L"]), "CR")[0], pixels.swapaxes(0, 1)
    )
