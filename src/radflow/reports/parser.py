"""The deterministic section parser of Section 4.2: which part of a report is Findings, which is Impression.

The text is laid out as lines (``layouts.py``) and read once: find every header, keep those that stand where a
header can stand, cut between them. What counts as a header, and what the sections then are, is stated in
`parse_report`; the names of the sections are in ``headers.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from radflow.reports.headers import KINDS, Headers, Kind, read_headers
from radflow.reports.layouts import as_lines
from radflow.reports.report import Report
from radflow.reports.unclaimed import Claim, holds_everything, unclaimed_findings

_Place = Literal["line", "sentence", "word"]

_CLAIMS: dict[Kind, Claim] = {
    "opening": "none",
    "context": "paragraph",
    "closing": "all",
    "preliminary": "all",
}
_IF_NONE: dict[Kind, Kind] = {"findings_if_none": "findings", "impression_if_none": "impression"}
# What may stand on the line before a header: indentation, quote, list and heading marks, a number.
_LINE_PREFIX = re.compile(
    r"[\s>#*_=•-]*"
    r"(?P<number>(?:section[ ])?\(?(?:\d{1,2}(?:\.\d{1,2})?|[ivx]{1,4}|[a-h])[.):]|\d{1,2}\.\d{1,2})?"
    r"[\s#*_]*",
    re.IGNORECASE,
)
_INLINE_NUMBER = re.compile(r"\(?\d{1,2}[.)]\s*\Z")
_SENTENCE_END = tuple(".!?;)]\"'”’")
_REACH = 80  # characters looked back from a header; a constant, so that the time stays linear
# A line drawn under a header or between two sections; YAML's mark of a text over several lines.
_RULE = r"(?:-{3,}+|={3,}+|_{5,}+|\*{3,}+)[^\S\n\r]*+"
_RULE_ABOVE = re.compile(rf"\s*+(?:{_RULE}|[|>][+-]?)(?=[\n\r])")
_RULES_BEGIN, _RULES_END = tuple("-=_*|>"), tuple("-=_*")
_RULE_BELOW = re.compile(rf"[\n\r]\s*+{_RULE}\Z")


class _Header(NamedTuple):
    kind: Kind
    start: int  # where the section before it ends
    body: int  # where its own section begins
    open_markup: str = ""  # "**Findings: clear.**" closes what it opened behind its section


def parse_report(text: str, headers: Headers | None = None) -> Report:
    """Find the Findings and the Impression of a report.

    Names. FINDINGS, Finding, Finding(s), Imaging findings, ...; IMPRESSION(S), CONCLUSION(S), OPINION, Final
    impression, ...; the same in German (Befund, Beurteilung), French (Résultats, Conclusion), Spanish
    (Hallazgos, Impresión), Italian, Portuguese and Dutch; in any case, with or without accents. INDICATION,
    COMPARISON, TECHNIQUE, HISTORY, EXAM, RECOMMENDATION and their like end a section and are in none.
    ``headers.toml`` has them all; ``headers`` extends them (:func:`~radflow.reports.headers.read_headers`).
    Names that may mean something else (DESCRIPTION; SUMMARY, ASSESSMENT, DIAGNOSIS) are headers of a section
    that no other header names, and a diagnosis only below the Findings.

    Marks. A name is followed by a colon, by a dash, by ``=``, or is alone on its line; with markdown around
    it (``## Findings``, ``**Findings:**``), in brackets (``[FINDINGS]``), underlined, or with a number before
    it (``1. Findings:``). HTML, JSON and tables are laid out as lines first (``layouts.py``).

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
    two Findings, or two Impressions             both ``None``: two studies, or an addendum with its own
    Impression before Findings                   both ``None``
    a joint header ("Findings and impression:")  both ``None``
    ===========================================  ==========================================================

    A wet read or preliminary report above FINAL REPORT is replaced by it, its headers included.

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
    >>> report = parse_report("<b>Befund:</b> Lungen frei.<br><b>Beurteilung:</b> Unauffällig.")
    >>> report.findings, report.impression
    ('Lungen frei.', 'Unauffällig.')
    >>> parse_report("INDICATION: Cough.\\n\\nLungs are clear.\\n\\nIMPRESSION: Normal.").findings
    'Lungs are clear.'
    >>> report = parse_report("INDICATION: Cough. IMPRESSION: Normal.")
    >>> report.findings, report.impression
    (None, 'Normal.')
    """
    headers = headers or read_headers()
    passages = _passages(as_lines(text, headers), headers)
    sections = [(kind, body) for kind, body in passages if kind not in _CLAIMS and body]
    found: dict[Kind, str | None] = {}
    if [kind for kind, _ in sections] in (["findings", "impression"], ["findings"]):
        found.update(sections)
    elif [kind for kind, _ in sections] == ["impression"]:
        found = _without_findings_header(passages)
    findings, impression = (
        None if found.get(kind) == "None" else found.get(kind) for kind in ("findings", "impression")
    )
    return Report(text=text, findings=findings, impression=impression)


def _passages(text: str, names: Headers) -> list[tuple[Kind, str]]:
    """The text cut at its headers, each piece with the kind of its header; the first piece has none."""
    headers = _final(_settled(list(_headers(text, names)), text))
    headers = [_Header(kind="opening", start=0, body=0), *headers]
    ends = [header.start for header in headers[1:]] + [len(text)]
    return [
        (header.kind, _body(text[header.body : end], header.open_markup))
        for header, end in zip(headers, ends, strict=True)
    ]


def _body(text: str, open_markup: str) -> str:
    """A section without the lines drawn around it, and without the end of markdown that its header opened."""
    body = text.strip()
    if body.startswith(_RULES_BEGIN) and (above := _RULE_ABOVE.match(text)):
        body = text[above.end() :].strip()
    if body.endswith(_RULES_END) and (below := _RULE_BELOW.search(body[-_REACH:])):
        body = body[: len(body) - len(below.group())].rstrip()
    return body.removesuffix(open_markup).rstrip()


def _settled(headers: list[_Header], text: str) -> list[_Header]:
    """Decide which names that may mean something else are headers (see `parse_report`); the rest is text."""
    if not any(header.kind in _IF_NONE for header in headers):
        return headers
    ends = [header.start for header in headers[1:]] + [len(text)]
    said = {id(header) for header, end in zip(headers, ends, strict=True) if text[header.body : end].strip()}
    for kind, means in _IF_NONE.items():
        maybe = [header for header in headers if header.kind == kind and id(header) in said]
        known = [header for header in headers if header.kind in (means, "both") and id(header) in said]
        above = (
            [header for header in headers if header.kind == "findings" and header.start < maybe[0].start]
            if maybe
            else []
        )
        sure = maybe[0] if len(maybe) == 1 and not known and (means == "findings" or above) else None
        headers = [
            header._replace(kind=means) if header is sure else header
            for header in headers
            if header is sure or header.kind != kind
        ]
    return headers


def _final(headers: Sequence[_Header]) -> list[_Header]:
    """The headers without those of a preliminary report that a final one below replaces."""
    kinds = [header.kind for header in headers]
    if "preliminary" not in kinds or "opening" not in kinds:
        return list(headers)
    first, last = kinds.index("preliminary"), len(kinds) - 1 - kinds[::-1].index("opening")
    return [header for at, header in enumerate(headers) if at <= first or at >= last]


def _without_findings_header(passages: list[tuple[Kind, str]]) -> dict[Kind, str | None]:
    """The sections where the only one with a header is an Impression."""
    at = next(i for i, (kind, body) in enumerate(passages) if kind == "impression" and body)
    before = passages[:at]
    if any(holds_everything(body) for _, body in before):
        return {}
    found: dict[Kind, str | None] = {"impression": passages[at][1]}
    if all(kind in _CLAIMS for kind, _ in before):
        found["findings"] = unclaimed_findings((_CLAIMS[kind], body) for kind, body in before)
    return found


def _headers(text: str, names: Headers) -> Iterator[_Header]:
    """Every header, in order, that stands where a header can stand."""
    numbered = False
    for match in names.header.finditer(_small(text)):
        start = match.start()
        before = text[max(0, start - _REACH) : start]
        place, prefix = _place(before, whole=start <= _REACH)
        kind = next(kind for kind in KINDS if match[kind] is not None)
        if not _accepted(kind, match, text, place, before, names):
            continue
        if prefix is not None:
            start -= len(prefix.group())
            numbered = prefix["number"] is not None
        elif numbered and (number := _INLINE_NUMBER.search(before)):
            start -= len(number.group())  # "1. Findings: clear. 2. Impression: normal."
        markup = match["markup"]
        closed = set(match.group()[len(markup) :]) & set("*_\"'")
        yield _Header(
            kind=kind,
            start=start,
            body=match.end(),
            open_markup="" if closed or markup == "[" else markup,
        )


def _small(text: str) -> str:
    """In small letters, each character at its place: the small "İ" is two characters long."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(c if len(c.lower()) > 1 else c.lower() for c in text)


def _place(before: str, *, whole: bool) -> tuple[_Place | None, re.Match[str] | None]:
    """Where a header stands, given the text just before it (``whole``: that is all there is).

    Returns the place, or ``None`` where no header can stand, and the match of what precedes it on its line.
    """
    newline = max(before.rfind("\n"), before.rfind("\r"))
    if newline >= 0 or whole:
        prefix = _LINE_PREFIX.fullmatch(before[newline + 1 :])
        if prefix:
            return "line", prefix
    if before[-1:] in (".", "!", "?"):
        return "sentence", None  # "Clear lungs.IMPRESSION: Normal."
    if not before[-1:].isspace():
        return None, None
    return ("sentence" if before.rstrip().endswith(_SENTENCE_END) else "word"), None


def _accepted(
    kind: Kind, match: re.Match[str], text: str, place: _Place | None, before: str, names: Headers
) -> bool:
    """Whether a header word in this place, case and form is a header (see `parse_report`, "Places")."""
    name = text[slice(*match.span(kind))]
    capital = name[0].isupper()
    if place is None or (match["markup"] == "[") != ("]" in match.group()):
        return False
    if match["closed"] is not None:
        behind = text[match.end() : match.end() + _REACH].lstrip()
        return match["markup"] == "[" or (place == "line" and bool(match["markup"]) and behind[:1].isupper())
    if match["bare"] is not None:
        marked = bool(match["markup"]) or before.rstrip(" \t").endswith(("#", "*", "==", "--"))
        return place == "line" and (marked or (capital and _after_a_full_stop(before)))
    if match["odd"] is not None:
        is_equal = match["odd"].endswith("=")
        return place == "line" and (is_equal or (name.isupper() and _after_a_full_stop(before)))
    if match["dash"] is not None:
        return place == "line" or (place == "sentence" and name.isupper())
    if place == "line":
        return True
    if place == "sentence":
        return capital or (kind not in _CLAIMS and before[-1:].isspace())
    if kind in _IF_NONE or (kind == "findings" and names.subheading.search(before)):
        return False
    return name.isupper() or (capital and kind not in _CLAIMS)


def _after_a_full_stop(before: str) -> bool:
    """Whether nothing, a blank line, or a finished sentence or heading precedes a line."""
    above = re.split(r"\r\n|\n|\r", before)[:-1]
    return not above or not above[-1].strip() or above[-1].rstrip().endswith((*_SENTENCE_END, ":", "*", "#"))
