"""A report written by a model, and how far to trust it: the type behind every form of a draft."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from radflow.reports.report import Report

NOTICE = "Draft written by a model. Not for diagnosis."
"""Stands on every form of a draft."""

_HEADER_END = r"(?:\(?s\)?)?[\s*_#:：–—-]*\Z"
_HEADERS = {
    "Findings": re.compile(rf"finding{_HEADER_END}", re.IGNORECASE),
    "Impression": re.compile(rf"(?:impression|conclusion|opinion){_HEADER_END}", re.IGNORECASE),
}


@dataclass(frozen=True, kw_only=True)
class Word:
    """One word of a draft.

    Attributes:
        start: its first character in the draft's text.
        end: one behind its last.
        probability: 0 to 1, of the word under the model that wrote it, given all before it.
    """

    start: int
    end: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A section of a draft: characters ``start`` to ``end`` of its text; ``title`` is ``""`` without one."""

    title: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A report as a model wrote it, and what the readers found in it.

    Attributes:
        study_id: whose report it is.
        report: the text and its sections.
        words: of the text, in order.
        uncertain_below: a word with a smaller probability is shown as uncertain.
        finished: whether the report ended by itself rather than by the length limit.
        consistent: whether the Impression follows from the Findings; ``None`` where they are not both known.
        reasons: why it does not.
        critical: whether the report describes anything abnormal or clinically significant.
        because: the phrases behind that.
        model: the name of what wrote it.
        created: when, as ISO 8601 with the offset from UTC.
        indication: why the study was asked for, or ``None``.
        drawn: whether the pictures were drawn by a program.
        flags: what is odd about the pictures, one phrase each.
        cautions: how the study differs from what the model was trained on, one sentence each.
    """

    study_id: str
    report: Report
    words: tuple[Word, ...]
    uncertain_below: float
    finished: bool
    consistent: bool | None
    reasons: tuple[str, ...]
    critical: bool
    because: tuple[str, ...]
    model: str
    created: str
    indication: str | None = None
    drawn: bool = False
    flags: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()

    @property
    def uncertain(self) -> tuple[Word, ...]:
        """The words of its sections that the model gave less than ``uncertain_below``."""
        passages = passages_of(self.report)
        return tuple(
            word
            for word in self.words
            if word.probability < self.uncertain_below
            and any(p.start <= word.start and word.end <= p.end for p in passages)
        )

    @property
    def verdict(self) -> str:
        """What the rule judge said, as a sentence."""
        said = {True: "follows from", False: "does not follow from", None: "could not be compared with"}
        return f"The impression {said[self.consistent]} the findings (rules)."

    @property
    def flag(self) -> str:
        """What the criticality rules said, as a sentence."""
        because = f": {', '.join(self.because)}" if self.because else ""
        return f"Critical{because} (rules)." if self.critical else "Nothing critical (rules)."

    @property
    def remarks(self) -> tuple[str, ...]:
        """What else a reader of the draft must know, as sentences."""
        notes = list(self.cautions)
        if not self.finished:
            notes.append("The report was cut off at the longest length that the recipe allows.")
        if not self.report.sectioned:
            notes.append("No Findings and Impression could be told apart in the text.")
        if self.drawn:
            notes.append("The pictures were drawn by a program.")
        return (*notes, *(f"Pictures: {flag}." for flag in self.flags))

    @property
    def uncertainty(self) -> str:
        """What the marks on words mean, as a sentence."""
        return (
            f"Marked words: probability below {self.uncertain_below:g} under the model itself. "
            "It is not calibrated: an unmarked word can be wrong."
        )


def printable(text: str) -> str:
    """A text in which control characters that a page, XML or DICOM may not hold are marked as unreadable.

    Every character keeps its place.

    >>> printable("Clear.\\x1b[31m\\n")
    'Clear.\ufffd[31m\\n'
    """
    return "".join("\ufffd" if _unprintable(character) else character for character in text)


def stretches(draft: Draft, passage: Passage) -> Iterator[tuple[str, Word | None]]:
    """A section's text cut at its uncertain words: each piece with its word, ``None`` for all between."""
    text, position = draft.report.text, passage.start
    for word in draft.uncertain:
        if not (passage.start <= word.start and word.end <= passage.end):
            continue
        if word.start > position:
            yield text[position : word.start], None
        yield text[word.start : word.end], word
        position = word.end
    if position < passage.end:
        yield text[position : passage.end], None


def passages_of(report: Report) -> tuple[Passage, ...]:
    """Where the sections of a report stand in its text; all of it, without a title, where they are not known.

    >>> text = "Findings: Clear. Impression: Normal."
    >>> report = Report(text=text, findings="Clear.", impression="Normal.")
    >>> [(p.title, text[p.start:p.end]) for p in passages_of(report)]
    [('Findings', 'Clear.'), ('Impression', 'Normal.')]
    """
    if report.findings is None or report.impression is None:
        return (Passage(title="", start=0, end=len(report.text)),)
    findings = _passage(report.text, "Findings", report.findings, 0)
    return (findings, _passage(report.text, "Impression", report.impression, findings.end))


def _unprintable(character: str) -> bool:
    return character in "\ufffe\uffff" or (
        unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t"
    )


def _passage(text: str, title: str, body: str, after: int) -> Passage:
    """Where a section's body stands: at the first place that its own header leads to.

    An Impression of "No change." may be a sentence of the Findings too.
    """
    places = [match.start() for match in re.finditer(f"(?={re.escape(body)})", text[after:])]
    starts = [after + place for place in places]
    start = next((at for at in starts if _HEADERS[title].search(text[max(0, at - 40) : at])), starts[0])
    return Passage(title=title, start=start, end=start + len(body))
