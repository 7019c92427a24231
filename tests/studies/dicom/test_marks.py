"""The two heuristics: drawn text, noise, and real pictures whose text was read by eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw, ImageFont

from radflow.studies.dicom.marks import burned_in_text, components, looks_inverted
from radflow.studies.images import load_image


def with_text(text: str, at: tuple[int, int], size: int, *, level: int = 255, side: int = 800) -> np.ndarray:
    """Text on a soft, noisy ground."""
    noise = np.random.default_rng(0).normal(60, 6, (side, side)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(noise)
    ImageDraw.Draw(image).text(at, text, fill=level, font=ImageFont.load_default(size))
    return np.asarray(image, dtype=np.float32) / np.float32(255)


@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("at", [(20, 20), (500, 20), (20, 740), (400, 740)])
def test_text_at_the_borders(size: int, at: tuple[int, int]) -> None:
    letters = burned_in_text(with_text("DOE JOHN 1951", at, size))
    assert 6 <= letters <= 13


@pytest.mark.parametrize("text", ["", "L", "AP"])
def test_side_markers_are_not_text(text: str) -> None:
    assert burned_in_text(with_text(text, (700, 30), 32)) == 0


def test_what_it_does_not_see() -> None:
    """In the middle, or faint: written down as limits in docs/dicom.md."""
    assert burned_in_text(with_text("DOE JOHN 1951", (300, 400), 24)) == 0
    assert burned_in_text(with_text("DOE JOHN 1951", (20, 20), 24, level=100)) == 0


def test_smooth_pictures_and_noise_are_not_text() -> None:
    noise = np.random.default_rng(1).random((200, 200), dtype=np.float32)
    assert burned_in_text(noise) == 0
    y, x = np.mgrid[:512, :512] / 512
    assert burned_in_text((0.5 + 0.5 * np.sin(9 * x + 5 * y)).astype(np.float32)) == 0
    assert burned_in_text(np.zeros((3, 3), dtype=np.float32)) == 0


@settings(deadline=None)
@given(arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_components_are_those_of_a_flood_fill(mask: np.ndarray) -> None:
    left = {tuple(place) for place in np.argwhere(mask).tolist()}
    expected = []
    while left:
        todo, region = [left.pop()], []
        while todo:
            row, column = todo.pop()
            region.append((row, column))
            near = {(row + dy, column + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            todo += near
        rows, columns = zip(*region, strict=True)
        box = (min(rows), max(rows) + 1, min(columns), max(columns) + 1)
        expected.append((box, len(region)))
    assert sorted((tuple(box), filled) for box, filled in components(mask)) == sorted(expected)


# What a person reads on them: "LT sch", "LT SLL,DR"; the others have lead markers or one letter.
BURNED_IN = {"1000_IM-0003-1001.dcm.png", "1002_IM-0004-1001.dcm.png"}


def test_real_films(iu_xray: Path) -> None:
    found = set()
    for path in sorted((iu_xray / "images").glob("*.png")):
        film = load_image(path)
        assert not looks_inverted(film), path.name
        assert looks_inverted(1 - film), path.name
        if burned_in_text(film):
            found.add(path.name)
    assert found == BURNED_IN


def test_real_sonograms_without_text(iu_xray: Path) -> None:
    folder = iu_xray.parent / "carotid_us" / "images"
    if not folder.is_dir():
        pytest.skip("real carotid images (../shared/realdata/carotid_us) are not on this machine")
    paths = sorted(folder.glob("*.png"))
    assert len(paths) == 17
    assert [path.name for path in paths if burned_in_text(load_image(path))] == []
