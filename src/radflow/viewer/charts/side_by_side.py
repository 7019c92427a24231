"""One study as a figure for a paper: its pictures, the reference, and what each system wrote, with marks.

SVG with text that can be edited and found; no script, no style that a converter might not know. Lines are
broken by the widths of Helvetica (Adobe's AFM), which Arial and Liberation Sans share, so the figure is the
same on every machine. Source Sans Pro, which `radflow.viewer.charts.rendering` brings along, is narrower.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from radflow.viewer.cases import Block
from radflow.viewer.pictures import Picture

_WIDE = 1000  # of the whole figure
_PICTURES, _GAP, _COLUMNS = 220, 24, 3
_SIZE, _LEADING, _HEAD = 13.0, 17.0, 22.0
_FONT = "Helvetica, Arial, 'Liberation Sans', 'Source Sans Pro', sans-serif"
_ASCII = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 "
    "556 556 278 278 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 "
    "667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 333 556 556 500 556 556 278 556 "
    "556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584"
)
"""Widths of the characters from space to ~, in thousandths of the size."""
_WIDTHS = {chr(32 + at): int(width) / 1000 for at, width in enumerate(_ASCII.split())}
_OTHER, _BOLD = 0.62, 1.07
_SPACE = _WIDTHS[" "] * _SIZE


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a kind of mark is drawn: a colour, a sign before it, and whether it is underlined."""

    colour: str
    sign: str = ""
    underlined: bool = False
    words: str = ""


LOOKS = {
    "agree": Look(colour="#1a6b34", sign="✓", underlined=True, words="agrees with the reference"),
    "partly": Look(colour="#8a5a00", sign="≈", words="partly right"),
    "contradict": Look(colour="#b3261e", sign="≠", words="contradicts the reference"),
    "extra": Look(colour="#6b3fa0", sign="+", words="not in the reference"),
    "missed": Look(colour="#1d5fa8", underlined=True, words="missed (by the systems in brackets)"),
}
"""Told apart without colour too: by sign and line. Words at fault are bold."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A report: its heading, and its sections with their marks."""

    heading: str
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True)
class _Word:
    text: str
    kind: str = ""
    bold: bool = False
    spaced: bool = True
    tied: bool = False  # to the line of the word before

    @property
    def width(self) -> float:
        letters = sum(_WIDTHS.get(letter, _OTHER) for letter in self.text)
        return _SIZE * letters * (_BOLD if self.bold else 1.0)


def side_by_side(title: str, pictures: Sequence[tuple[str, Picture]], columns: Sequence[Column]) -> str:
    """Return the figure as an SVG document; the same input gives the same bytes.

    Args:
        title: read out in place of the figure.
        pictures: caption and picture; one that could not be read is a line that says so.
        columns: three beside each other, then below.
    """
    across = min(_COLUMNS, len(columns)) or 1
    left = _PICTURES + _GAP
    width = (_WIDE - left - _GAP * (across - 1)) / across
    drawn, bottom = _drawn(pictures)
    top = 0.0
    for start in range(0, len(columns), across):
        heights = []
        for place, column in enumerate(columns[start : start + across]):
            lines, height = _column(column, left + place * (width + _GAP), top, width)
            drawn += lines
            heights.append(height)
        top += max(heights) + _GAP
    height = max(top, bottom) + _LEADING
    drawn += _legend(height)
    height += _LEADING
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {height:.0f}" width="{_WIDE}" '
        f'height="{height:.0f}" role="img" font-family="{_FONT}" font-size="{_SIZE:g}" fill="#1b1b1b">\n'
        f"<title>{html.escape(title)}</title>\n"
        f'<rect width="{_WIDE}" height="{height:.0f}" fill="#ffffff"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def _drawn(pictures: Sequence[tuple[str, Picture]]) -> tuple[list[str], float]:
    """The pictures below each other, and where they end."""
    parts, top = [], 0.0
    for caption, picture in pictures:
        if picture.uri:
            height = _PICTURES * picture.height / picture.width
            parts.append(
                f'<image x="0" y="{top:.1f}" width="{_PICTURES}" height="{height:.1f}" href="{picture.uri}"/>'
            )
            top += height
        said = caption if picture.uri else picture.problem
        parts.append(f'<text x="0" y="{top + 14:.1f}" font-size="11">{html.escape(said)}</text>')
        top += _HEAD
    return parts, top


def _column(column: Column, x: float, top: float, width: float) -> tuple[list[str], float]:
    """A report's lines, and how high it is."""
    y = top + _SIZE
    parts = [f'<text x="{x:.1f}" y="{y:.1f}" font-weight="bold">{html.escape(column.heading)}</text>']
    y += 5
    parts.append(f'<path d="M{x:.1f} {y:.1f}h{width:.1f}" stroke="#999999" fill="none"/>')
    for block in column.blocks:
        for line in _broken(_words(block), width):
            y += _LEADING
            parts.append(f'<text x="{x:.1f}" y="{y:.1f}">{_spans(line)}</text>')
        y += 6
    return parts, y - top


def _words(block: Block) -> Iterator[_Word]:
    """The words of a section in order, each with its mark."""
    if block.title:
        yield _Word(text=f"{block.title}:", bold=True)
    apart = True  # whether a space stands before the next word
    for segment in block.segments:
        sign = LOOKS[segment.kind].sign if segment.kind else ""
        tied = bool(sign)
        if sign:
            yield _Word(text=sign, kind=segment.kind, bold=True)
            apart = True
        for part in segment.parts or (segment,):
            bold = part is not segment and bool(part.kind)
            apart = apart or part.text[:1].isspace()
            for word in part.text.split():
                yield _Word(text=word, kind=segment.kind, bold=bold, spaced=apart, tied=tied)
                apart, tied = True, False
            apart = part.text[-1:].isspace()
        if segment.tag:
            yield _Word(text=f"[{segment.tag}]", kind=segment.kind, tied=True)


def _broken(words: Iterable[_Word], width: float) -> Iterator[list[_Word]]:
    """Lines that fit; words that are tied, or without a space between them, stay together where they can."""
    line: list[_Word] = []
    used = 0.0
    for together in _together(words):
        for part in [together] if _wide(together) <= width else _letters(together):
            gap = _SPACE if line and part[0].spaced else 0.0
            if line and used + gap + _wide(part) > width:
                yield line
                line, used, gap = [], 0.0, 0.0
            used += gap + _wide(part)
            line += part
    if line:
        yield line


def _wide(words: Sequence[_Word]) -> float:
    return sum(word.width for word in words) + _SPACE * sum(word.spaced for word in words[1:])


def _letters(words: Iterable[_Word]) -> Iterator[list[_Word]]:
    """Each letter by itself, of words that no line is wide enough for: a model may never stop."""
    for word in words:
        for at, letter in enumerate(word.text):
            yield [replace(word, text=letter, spaced=word.spaced and at == 0)]


def _together(words: Iterable[_Word]) -> Iterator[list[_Word]]:
    held: list[_Word] = []
    for word in words:
        if word.spaced and not word.tied and held:
            yield held
            held = []
        held.append(word)
    if held:
        yield held


def _spans(line: Sequence[_Word]) -> str:
    """A line's words as spans, those that look alike in one."""
    parts = []
    for (kind, bold), alike in groupby(line, key=lambda word: (word.kind, word.bold)):
        words = list(alike)
        gap = " " if parts and words[0].spaced else ""
        text = html.escape("".join((" " if word.spaced else "") + word.text for word in words).strip())
        look = LOOKS.get(kind)
        style = f' fill="{look.colour}"' if look else ""
        style += ' font-weight="bold"' if bold else ""
        style += ' text-decoration="underline"' if look and look.underlined else ""
        parts.append(f"{gap}<tspan{style}>{text}</tspan>" if style else f"{gap}{text}")
    return "".join(parts)


def _legend(y: float) -> list[str]:
    said = []
    for look in LOOKS.values():
        line = ' text-decoration="underline"' if look.underlined else ""
        said.append(f'<tspan fill="{look.colour}"{line}>{f"{look.sign} {look.words}".strip()}</tspan>')
    return [f'<text x="0" y="{y:.1f}" font-size="11">{" · ".join(said)}</text>']
