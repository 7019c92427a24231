"""Text cut into stretches, some of them highlighted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from radflow.viewer.records import Mark


@dataclass(frozen=True, kw_only=True)
class Highlight:
    """Characters ``start`` to ``end`` of a text, how to show them, and the note to show on request."""

    start: int
    end: int
    kind: str
    note: str = ""
    tag: str = ""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of text; ``kind`` is ``""`` where nothing is said about it.

    Attributes:
        note: the note to show on request.
        tag: a few words printed behind it.
        parts: its own stretches, the words at fault among them; ``()`` where there are none.
    """

    text: str
    kind: str = ""
    note: str = ""
    tag: str = ""
    parts: tuple[Segment, ...] = ()


NOTES = {
    "agree": "agrees with the reference",
    "partly": "partly right",
    "contradict": "contradicts the reference",
    "extra": "not in the reference",
    "missed": "missed",
}
"""The note that a mark of the evaluation shows on request."""


def segments(
    text: str, marks: Sequence[Highlight | Mark], start: int = 0, end: int | None = None
) -> tuple[Segment, ...]:
    """Cut ``text[start:end]`` at its marks.

    Marks that reach outside are cut to fit, and where two overlap the one that begins first is kept, so that
    the segments always spell the text.

    >>> [(s.text, s.kind) for s in segments("No plaque.", [Mark(start=0, end=2, kind="agree")])]
    [('No', 'agree'), (' plaque.', '')]
    """
    end = len(text) if end is None else end
    found, position = [], start
    for mark in sorted(marks, key=lambda mark: (mark.start, mark.end)):
        first, last = max(mark.start, position), min(mark.end, end)
        if first >= last:
            continue
        if first > position:
            found.append(Segment(text=text[position:first]))
        found.append(_segment(text, mark, first, last))
        position = last
    if position < end:
        found.append(Segment(text=text[position:end]))
    return tuple(found)


def _segment(text: str, mark: Highlight | Mark, first: int, last: int) -> Segment:
    if isinstance(mark, Highlight):
        return Segment(text=text[first:last], kind=mark.kind, note=mark.note, tag=mark.tag)
    parts = segments(text, mark.words, first, last) if mark.words else ()
    faults = "; ".join(word.note for word in mark.words if word.note)
    note = mark.note or NOTES[mark.kind] + (f": {faults}" if faults else "")
    return Segment(text=text[first:last], kind=mark.kind, note=note, parts=parts)
