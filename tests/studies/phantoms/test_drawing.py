"""Drawings with notes of how they were made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radflow.errors import NotWritableError
from radflow.files import make_folder
from radflow.studies.images import to_pil
from radflow.studies.phantoms.drawing import drawing_note, renderer_fingerprint, save_drawing

PIXELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_a_drawing_carries_its_note_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    save_drawing(path, PIXELS, {"study": "é", "size": 16})
    assert drawing_note(path) == {"drawn": True, "study": "é", "size": 16}
    np.testing.assert_array_equal(np.asarray(to_pil(path))[..., 0], PIXELS)
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_a_whole_drawing_has_no_note(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    assert drawing_note(path) is None
    Image.fromarray(PIXELS).save(path)
    assert drawing_note(path) is None
    save_drawing(path, PIXELS, {})
    path.write_bytes(path.read_bytes()[:-15])
    assert drawing_note(path) is None


def test_the_renderer_is_known_by_its_code() -> None:
    assert renderer_fingerprint("chest") == renderer_fingerprint("chest") != renderer_fingerprint("carotid")


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotWritableError, match="cannot make this folder"):
        make_folder(tmp_path / "file" / "out")
    with pytest.raises(NotWritableError, match="the drawing cannot be written"):
        save_drawing(tmp_path / "file" / "a.png", PIXELS, {})
