"""Two heuristics on the rendered picture: burned-in text near the borders, and a film that looks inverted.

Both only flag; docs/dicom.md has their hits and misses. Neither reads text: a flag asks a person to look, and
the absence of a flag does not mean that the picture names nobody.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image, ImageFilter

_SIDE = 1024  # films are looked at in this size: letters of a film's annotation are then 10 to 40 pixels high
_BORDER = 0.2  # share of each side that counts as border
_STROKE = 9  # pixels: strokes of letters are thinner, ribs and skin folds are not
_CONTRAST = 0.25  # of the full range, letter above its surroundings
_HEIGHT, _WIDTH = (6, 40), (2, 48)  # pixels of one glyph
_MIN_GLYPHS = 4  # in one line; "L" and "AP" alone are side markers


class Box(NamedTuple):
    """A rectangle: rows ``top`` to ``bottom``, columns ``left`` to ``right``, the ends not included."""

    top: int
    bottom: int
    left: int
    right: int


def burned_in_text(pixels: Float32[np.ndarray, "H W"]) -> int:
    """How many letters stand in lines of text near the borders of a picture; 0 where none were found.

    Thin bright strokes are cut out by a morphological top-hat, joined to glyphs, and counted where four or
    more of like height stand in a row. Dark letters, slanted or vertical lines and text in the middle are not
    looked for.

    Args:
        pixels: gray in 0..1, as shown.
    """
    return sum(len(line) for line in text_lines(_strokes(pixels)))


def looks_inverted(pixels: Float32[np.ndarray, "H W"]) -> bool:
    """Does a chest film look like its negative? Its corners are then brighter than the middle of its lower
    part.

    On a film shown the usual way, mediastinum, spine and abdomen are bright and at least the upper corners
    show air. Meant for chest films, frontal or lateral; says nothing about other pictures.

    Args:
        pixels: gray in 0..1, as shown.

    >>> film = np.zeros((64, 64), dtype=np.float32); film[:, 20:44] = 0.8
    >>> looks_inverted(film), looks_inverted(1 - film)
    (False, True)
    """
    small = np.asarray(Image.fromarray(pixels).resize((64, 64), Image.Resampling.BOX))
    corners = [small[rows, columns].mean() for rows in (_FIRST, _LAST) for columns in (_FIRST, _LAST)]
    return bool(small[20:58, 29:35].mean() < np.mean(corners) - 0.1)


_FIRST, _LAST = slice(0, 5), slice(-5, None)


def _strokes(pixels: Float32[np.ndarray, "H W"]) -> Bool[np.ndarray, "h w"]:
    """Thin bright strokes in the border zone, at no more than `_SIDE` pixels per side."""
    image = Image.fromarray(np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    if max(image.size) > _SIDE:
        image = image.resize(
            (_scaled(image, image.width), _scaled(image, image.height)), Image.Resampling.BOX
        )
    # Morphological opening with a square as wide as a stroke: what is thinner disappears.
    opened = image.filter(ImageFilter.MinFilter(_STROKE)).filter(ImageFilter.MaxFilter(_STROKE))
    strokes = np.asarray(image, np.int16) - np.asarray(opened, np.int16) > 255 * _CONTRAST
    height, width = strokes.shape
    rows, columns = round(height * _BORDER), round(width * _BORDER)
    strokes[rows : height - rows, columns : width - columns] = False
    return strokes


def _scaled(image: Image.Image, side: int) -> int:
    return max(1, round(side * _SIDE / max(image.size)))


def text_lines(mask: Bool[np.ndarray, "h w"]) -> list[list[Box]]:
    """Lines of at least four glyphs of like height, no further apart than they are high."""
    glyphs = sorted((box for box, filled in components(mask) if _is_glyph(box, filled)), key=lambda b: b.left)
    lines: list[list[Box]] = []
    for box in glyphs:
        line = next((line for line in lines if _follows(line[-1], box)), None)
        if line is None:
            lines.append([box])
        else:
            line.append(box)
    return [line for line in lines if len(line) >= _MIN_GLYPHS]


def _is_glyph(box: Box, filled: int) -> bool:
    height, width = box.bottom - box.top, box.right - box.left
    fits = _HEIGHT[0] <= height <= _HEIGHT[1] and _WIDTH[0] <= width <= _WIDTH[1] and width <= 2 * height
    return fits and 0.15 <= filled / (height * width) <= 0.95


def _follows(left: Box, right: Box) -> bool:
    heights = left.bottom - left.top, right.bottom - right.top
    apart = right.left - left.right
    middle = abs((left.top + left.bottom) - (right.top + right.bottom)) / 2
    return (
        max(heights) <= 1.5 * min(heights) and -2 <= apart <= max(heights) and middle <= 0.25 * max(heights)
    )


def components(mask: Bool[np.ndarray, "h w"]) -> list[tuple[Box, int]]:
    """The 8-connected regions of a mask: the box and the number of pixels of each.

    >>> components(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0]], dtype=bool))
    [(Box(top=0, bottom=2, left=0, right=2), 2), (Box(top=3, bottom=4, left=0, right=2), 2)]
    """
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    parent = list(range(len(rows)))
    above: list[int] = []
    current: list[int] = []
    row = -1
    runs = list(zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True))
    for number, (own, start, end) in enumerate(runs):
        if own != row:
            above, current, row = (current if own == row + 1 else []), [], own
        for other in above:
            if runs[other][1] <= end and start <= runs[other][2]:
                parent[_root(parent, number)] = _root(parent, other)
        current.append(number)
    found: dict[int, tuple[Box, int]] = {}
    for number, (own, start, end) in enumerate(runs):
        root = _root(parent, number)
        box, filled = found.get(root, (Box(own, own + 1, start, end), 0))
        found[root] = (
            Box(min(box.top, own), max(box.bottom, own + 1), min(box.left, start), max(box.right, end)),
            filled + end - start,
        )
    return list(found.values())


def _root(parent: list[int], number: int) -> int:
    """The representative of a run, its path halved on the way."""
    while parent[number] != number:
        parent[number] = parent[parent[number]]
        number = parent[number]
    return number
