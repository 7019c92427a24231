"""A sampled report, mended with sentences of its reference (EditGRPO, Zhang et al. 2025, arXiv:2509.22812).

One fault of each kind is mended, in the smallest way, as the modality's reader of facts sees it:

    replaced   the report is wrong about a finding: its sentences give way to the reference's on that finding
    removed    the report states a finding that the reference does not: its sentences go
    added      the report leaves a finding out: the reference's sentences on it come in

A finding is mended in all sections at once: what is added to the Findings also reaches the Impression if the
reference has it there. What else a sentence that goes was wrong about is mended with it, for the same reason.
A mended report is read again, and kept only if it has fewer faults than before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from radflow.readers import labeler
from radflow.readers.facts import Fact, facts
from radflow.reports import Report, parse_report

Kind = Literal["replaced", "removed", "added"]
_SECTIONS = ("findings", "impression")
_DECISIVE = ("side", "segment", "zone", "degree", "grade", "kind")
"""What is said of a finding that can make it wrong. Measured numbers, age and change are left as they are."""
_SENTENCE = re.compile(r"(?:\d+[.)]\s+)?\S.*?(?:[.](?=\s|$)|$)", re.S)
_HEADING = re.compile(r"[A-Z][\w /&-]{0,40}:\s+")
_SIDE = re.compile(r"\b(?:right|left|both|bilateral)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Mended:
    """A mended report.

    Attributes:
        text: in the form that the policy learns.
        faults: the findings that were drawn, and how each was mended.
    """

    text: str
    faults: tuple[tuple[Kind, str], ...]


@dataclass(frozen=True, kw_only=True)
class _Sentence:
    """One sentence, the heading that it stands under ("Left side:"), and what it says."""

    heading: str
    body: str
    said: tuple[Fact, ...]


_Section = Sequence[_Sentence]
_Sections = Sequence[_Section]


def mend_report(text: str, reference: Report, modality: str, *, seed: int) -> Mended | None:
    """Mend one fault of each kind; ``None`` where there is none, or no edit that leaves fewer.

    Args:
        text: the sampled report.
        reference: of the same study.
        modality: decides who reads; one whose record names no reader of facts is never mended.
        seed: draws which fault of a kind is mended, among those that the modality's labels name if any are.

    >>> reference = parse_report("Findings: Small left effusion. Heart is normal. Impression: Left effusion.")
    >>> sampled = "Findings: Heart is normal. There is edema. Impression: Edema."
    >>> mended = mend_report(sampled, reference, "chest-xray", seed=0)
    >>> mended.text
    'Findings: Heart is normal. Small left effusion. Impression: Left effusion.'
    >>> mended.faults
    (('removed', 'Edema'), ('added', 'Pleural Effusion'))
    """
    report = parse_report(text)
    names = [name for name in _SECTIONS if getattr(reference, name) is not None]
    if not names or names != [name for name in _SECTIONS if getattr(report, name) is not None]:
        return None
    mine = [_sentences(getattr(report, name), modality) for name in names]
    theirs = [_sentences(getattr(reference, name), modality) for name in names]
    wrong, missed = _faults(mine, theirs)
    draw = np.random.default_rng(seed)
    kinds: tuple[tuple[Kind, set[str]], ...] = (
        ("replaced", wrong & missed),
        ("removed", wrong - missed),
        ("added", missed - wrong),
    )
    chosen = [(kind, str(draw.choice(_labelled(found, modality)))) for kind, found in kinds if found]
    truth = list(_said(theirs))
    after = mine
    for _, finding in chosen:
        findings = _together(finding, after, truth)
        after = [_mended(ours, other, findings, truth) for ours, other in zip(after, theirs, strict=True)]
    written = {name: _written(section) for name, section in zip(names, after, strict=True)}
    read = [_sentences(section, modality) for section in written.values()]
    if sum(map(len, _faults(read, theirs))) >= len(wrong) + len(missed):
        return None
    known = {name: written.get(name) for name in _SECTIONS}
    whole = Report(text=written[names[0]], findings=known["findings"], impression=known["impression"])
    return Mended(text=whole.canonical, faults=tuple(chosen))


@lru_cache(maxsize=1024)
def _sentences(section: str, modality: str) -> _Section:
    said, heading = facts(section, modality), ""
    sentences = []
    for found in _SENTENCE.finditer(section):
        body = found.group()
        if head := _HEADING.match(body):
            heading, body = head.group().strip(), body[head.end() :]
        inside = tuple(fact for fact in said if found.start() <= fact.span.start < found.end())
        sentences.append(_Sentence(heading=heading, body=body, said=inside))
    return tuple(sentences)


def _labelled(findings: set[str], modality: str) -> list[str]:
    """Those that name a label, or a part of one ("plaque" of "right plaque"); all where none does."""
    names = " ".join(labeler(modality)([""])[0])
    return sorted(finding for finding in findings if finding in names) or sorted(findings)


def _said(sections: _Sections) -> Iterator[Fact]:
    return (fact for section in sections for sentence in section for fact in sentence.said)


def _faults(mine: _Sections, theirs: _Sections) -> tuple[set[str], set[str]]:
    """Findings about which a report is wrong, and findings of the reference that it leaves out."""
    said, truth = list(_said(mine)), list(_said(theirs))
    wrong = {fact.finding for fact in said if _is_wrong(fact, truth)}
    return wrong, {fact.finding for fact in truth if fact.state != 0 and not _is_stated(fact, said)}


def _is_wrong(fact: Fact, truth: Sequence[Fact]) -> bool:
    """A statement that the reference does not make, or a denial of what it states and does not deny."""
    if fact.state != 0:
        return not _is_stated(fact, truth)
    return _is_stated(fact, truth) and not any(o.state == 0 and _agree(fact, o) for o in truth)


def _is_stated(fact: Fact, others: Sequence[Fact]) -> bool:
    return any(other.state != 0 and _agree(fact, other) for other in others)


def _agree(fact: Fact, other: Fact) -> bool:
    """Whether two facts may speak of the same: one finding, and nothing decisive in conflict."""
    both = ((fact.values(axis), other.values(axis)) for axis in _DECISIVE)
    return fact.finding == other.finding and not any(a and b and not a & b for a, b in both)


def _together(finding: str, mine: _Sections, truth: Sequence[Fact]) -> set[str]:
    """The finding, and all that is said in the sentences that go with it."""
    found, before = {finding}, set()
    while found != before:
        before = set(found)
        going = [s for section in mine for s in section if _wrong_about(s, truth) & found]
        found |= {fact.finding for fact in _said([going])}
    return found


def _wrong_about(sentence: _Sentence, truth: Sequence[Fact]) -> set[str]:
    return {fact.finding for fact in sentence.said if _is_wrong(fact, truth)}


def _mended(mine: _Section, theirs: _Section, findings: set[str], truth: Sequence[Fact]) -> _Section:
    """A section without the sentences that are wrong about findings, and with those that it lacks on them."""
    wrong = [i for i, sentence in enumerate(mine) if _wrong_about(sentence, truth) & findings]
    right = [sentence for i, sentence in enumerate(mine) if i not in wrong]
    said, after, place = list(_said([right])), right, wrong[0] if wrong else len(right)
    for sentence in theirs:
        stated = [fact for fact in sentence.said if fact.state != 0 and fact.finding in findings]
        if sentence not in after and not all(_is_stated(fact, said) for fact in stated):
            after, place = _inserted(after, sentence, place), place + 1
    return after or theirs


def _inserted(section: _Section, sentence: _Sentence, place: int) -> list[_Sentence]:
    """At a place; where the section has the sentence's heading, as near to it as that allows."""
    alike = [i for i, other in enumerate(section) if other.heading and _same(other.heading, sentence.heading)]
    place = min(max(place, alike[0]), alike[-1] + 1) if alike else place
    return [*section[:place], sentence, *section[place:]]


def _written(section: _Section) -> str:
    """The sentences as text, each heading before the first of those that stand under it."""
    heading, said = "", []
    for sentence in section:
        opens = sentence.heading and not _same(sentence.heading, heading)
        said.append(f"{sentence.heading} {sentence.body}" if opens else sentence.body)
        heading = sentence.heading
    return " ".join(said)


def _same(heading: str, other: str) -> bool:
    """Whether two headings mean one place: "Right side:" and "Right carotid:" do."""
    mine, theirs = _SIDE.search(heading), _SIDE.search(other)
    if mine and theirs:
        return mine.group().lower() == theirs.group().lower()
    return heading.lower() == other.lower()
