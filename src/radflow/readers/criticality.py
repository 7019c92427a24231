"""The paper's triage question by rules: does a report describe anything abnormal or clinically significant?

A report is *normal* only when it states nothing abnormal; everything else is *critical* (section 4.3 of the
paper, before Eq. 9). By rules: any finding of ``chexpert.toml`` or word of ``criticality.toml`` that is
asserted or hedged makes a report critical. A report that states nothing at all is critical too: it does not
say "no significant findings".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from radflow.readers.chexpert import predicates
from radflow.readers.lexicon import Entry, expand, lexicon
from radflow.readers.scope import Scope
from radflow.reports import Report

_STATED = ("present", "uncertain")


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
        reports: Findings and Impression are read where they are known, otherwise the whole text.

    Returns:
        ``True`` for critical.

    >>> from radflow.reports import Report
    >>> texts = ("Lungs are clear. No acute disease.", "Lungs are clear. Old rib fracture.")
    >>> criticality_rules([Report(text=text, findings=None, impression=None) for text in texts])
    [False, True]
    """
    return [critical(_body(report)) for report in reports]


def critical(text: str) -> bool:
    """Answer the question for one text; see :func:`criticality_rules`."""
    read = False
    for reading in _scope().read(text):
        read = True
        for mention in reading.mentions:
            kind = mention.match.entry.kind
            if kind in ("finding", "abnormal") and mention.assertion in _STATED:
                return True
        if any(state in (1, -1) for _, state in predicates(reading.sentence.words, reading.mentions)):
            return True
    return not read


def _body(report: Report) -> str:
    sections = [section for section in (report.findings, report.impression) if section]
    return "\n\n".join(sections) if sections else report.text
