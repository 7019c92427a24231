"""The deterministic section parser of Section 4.2: which part of a report is Findings, which is Impression.

The text is read once: find every header, keep those that stand where a header can stand, cut between them.
What counts as a header, and what the sections then are, is stated in `parse_report`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from radflow.reports.report import Report
from radflow.reports.unclaimed import Claim, holds_everything, unclaimed_findings

_Kind = Literal["findings", "impression", "both", "opening", "context", "closing"]
_Place = Literal["line", "sentence", "word"]

_FINDINGS = r"findings|finding(?:\(s\))?"
_IMPRESSION = r"(?:impression|conclusion)(?:s|\(s\))?|opinion"
_KINDS: dict[_Kind, str] = {
    "both": rf"(?:{_FINDINGS})[ ]?(?:/|&|,|and)[ ]?(?:{_IMPRESSION})"
    rf"|(?:{_IMPRESSION})[ ]?(?:/|&|,|and)[ ]?(?:{_FINDINGS})",
    "findings": _FINDINGS,
    "impression": _IMPRESSION,
    "opening": r"final[ ]report",
    "context": r"(?:clinical[ ])?(?:indications?|history|information|data)"
    r"|comparisons?|techniques?|exam(?:ination)?(?:[ ]type)?|procedure"
    r"|reason[ ]for[ ](?:the[ ])?(?:exam(?:ination)?|study)",
    "closing": r"recommendations?|notifications?|addendum|wet[ ]read|(?:dictated|signed)[ ]by",
}
_NAMES = "|".join(f"(?P<{kind}>{names})" for kind, names in _KINDS.items())
_CLAIMS: dict[_Kind, Claim] = {"opening": "none", "context": "paragraph", "closing": "all"}
_BLANK = r"[^\S\n\r]"  # any white space that stays on the line
_HEADER = re.compile(
    rf"""
    (?<![\w*/-]) (?P<markup>[*_]{{0,3}})
    (?:{_NAMES})
    (?![^\W_]|[(/-])
    (?: (?P<colon> {_BLANK}{{0,3}} [*_]{{0,3}} {_BLANK}{{0,3}} [:：] [*_]{{0,3}} )
      | (?P<dash>  [*_]{{0,3}} {_BLANK}{{1,3}} [-–—] (?=\s) )
      | (?P<bare>  [*_]{{0,3}} {_BLANK}{{0,8}} \#{{0,6}} {_BLANK}{{0,8}} (?=[\n\r]|\Z) ) )
    """,
    re.IGNORECASE | re.VERBOSE,
)
# What may stand on the line before a header: indentation, quote, list and heading marks, a number.
_LINE_PREFIX = re.compile(
    r"[\s>#*_•-]*(?P<number>\(?(?:\d{1,2}|[ivx]{1,4}|[a-h])[.)])?[\s#*_]*", re.IGNORECASE
)
_INLINE_NUMBER = re.compile(r"\(?\d{1,2}[.)]\s*\Z")
_SENTENCE_END = tuple(".!?;)]\"'”’")
_REACH = 80  # characters looked back from a header; a constant, so that the time stays linear

# "Other findings: ..." is a line of the Findings section, not its start.
_SUBHEADING = re.compile(
    r"\b(?:other|additional|incidental|significant|key|pertinent|associated|relevant|acute|abnormal|normal|positive"
    r"|negative|following|these|those|such|no|chest|lung|bony|osseous)\s*\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class _Header:
    kind: _Kind
    start: int  # where the section before it ends
    body: int  # where its own section begins
    numbered: bool


def parse_report(text: str) -> Report:
    """Find the Findings and the Impression of a report.

    Spellings. FINDINGS, Findings, Finding, Finding(s); IMPRESSION(S), CONCLUSION(S), OPINION; in any case;
    followed by a colon, by a dash, or alone on their line; with markdown around them (``## Findings``,
    ``**Findings:**``) or a number before them (``1. Findings:``). INDICATION, COMPARISON, TECHNIQUE, HISTORY,
    EXAM, RECOMMENDATION and their like end a section and are in none.

    Places. A header begins a line, or follows the end of a sentence, or, inside a line, is written with a
    capital: ``Findings: clear Impression: normal``. So the lower-case ``findings: stable`` in the middle of a
    sentence is text, and so is ``Other findings:``. A word alone on its line is a header only with markdown,
    or with a capital and after a finished sentence.

    Sections, by the headers that have text under them (a header with nothing under it is not counted):

    ===========================================  ==========================================================
    one Findings, then one Impression            ``findings`` and ``impression``
    one Impression, text that nothing claims     the same, the text being the findings
    before it
    one Impression, no such text                 ``impression``
    one Findings                                 ``findings``
    a section being literally "None"             ``None`` for that section (`render_report` wrote it so)
    no header                                    both ``None``
    two Findings, or two Impressions             both ``None``
    Impression before Findings                   both ``None``
    a joint header ("Findings and impression:")  both ``None``
    ===========================================  ==========================================================

    Claimed is what stands under another header: the first paragraph under INDICATION, COMPARISON, TECHNIQUE,
    HISTORY, EXAM and their like, all text under RECOMMENDATION, NOTIFICATION, WET READ, ADDENDUM and their
    like, nothing under FINAL REPORT. The name of the examination (``CHEST, TWO VIEWS``) and lines such as
    ``Patient:`` and ``MRN:`` on top of a passage are no findings. Two unclaimed passages, or FINDINGS with
    nothing under it, leave ``findings`` unknown; a body under REPORT, which may hold anything, leaves
    both unknown.

    Where a section is not known, the whole ``text`` goes to the global reward (Section 4.2;
    docs/decisions/unsectioned.md). Time is linear in the length; no string makes it raise.

    >>> report = parse_report("FINDINGS: Lungs are clear.\\nIMPRESSION: Normal chest.")
    >>> report.findings, report.impression
    ('Lungs are clear.', 'Normal chest.')
    >>> parse_report("INDICATION: Cough.\\n\\nLungs are clear.\\n\\nIMPRESSION: Normal.").findings
    'Lungs are clear.'
    >>> report = parse_report("INDICATION: Cough. IMPRESSION: Normal.")
    >>> report.findings, report.impression
    (None, 'Normal.')
    """
    passages = _passages(text)
    sections = [(kind, body.strip()) for kind, body in passages if kind not in _CLAIMS and body.strip()]
    found: dict[_Kind, str | None] = {}
    if [kind for kind, _ in sections] in (["findings", "impression"], ["findings"]):
        found.update(sections)
    elif [kind for kind, _ in sections] == ["impression"]:
        found = _without_findings_header(passages)
    findings, impression = (
        None if found.get(kind) == "None" else found.get(kind) for kind in ("findings", "impression")
    )
    return Report(text=text, findings=findings, impression=impression)


def _passages(text: str) -> list[tuple[_Kind, str]]:
    """The text cut at its headers, each piece with the kind of its header; the first piece has none."""
    headers = [_Header(kind="opening", start=0, body=0, numbered=False), *_headers(text)]
    ends = [header.start for header in headers[1:]] + [len(text)]
    return [(header.kind, text[header.body : end]) for header, end in zip(headers, ends, strict=True)]


def _without_findings_header(passages: list[tuple[_Kind, str]]) -> dict[_Kind, str | None]:
    """The sections where the only one with a header is an Impression."""
    at = next(i for i, (kind, body) in enumerate(passages) if kind == "impression" and body.strip())
    before = passages[:at]
    if any(holds_everything(body) for _, body in before):
        return {}
    found: dict[_Kind, str | None] = {"impression": passages[at][1].strip()}
    if all(kind in _CLAIMS for kind, _ in before):
        found["findings"] = unclaimed_findings((_CLAIMS[kind], body) for kind, body in before)
    return found


def _headers(text: str) -> Iterator[_Header]:
    """Every header, in order, that stands where a header can stand."""
    numbered = False
    for match in _HEADER.finditer(text):
        before = text[max(0, match.start() - _REACH) : match.start()]
        place, prefix = _place(before, whole=match.start() <= _REACH)
        if not _accepted(match, place, before):
            continue
        start = match.start()
        if place == "line" and prefix is not None:
            start -= len(prefix.group())
            numbered = prefix["number"] is not None
        elif numbered and (number := _INLINE_NUMBER.search(before)):
            start -= len(number.group())  # "1. Findings: clear. 2. Impression: normal."
        yield _Header(kind=_kind(match), start=start, body=match.end(), numbered=numbered)


def _kind(match: re.Match[str]) -> _Kind:
    return next(kind for kind in _KINDS if match[kind] is not None)


def _place(before: str, *, whole: bool) -> tuple[_Place | None, re.Match[str] | None]:
    """Where a header stands, given the text just before it (``whole``: that is all there is).

    Returns the place, or ``None`` where no header can stand, and the match of what precedes it on its line.
    """
    newline = max(before.rfind("\n"), before.rfind("\r"))
    if newline >= 0 or whole:
        prefix = _LINE_PREFIX.fullmatch(before[newline + 1 :])
        if prefix:
            return "line", prefix
    if not before[-1:].isspace():
        return None, None
    return ("sentence" if before.rstrip().endswith(_SENTENCE_END) else "word"), None


def _accepted(match: re.Match[str], place: _Place | None, before: str) -> bool:
    """Whether a header word in this place, case and form is a header (see `parse_report`, "Places")."""
    kind = _kind(match)
    name = match[kind]
    capital = name[0].isupper()
    if place is None:
        return False
    if match["bare"] is not None:
        marked = bool(match["markup"]) or before.rstrip(" \t").endswith(("#", "*"))
        return place == "line" and (marked or (capital and _after_a_full_stop(before)))
    if match["dash"] is not None:
        return place == "line"
    if place == "line":
        return True
    if place == "sentence":
        return capital or kind not in _CLAIMS
    if kind == "findings" and _SUBHEADING.search(before):
        return False
    return name.isupper() or (capital and kind not in _CLAIMS)


def _after_a_full_stop(before: str) -> bool:
    """Whether nothing, a blank line, or a finished sentence or heading precedes a line."""
    above = re.split(r"\r\n|\n|\r", before)[:-1]
    return not above or not above[-1].strip() or above[-1].rstrip().endswith((*_SENTENCE_END, ":", "*", "#"))
