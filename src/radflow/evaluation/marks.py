"""Which sentences of a generated report are right, which are partly right, and what they leave out.

Both reports are read as facts (:mod:`radflow.readers.facts`): findings with their side, zone, degree, number
and polarity. A sentence agrees only where all of that is in the reference. Where a finding is right and
something said of it is not, the sentence is partly right, and the words at fault are marked. What the
reference states and the report does not is marked in the reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from radflow.readers.facts import Detail, Fact, facts

Kind = Literal["agree", "partly", "contradict", "extra", "missed"]
_SENTENCE = re.compile(r"\S.*?(?:[.](?=\s|$)|$)", re.S)
_HEADER = re.compile(r"\b(Findings|Impression):\s*")
_RESTRICTS = ("side", "segment", "zone", "anatomy", "kind", "degree", "age", "grade")
"""What a denial can be limited to: "no large effusion" denies no small one."""
_SIGNIFICANT = frozenset({"50-69%", ">=70%", "near occlusion", "occlusion"})
_BETWEEN = re.compile(r"[^.:;]{0,16}")
"""What may stand between two missed words of one phrase: "a plaque *on the* anterior wall"."""
_SPOKEN = {1: "stated", -1: "uncertain"}


class Word(TypedDict):
    """The words of a sentence at fault, and what is wrong with them."""

    start: int
    end: int
    kind: Kind
    note: str


class Mark(TypedDict):
    """A stretch of characters of a report's text, with what it is."""

    start: int
    end: int
    kind: Kind
    words: list[Word]


class Comparison(TypedDict):
    """A report against its reference.

    Attributes:
        marks: of the report's sentences.
        missed: words of the reference that state what the report does not.
    """

    marks: list[Mark]
    missed: list[Word]


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """One fact against the other report: how it stands, and the words at fault."""

    fact: Fact
    kind: Literal["agree", "partly", "contradict", "extra", "silent"]
    faults: tuple[Word, ...] = ()


def compare_reports(text: str, reference: str, modality: str) -> Comparison:
    """Mark what a report says and what it leaves out.

    A sentence that says something the readers know is ``agree``: all it says is in the reference; ``partly``:
    some of it is, or a finding is right and a detail is not; ``contradict``: it asserts what the reference
    denies, or denies what it asserts; ``extra``: it asserts what the reference does not mention. Denials that
    only one of the two reports has are not marked: "No effusion or edema" agrees up to the edema where the
    reference is silent about that.

    Args:
        text: the generated report. Positions count its characters, those of ``missed`` the reference's.
        reference: the radiologist's report.
        modality: of the study; one whose record names no reader of facts gets no marks.

    >>> found = compare_reports("Small left effusion.", "Large left effusion. Edema.", "chest-xray")
    >>> [(mark["kind"], [word["note"] for word in mark["words"]]) for mark in found["marks"]]
    [('partly', ['Small: the reference says Large'])]
    >>> [word["note"] for word in found["missed"]]
    ['missed: Large', 'missed: Edema']
    """
    said, truth = facts(text, modality), facts(reference, modality)
    judged = [_judge(fact, truth) for fact in said]
    marks = []
    for start, end in _spans(text):
        inside = [one for one in judged if start <= one.fact.span.start < end]
        kind = _kind(inside)
        if kind == "agree":
            marks += [
                Mark(start=first, end=last, kind=kind, words=[])
                for first, last in _told(text, start, end, inside)
            ]
        elif kind is not None:
            words = [word for one in inside for word in one.faults if start <= word["start"] < end]
            marks.append(Mark(start=start, end=end, kind=kind, words=_apart(words)))
    missed = _apart(word for fact in truth for word in _missed(fact, said))
    return {"marks": marks, "missed": _phrases(missed, reference)}


def _spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, section headers cut off."""
    bounds, start = [], 0
    for header in _HEADER.finditer(text):
        bounds += [
            (m.start() + start, m.end() + start) for m in _SENTENCE.finditer(text[start : header.start()])
        ]
        start = header.end()
    return bounds + [(m.start() + start, m.end() + start) for m in _SENTENCE.finditer(text[start:])]


def _kind(judged: Sequence[_Judged]) -> Kind | None:
    """What a sentence is, from what its facts are."""
    kinds = {one.kind for one in judged}
    if "contradict" in kinds:
        return "contradict"
    if "partly" in kinds or {"agree", "extra"} <= kinds:
        return "partly"
    return next((kind for kind in ("extra", "agree") if kind in kinds), None)


def _told(text: str, start: int, end: int, judged: Sequence[_Judged]) -> Iterator[tuple[int, int]]:
    """The stretches of a sentence that agrees, without the denials that the reference does not have."""
    agreed = {one.fact.span for one in judged if one.kind == "agree"}
    for first, last in sorted({one.fact.span for one in judged} - agreed):
        if any(first < stop and begin < last for begin, stop in agreed):
            continue
        if text[start:first].strip(" ,;"):
            yield start, start + len(text[start:first].rstrip())
        start = last
    start = end - len(text[start:end].lstrip(" ,;"))
    if re.search(r"\w", text[start:end]):
        yield start, end


def _judge(fact: Fact, truth: Sequence[Fact]) -> _Judged:
    """How one fact of a report stands to the reference."""
    same = [other for other in truth if other.finding == fact.finding]
    return _denied(fact, same) if fact.state == 0 else _stated(fact, same)


def _denied(fact: Fact, same: Sequence[Fact]) -> _Judged:
    denials = [other for other in same if other.state == 0 and _denies(other, fact)]
    stated = any(other.state != 0 and _denies(fact, other) for other in same)
    if stated and not any(other.words == fact.words for other in denials):  # some references say both
        return _Judged(fact=fact, kind="contradict", faults=(_word(fact, "the reference states it"),))
    return _Judged(fact=fact, kind="agree" if denials else "silent")


def _stated(fact: Fact, same: Sequence[Fact]) -> _Judged:
    best = _nearest(fact, same)
    denied = any(other.state == 0 and _denies(other, fact) for other in same)
    if denied and (best is None or _conflicts(fact, best, "side") or _conflicts(fact, best, "segment")):
        return _Judged(fact=fact, kind="contradict", faults=(_word(fact, "the reference denies it"),))
    if best is None:
        return _Judged(fact=fact, kind="extra", faults=(_word(fact, "not in the reference", kind="extra"),))
    faults = [_fault(fact, detail, best) for detail in fact.details if not _said(detail, best)]
    if fact.state != best.state:
        note = f"{_SPOKEN[fact.state]} here, {_SPOKEN[best.state]} in the reference"
        faults.append(_word(fact, note))
    return _Judged(fact=fact, kind="partly" if faults else "agree", faults=tuple(faults))


def _nearest(fact: Fact, others: Sequence[Fact]) -> Fact | None:
    """The statement of the same finding that shares most with this one, its place first."""
    stated = [other for other in others if other.state != 0]

    def shared(other: Fact) -> tuple[bool, bool, int, bool, int]:
        return (
            not _conflicts(fact, other, "side"),
            not (_conflicts(fact, other, "segment") or _conflicts(fact, other, "zone")),
            sum(_said(detail, other) for detail in fact.details),
            fact.state == other.state,
            sum(bool(other.values(detail.axis)) for detail in fact.details),
        )

    return max(stated, key=shared, default=None)


def _conflicts(fact: Fact, other: Fact, axis: str) -> bool:
    mine, theirs = fact.values(axis), other.values(axis)
    return bool(mine and theirs and not mine & theirs)


def _said(detail: Detail, other: Fact) -> bool:
    """Whether another statement of the finding says a detail too. A percentage may be given as a grade."""
    alike = [one for one in other.details if one.axis == detail.axis]
    if detail.low is None or detail.high is None:
        return any(one.value == detail.value for one in alike)
    if detail.axis == "percentage" and not alike:
        return True
    return any(_within(detail, one) for one in alike)


def _within(detail: Detail, other: Detail) -> bool:
    """Whether two numbers are the same, or, of percentages, one lies inside the other's range."""
    if detail.axis != "percentage":
        return detail.value == other.value
    ends = (detail.low or 0.0, detail.high or 0.0, other.low or 0.0, other.high or 0.0)
    low, high, least, most = ends
    return (least <= low and high <= most) or (low <= least and most <= high)


def _denies(denial: Fact, other: Fact) -> bool:
    """Whether a denial is about what another fact speaks of, or about all of its kind."""
    for axis in _RESTRICTS:
        limits, values = denial.values(axis), other.values(axis)
        if "significant" in limits:
            limits |= _SIGNIFICANT
        if limits and not limits & values:
            return False
    return True


def _missed(fact: Fact, said: Sequence[Fact]) -> Iterable[Word]:
    """The words of one fact of the reference that the report lacks."""
    if fact.state == 0:
        return
    best = _nearest(fact, [other for other in said if other.finding == fact.finding])
    if best is None or _conflicts(fact, best, "side"):
        yield _word(fact, f"missed: {fact.finding}", kind="missed")
        spans = [detail.span for detail in fact.details if detail.span is not None]
        yield from (_at(span, f"missed: {fact.finding}", "missed") for span in spans)
        return
    for detail in fact.details:
        if not _said(detail, best):
            yield _at(detail.span or fact.span, f"missed: {detail.words}", "missed")


def _fault(fact: Fact, detail: Detail, best: Fact) -> Word:
    theirs = [other.words for other in best.details if other.axis == detail.axis]
    what = f"the reference says {' and '.join(theirs)}" if theirs else "not in the reference"
    return _at(detail.span or fact.span, f"{detail.words}: {what}", "contradict" if theirs else "extra")


def _word(fact: Fact, note: str, kind: Kind = "contradict") -> Word:
    return _at(fact.span, note if kind == "missed" else f"{fact.words}: {note}", kind)


def _at(span: tuple[int, int], note: str, kind: Kind) -> Word:
    return Word(start=span[0], end=span[1], kind=kind, note=note)


def _phrases(words: Iterable[Word], text: str) -> list[Word]:
    """Words that stand close together as one stretch, with the notes of all."""
    phrases: list[Word] = []
    for word in words:
        last = phrases[-1] if phrases else None
        if last is not None and _BETWEEN.fullmatch(text[last["end"] : word["start"]]):
            last["end"] = word["end"]
            _note(last, word)
        else:
            phrases.append(word)
    return phrases


def _note(word: Word, other: Word) -> None:
    notes = word["note"].split("; ")
    word["note"] = "; ".join(dict.fromkeys([*notes, *other["note"].split("; ")]))


def _apart(words: Iterable[Word]) -> list[Word]:
    """Words in the order of the text; those that share characters become one, with the notes of all."""
    merged: list[Word] = []
    for word in sorted(words, key=lambda word: (word["start"], word["end"])):
        last = merged[-1] if merged else None
        if last is None or word["start"] >= last["end"]:
            merged.append(Word(**word))
            continue
        last["end"] = max(last["end"], word["end"])
        _note(last, word)
        if word["kind"] == "contradict":
            last["kind"] = "contradict"
    return merged
