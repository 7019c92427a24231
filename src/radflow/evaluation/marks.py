"""Which sentences of a generated report agree with the reference, contradict it, or add to it.

Each sentence is read in its context: what it contributes is what a labeler reads in the report up to its end
and not yet in the report up to its start. So "Left: IMT normal. Soft plaque." puts the plaque on the left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from radflow.metrics import Reader

Kind = Literal["agree", "contradict", "extra"]
SUMMARIES = ("No Finding", "normal")
"""Labels that sum up a whole report; no sentence of it says them."""
_SENTENCE = re.compile(r"\S.*?(?:[.](?=\s|$)|$)", re.S)
_HEADER = re.compile(r"\b(Findings|Impression):\s*")


class Mark(TypedDict):
    """A stretch of characters of a report's text, with what it is."""

    start: int
    end: int
    kind: Kind


def mark_sentences(text: str, reference: str, labeler: Reader) -> list[Mark]:
    """Mark every sentence of ``text`` that says something the labeler reads.

    ``agree``: all it says, the reference says. ``contradict``: it asserts what the reference denies, or
    denies what it asserts. ``extra``: it asserts what the reference does not mention. Negations that the
    reference leaves out are not marked.

    >>> from radflow.readers import load
    >>> marks = mark_sentences("Heart is normal. Right effusion.", "No effusion.", load("chexpert-rules"))
    >>> [(mark["start"], mark["kind"]) for mark in marks]
    [(17, 'contradict')]
    """
    spans = _spans(text)
    readings: Sequence[Mapping[str, int | None]] = labeler(
        [reference, *(text[:end] for _, end in spans), *(text[start:end] for start, end in spans)]
    )
    truth, upto, alone = readings[0], readings[1 : 1 + len(spans)], readings[1 + len(spans) :]
    before: Mapping[str, int | None] = {}
    marks: list[Mark] = []
    for (start, end), now, own in zip(spans, upto, alone, strict=True):
        new = {k: v for k, v in now.items() if v is not None and before.get(k) != v}
        new |= {k: v for k, v in own.items() if v is not None and now.get(k) == v}
        new = {k: v for k, v in new.items() if k not in SUMMARIES}
        kind = _kind(new, truth)
        if kind is not None:
            marks.append({"start": start, "end": end, "kind": kind})
        before = now
    return marks


def _spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, section headers cut off."""
    bounds, start = [], 0
    for header in _HEADER.finditer(text):
        bounds += [
            (m.start() + start, m.end() + start) for m in _SENTENCE.finditer(text[start : header.start()])
        ]
        start = header.end()
    return bounds + [(m.start() + start, m.end() + start) for m in _SENTENCE.finditer(text[start:])]


def _kind(said: Mapping[str, int | None], truth: Mapping[str, int | None]) -> Kind | None:
    positive = {1, -1}
    if any(
        (state in positive and truth.get(name) == 0) or (state == 0 and truth.get(name) in positive)
        for name, state in said.items()
    ):
        return "contradict"
    if any(state in positive and truth.get(name) is None for name, state in said.items()):
        return "extra"
    if any(truth.get(name) is not None for name in said):
        return "agree"
    return None
