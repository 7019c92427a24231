"""The paper's triage question by rules: does a report describe anything abnormal or clinically significant?

A report is *normal* only when it states nothing abnormal; everything else is *critical* (section 4.3 of the
paper, before Eq. 9). By rules: any finding of ``chexpert.toml`` or word of ``criticality.toml`` that is
asserted or hedged makes a report critical, and so does surgery in the patient's history, because what it left
behind is in the picture. A report that states nothing at all is critical too: it does not say "no significant
findings". How good the pictures are is not a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from radflow.readers.chexpert import linked
from radflow.readers.lexicon import Entry, expand, lexicon, word_list
from radflow.readers.scope import Mention, Reading, Scope
from radflow.readers.tokens import Sentence, Span, token_spans
from radflow.reports import Report

NOTHING_STATED = "nothing is stated"
"""Entry of the only reason of a report in which nothing could be read."""

_STATED = ("present", "uncertain")
_HISTORY = word_list("criticality", "put surgery in the past")


class Reason(NamedTuple):
    """One reason to call a report critical.

    Attributes:
        phrase: as the report spells it.
        entry: the group of phrases that knows it: an observation, a kind of abnormality, or
            :data:`NOTHING_STATED`.
        section: ``findings``, ``impression``, or ``text`` where the sections are not known.
        span: characters of ``phrase`` in that section.
    """

    phrase: str
    entry: str
    section: str
    span: Span


class _Found(NamedTuple):
    """A reason in words of a sentence: ``words[start:end]``."""

    entry: str
    sentence: Sentence
    start: int
    end: int


@cache
def _scope() -> Scope:
    """CheXpert's phrases and the words of abnormality; where both know a phrase, abnormality keeps it."""
    words = lexicon("criticality")
    taken = {sequence for entry in words for phrase in entry.phrases for sequence in expand(phrase)}
    return Scope([*words, *(_without(entry, taken) for entry in lexicon("chexpert"))])


def _without(entry: Entry, taken: set[tuple[str, ...]]) -> Entry:
    phrases = {sequence for phrase in entry.phrases for sequence in expand(phrase)} - taken
    kept = tuple(sorted(" ".join(sequence) for sequence in phrases))
    return Entry(kind=entry.kind, name=entry.name, phrases=kept, data=entry.data)


def criticality_rules(reports: Sequence[Report]) -> list[bool]:
    """Answer the triage question for each report, chest radiograph or carotid ultrasound.

    Args:
        reports: Findings and Impression are read where both are known or one is all there is, otherwise the
            whole text: what stands outside one known section could be a finding.

    Returns:
        ``True`` for critical.

    >>> from radflow.reports import Report
    >>> texts = ("Lungs are clear. No acute disease.", "Lungs are clear. Old rib fracture.")
    >>> criticality_rules([Report(text=text, findings=None, impression=None) for text in texts])
    [False, True]
    """
    return [_critical([text for _, text in _sections(report)]) for report in reports]


def critical(text: str) -> bool:
    """Answer the question for one text; see :func:`criticality_rules`."""
    return _critical([text])


def why(report: Report) -> list[Reason]:
    """Every reason to call a report critical, in the order of the text; empty for a normal one.

    >>> from radflow.reports import Report
    >>> report = Report(text="", findings="Lungs are clear. Old rib fracture.", impression=None)
    >>> [(reason.phrase, reason.entry, tuple(reason.span)) for reason in why(report)]
    [('rib fracture', 'Fracture', (21, 33))]
    """
    reasons, read = [], False
    for section, text in _sections(report):
        readings = _scope().read(text)
        read = read or bool(readings)
        tokens = token_spans(text)
        for entry, sentence, start, end in (found for reading in readings for found in _found(reading)):
            span = sentence.span(tokens, start, end)
            reasons.append(Reason(text[slice(*span)], entry, section, span))
    return reasons if read else [Reason("", NOTHING_STATED, "text", Span(0, 0))]


def _critical(texts: Sequence[str]) -> bool:
    read = False
    for text in texts:
        for reading in _scope().read(text):
            read = True
            if next(_found(reading), None) is not None:
                return True
    return not read


def _sections(report: Report) -> list[tuple[str, str]]:
    known = (("findings", report.findings), ("impression", report.impression))
    sections = [(name, text) for name, text in known if text]
    if report.has_one_section and not report.is_one_section and sections and sections[0][1] in report.text:
        return [("text", report.text)]
    return sections or [("text", report.text)]


def _found(reading: Reading) -> Iterator[_Found]:
    """What one sentence states or hedges that is abnormal."""
    sentence = reading.sentence
    for mention in reading.mentions:
        if mention.match.entry.kind in ("finding", "abnormal") and _counts(mention, sentence.words):
            yield _Found(mention.match.entry.name, sentence, mention.match.start, mention.match.end)
    for said in linked(sentence.words, reading.mentions):
        if said.state in (1, -1):
            matches = [mention.match for mention in (said.mention, said.quality) if mention is not None]
            start, end = min(match.start for match in matches), max(match.end for match in matches)
            yield _Found(said.observation, sentence, start, end)


def _counts(mention: Mention, words: Sequence[str]) -> bool:
    if mention.assertion in _STATED:
        return True
    past = mention.assertion == "aside" and mention.cue is not None and words[mention.cue.start] in _HISTORY
    return past and bool(mention.match.entry.data.get("lasts"))
