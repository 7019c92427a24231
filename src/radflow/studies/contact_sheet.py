"""A contact sheet: a grid of images, each with its study and what it should show, to inspect by eye."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from radflow.errors import DataError, NotWritableError
from radflow.files import atomic_file
from radflow.studies.images import to_pil
from radflow.studies.study import Study

_PAPER, _INK, _GREY = (255, 255, 255), (20, 20, 20), (110, 110, 110)
_MARGIN = 8
_FONT_SIZE = 13
_MOST_LINES = 6  # of caption under an image


def contact_sheet(
    studies: Sequence[Study], path: Path, *, columns: int = 5, rows: int = 4, tile: int = 220
) -> Path:
    """Draw studies in a grid, as PNG or JPEG by the name of the file.

    A study is one tile per picture, side by side, and under them its id, whether it is drawn or real, and its
    tags (`caption`). Studies are taken evenly over the sequence, so that a sheet of 20 out of 3,000 is not
    the first 20.

    Args:
        studies: at least one; all with the same number of pictures.
        path: the file to write.
        columns: studies per row.
        rows: rows; fewer where there are fewer studies.
        tile: width and height of a picture in pixels, its proportions kept.

    Returns:
        ``path``.

    Raises:
        DataError: there are no studies, or an image cannot be read.
        NotWritableError: the file cannot be written.
    """
    if not studies:
        raise DataError("contact sheet: expected at least one study, got none")
    chosen = _evenly(studies, columns * rows)
    font = ImageFont.load_default(size=_FONT_SIZE)
    width = tile * max(len(study.images) for study in chosen)
    captions = [_wrapped(caption(study), font, width) for study in chosen]
    line = _FONT_SIZE + 4
    columns = min(columns, len(chosen))
    heights = [
        tile + line * max(map(len, captions[start : start + columns])) + 2 * _MARGIN
        for start in range(0, len(chosen), columns)
    ]
    sheet = Image.new("RGB", (columns * (width + _MARGIN) + _MARGIN, sum(heights) + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (study, lines) in enumerate(zip(chosen, captions, strict=True)):
        row, column = divmod(number, columns)
        left, top = _MARGIN + column * (width + _MARGIN), _MARGIN + sum(heights[:row])
        for place, image in enumerate(study.images):
            sheet.paste(_tile(image, tile), (left + place * tile, top))
        for count, words in enumerate(lines):
            pen.text((left, top + tile + 2 + count * line), words, _GREY if count == 0 else _INK, font)
    return _save(sheet, path)


def caption(study: Study) -> str:
    """What a study should show: its MeSH tags, or else its Impression, after its id and where it comes from.

    >>> from radflow.reports import parse_report
    >>> caption(Study(study_id="CXR1", patient_id="CXR1", images=(), drawn=True,
    ...     reference=parse_report(""), truth={"mesh": ["Cardiomegaly/mild", "Opacity"]}))
    'CXR1 (drawn)\\nCardiomegaly/mild; Opacity'
    """
    tags = study.truth.get("mesh")
    shows = "; ".join(tags) if tags else study.reference.impression or study.reference.text
    return f"{study.study_id} ({'drawn' if study.drawn else 'real'})\n{shows}"


def _evenly(studies: Sequence[Study], count: int) -> list[Study]:
    """At most ``count`` studies, evenly spaced, the first among them."""
    count = max(1, min(count, len(studies)))
    return [studies[place * len(studies) // count] for place in range(count)]


def _tile(path: Path, side: int) -> Image.Image:
    image = to_pil(path)
    image.thumbnail((side - 2, side - 2))
    square = Image.new("RGB", (side - 2, side - 2), (0, 0, 0))
    square.paste(image, ((square.width - image.width) // 2, (square.height - image.height) // 2))
    return square


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Break into lines that fit; what is beyond the last line is cut with an ellipsis."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        current = ""
        for word in paragraph.split():
            longer = f"{current} {word}".strip()
            if current and font.getlength(longer) > width:
                lines.append(current)
                longer = word
            current = longer
        lines.append(current)
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], lines[_MOST_LINES - 1] + " ..."]
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    fits = bisect.bisect_right(range(len(line)), width, key=lambda end: font.getlength(line[:end] + "..."))
    return line[: fits - 1] + "..."


def _save(sheet: Image.Image, path: Path) -> Path:
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None:
        raise NotWritableError(f"{path}: the contact sheet cannot be written so; name a .png or .jpg file")
    with atomic_file(path, what="the contact sheet cannot be written") as file:
        sheet.save(file.buffer, format=kind)
    return path
