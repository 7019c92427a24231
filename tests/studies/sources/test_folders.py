"""What lies in a root, and paths that may not lead out of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.errors import DataError, MissingFileError
from radflow.studies.sources.folders import find_file, find_folders, first_there, inside, lies_in


def test_a_name_too_long_for_a_file_is_no_image() -> None:
    for name in ("x" * 300 + ".png", "x/" * 3000 + "a.png"):
        with pytest.raises(DataError, match="too long for a file"):
            inside(Path("/data"), name)


def test_a_wrong_root_says_what_was_looked_for_and_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "pictures").mkdir()
    with pytest.raises(
        MissingFileError, match=r"expected Demo with a\.csv or b\*\.csv; there are notes\.txt, pictures/"
    ):
        find_file(tmp_path, ("a.csv", "b*.csv"), "Demo")
    with pytest.raises(MissingFileError, match=r"images of Demo in train/ or valid/ here or in PNG"):
        find_folders(tmp_path, (".", "PNG"), ("train", "valid"), "Demo")


def test_archives_are_named(tmp_path: Path) -> None:
    (tmp_path / "PNG").mkdir()
    for name in ("deid_png.part00", "PNG/png_chunk_0.zip", "reports.tar.gz", "NLMCXR_png.tgz", "x.tar.zst"):
        (tmp_path / name).touch()
    said = lies_in(tmp_path)
    assert said.startswith(
        "still packed are NLMCXR_png.tgz, PNG/png_chunk_0.zip, deid_png.part00, reports.tar.gz"
    )
    assert "x.tar.zst" in said


def test_an_empty_folder_and_no_folder(tmp_path: Path) -> None:
    assert lies_in(tmp_path) == "the folder is empty"
    assert lies_in(tmp_path / "none") == "it is no folder"


def test_every_folder_that_holds_images_is_found(tmp_path: Path) -> None:
    for name in ("chunk_0/PNG/train", "chunk_1/PNG/valid", "chunk_2/other"):
        (tmp_path / name).mkdir(parents=True)
    found = find_folders(tmp_path, (".", "chunk_*/PNG"), ("train", "valid"), "Demo")
    assert found == (tmp_path / "chunk_0/PNG", tmp_path / "chunk_1/PNG")


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "a/../../b.png", "..", ".", "", "C:\\x.png", "..\\x.png", "a\0.png"],
)
def test_paths_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"^image (outside the data set|without a name): "):
        inside(Path("/data/set"), name)


@given(st.lists(st.sampled_from(["..", "a", ".", "b.png", "", "/"]), max_size=7).map("/".join))
def test_whatever_is_accepted_is_below_the_root(name: str) -> None:
    root = Path("/data/set")
    try:
        path = inside(root, name)
    except DataError:
        return
    assert path.is_relative_to(root)
    assert ".." not in path.parts


def test_absolute_paths_and_those_of_windows_may_stay_inside() -> None:
    assert inside(Path("/data"), "/data/a.png") == Path("/data/a.png")
    assert inside(Path("/data"), "images\\a.png") == Path("/data/images/a.png")


def test_another_ending_and_another_folder_are_tried(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    (two / "a.png").touch()
    (one / "b.dcm.png").touch()
    assert first_there((one, two), "a.jpg") == two / "a.png"
    assert first_there((one, two), "b.dcm.png") == one / "b.dcm.png"
    assert first_there((one, two), "c.jpg") == one / "c.jpg"
