"""Contact sheets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from radflow.errors import DataError, NotWritableError
from radflow.studies import Study, to_pil
from radflow.studies.contact_sheet import caption, contact_sheet

Make = Callable[..., Study]


def test_every_study_gets_a_tile(tmp_path: Path, make_study: Make) -> None:
    studies = [make_study(f"s{number}", truth={"mesh": ["Cardiomegaly/mild"]}) for number in range(5)]
    path = contact_sheet(studies, tmp_path / "out" / "sheet.png", columns=3, rows=2, tile=60)
    sheet = np.asarray(to_pil(path))
    assert sheet.shape[1] == 3 * 68 + 8
    row_height = (sheet.shape[0] - 8) // 2
    tiles = [
        sheet[8 + row * row_height :, 8 + column * 68 :][:58, :58] for row in range(2) for column in range(3)
    ]
    # Pictures are on black; the sixth place stays paper.
    assert [bool((tile == 255).all()) for tile in tiles] == [False] * 5 + [True]


def test_studies_are_taken_evenly(tmp_path: Path, make_study: Make) -> None:
    studies = [make_study(f"s{number}") for number in range(9)]
    studies[4].images[0].unlink()
    contact_sheet([*studies[:4], *studies[5:]], tmp_path / "a.png", columns=2, rows=1, tile=40)
    with pytest.raises(FileNotFoundError, match=r"s4\.png"):
        contact_sheet(studies, tmp_path / "b.png", columns=2, rows=1, tile=40)  # takes s0 and s4


def test_long_captions_stay_inside(tmp_path: Path, make_study: Make) -> None:
    study = make_study(truth={"mesh": ["Opacity/lung/base/left/" + "x" * 300] * 30})
    path = contact_sheet([study], tmp_path / "sheet.png", tile=100)
    sheet = np.asarray(to_pil(path))
    assert sheet.shape[0] < 250
    assert (sheet[:, -6:] == 255).all()


def test_two_pictures_stand_side_by_side(tmp_path: Path, make_study: Make) -> None:
    one = make_study("one")
    two = make_study("two", images=one.images * 2)
    assert to_pil(contact_sheet([two], tmp_path / "sheet.png", tile=50)).width == 2 * 50 + 16


def test_the_caption_says_whether_the_image_is_real(make_study: Make) -> None:
    assert caption(make_study("s")) == "s (real)\nNormal."
    assert caption(make_study("s", drawn=True)).startswith("s (drawn)")


def test_what_cannot_be_is_one_line(tmp_path: Path, make_study: Make) -> None:
    with pytest.raises(DataError, match="at least one study"):
        contact_sheet([], tmp_path / "sheet.png")
    with pytest.raises(NotWritableError, match="cannot be written"):
        contact_sheet([make_study()], tmp_path / "sheet.unknown")
