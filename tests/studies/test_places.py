"""A manifest's images lie where its reader allows, and where ``prepare`` noted them on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from radflow.errors import DataError
from radflow.studies.places import allowed, image_place, note, noted


@pytest.mark.parametrize("name", ["../other/a.png", "/etc/passwd", "x/../../a.png"])
def test_outside_the_folder(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    allow = allowed(home / "studies.jsonl", (), knob="data.root")
    with pytest.raises(DataError, match=r"image outside .*home: .* with data\.root"):
        image_place(home, name, allow)
    assert image_place(home, name, None).is_absolute()
    anywhere = allowed(home / "studies.jsonl", (None, Path("/")), knob="data.root")
    assert image_place(home, name, anywhere) == image_place(home, name, None)


@pytest.mark.parametrize("name", ["a.png", "x/../a.png", "./films/a.png", "films\u00a0of/a.png"])
def test_inside(tmp_path: Path, name: str) -> None:
    allow = allowed(tmp_path / "studies.jsonl", (), knob="data.root")
    assert image_place(tmp_path, name, allow).is_relative_to(tmp_path)


def test_a_folder_of_images_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to("/usr")
    allow = allowed(tmp_path / "studies.jsonl", (), knob="data.root")
    assert image_place(tmp_path, "images/a.png", allow) == tmp_path / "images/a.png"


@pytest.mark.parametrize("name", ["a\0.png", "x" * 300 + ".png", "x/" * 3000 + "a.png"])
def test_names_that_no_file_has(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"NUL|too long"):
        image_place(tmp_path, name, None)


def test_a_note_counts_where_it_was_made_and_a_copy_does_not(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    out.mkdir()
    note(out / "studies.jsonl", (data, None, out / "images"))
    assert noted(out / "studies.jsonl") == (data,)
    shutil.copytree(out, tmp_path / "copy")
    assert noted(tmp_path / "copy" / "studies.jsonl") == ()
    out.rename(tmp_path / "moved")
    assert noted(tmp_path / "moved" / "studies.jsonl") == (data,)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"inode": 1}', "\udc80", "[" * 100_000])
def test_a_damaged_note_means_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "studies.roots.json").write_text(content, errors="surrogateescape")
    assert noted(tmp_path / "studies.jsonl") == ()


def test_no_note_is_needed_where_the_images_lie_below(tmp_path: Path) -> None:
    note(tmp_path / "studies.jsonl", (Path("/elsewhere"),))
    note(tmp_path / "studies.jsonl", (tmp_path, tmp_path / "images"))
    assert not list(tmp_path.iterdir())
