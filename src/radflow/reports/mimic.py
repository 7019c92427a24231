"""The sections of a MIMIC-CXR report: free text under headers of its own, wet reads, addenda.

The rules are those of the section parser that comes with MIMIC-CXR (github.com/MIT-LCP/mimic-cxr, folder
``txt``) with the same results on ordinary reports: a header begins a line and ends with a colon; of two
sections with the same name the last non-empty one counts; a joint "findings and impression" is an
impression; and where there is neither findings nor impression what follows the first paragraph of the last
section is the ``last_paragraph``. They differ on purpose as follows:

* preliminary text (``WET READ``) and a ``FINAL ADDENDUM`` above the line ``FINAL REPORT`` are kept apart,
  so that their impressions are never taken for the report's;
* only known names cut. ``LUNGS:`` or ``LINES AND TUBES:`` inside the findings is text of the findings;
* a title such as ``CHEST, TWO VIEWS:`` begins the findings only where no header FINDINGS does;
* without such a header too, text before the impression that no header claims is the findings, by the rules
  of :func:`radflow.reports.parse_report`;
* names in ordinary capitals (``Impression:``), with a slip in them (``IMPRESSON:``), alone on their line, or
  after a sentence (``Clear. IMPRESSION:``) count.

That script also has a list of some fifty studies whose sections people set by hand. It is not repeated here;
the adapter of MIMIC-CXR takes the sections of ``mimic_cxr_sectioned.csv`` where that file is there.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache

from radflow.reports.unclaimed import Claim, holds_everything, unclaimed_findings

_SPELLINGS: dict[str, tuple[str, ...]] = {
    "findings": ("findings", "finding", "finding(s)", "reference findings"),
    "impression": (
        "impression",
        "impressions",
        "impression(s)",
        "conclusion",
        "conclusions",
        "findings and impression",
        "findings/impression",
        "findings/ impression",
    ),
    "indication": (
        "indication",
        "indications",
        "clinical indication",
        "reason for exam",
        "reason for examination",
        "reason for the exam",
        "reason for study",
        "reason",
    ),
    "history": ("history", "clinical history", "patient history", "clinical information", "clinical data"),
    "comparison": ("comparison", "comparisons", "comparison exam", "comparison film", "reference exam"),
    "technique": ("technique", "procedure"),
    "examination": ("examination", "exam", "type of examination", "study"),
    "recommendations": ("recommendation", "recommendations", "recommendation(s)"),
    "notification": ("notification", "notifications"),
    "addendum": ("addendum", "final addendum"),
    "wet_read": ("wet read", "wetread", "wet reading", "preliminary report"),
    "opening": ("final report",),
    "other": ("comment", "note", "date", "dictated by", "signed by", "pfi"),
}
_NAMES = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings}
# Words that say which section a longer name in capitals is: "COMPARISON STUDIES", "BRIEF HISTORY".
_TELLING = ("impression", "findings", "history", "comparison", "addendum")
_SLIPS = ("impression", "findings", "conclusion", "comparison", "comparisons", "indication", "examination")
_TITLE = re.compile(
    r"\b(?:chest|portable|(?:pa|ap|lateral|frontal)[ ](?:and|view)|(?:one|two|three|single|[123])[ ]views?"
    r"|radiographs?|upright|ribs|bone[ ]window)\b"
)

# Every pattern begins with a fixed character or a class, so that it is looked for quickly: each text is
# searched with a line break put before it.
_HEADER = re.compile(
    r"""
    \n [^\S\n]* (?P<name> [A-Z] [A-Za-z0-9 /,()&.'_-]{1,70}? ) [^\S\n]*
    (?: (?P<colon> : (?!\d) ) | $ )   # "AP CHEST, 9:41 A.M." is no header
    """,
    re.VERBOSE | re.MULTILINE,
)
_INLINE = re.compile(
    r"[.?!;:)][^\S\n]+(?P<name>FINDINGS?|IMPRESSIONS?|CONCLUSIONS?|COMPARISONS?|TECHNIQUE)[ ]?:"
)
_FINAL_REPORT = re.compile(r"\n[^\S\n]*FINAL REPORT[^\S\n]*:?")
_PRELIMINARY = re.compile(r"\n[^\S\n]*(?P<mark>WET ?READ|PRELIMINARY|(?:FINAL )?ADDENDUM)\b")
_RULE = re.compile(r"_{20,}")  # drawn between a wet read and its report; a name is three underscores
_SENTENCE = re.compile(r"[a-z]{3}")  # under a picture's name often stands a date alone
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")


@dataclass(frozen=True, kw_only=True)
class MimicSections:
    """The sections of one report, white space collapsed, de-identified names (``___``) as they are.

    ``None`` where the report has no such section, or nothing is under its header. ``indication`` is also
    what stands under REASON FOR EXAM and its like, ``impression`` what stands under CONCLUSION.
    """

    examination: str | None = None
    indication: str | None = None
    history: str | None = None
    technique: str | None = None
    comparison: str | None = None
    findings: str | None = None
    impression: str | None = None
    recommendations: str | None = None
    notification: str | None = None
    addendum: str | None = None
    wet_read: str | None = None
    last_paragraph: str | None = None

    @property
    def present(self) -> str:
        """Which of the sections needed for a reference are present, in words."""
        if self.findings and self.impression:
            return "findings and impression"
        if self.findings or self.impression:
            return "findings only" if self.findings else "impression only"
        return "a last paragraph only" if self.last_paragraph else "neither section"


def parse_mimic(text: str) -> MimicSections:
    """Find the sections of a MIMIC-CXR report (the module's docstring has the rules).

    Time is linear in the length; no string makes it raise.

    >>> report = parse_mimic(" INDICATION:  ___M with cough.\\n\\n IMPRESSION: \\n \\n No\\n pneumonia.")
    >>> report.indication, report.impression, report.findings
    ('___M with cough.', 'No pneumonia.', None)
    >>> parse_mimic(" PORTABLE CHEST\\n \\n The lungs are clear.").last_paragraph
    'The lungs are clear.'
    """
    preliminary, body = _above_and_below("\n" + text.replace("\r\n", "\n").replace("\r", "\n"))
    sections = [*_preliminary_sections(preliminary), *_sections(body)]
    found: dict[str, str] = {}
    for name, section in sections:
        if said := _collapsed(section):
            found[name] = said
    if "findings" not in found and _SENTENCE.search(found.get("title", "")):
        found["findings"] = found["title"]
    if "findings" not in found and "impression" in found:
        findings = _collapsed(_before_impression(sections) or "")  # of a rule alone nothing is left
        if findings:
            found = {
                name: text.removesuffix(findings).rstrip() if _CLAIMS.get(name) == "paragraph" else text
                for name, text in found.items()
            } | {"findings": findings}
    if "findings" not in found and "impression" not in found:
        found |= _last_paragraph(*sections[-1])
    return MimicSections(**{name: found[name] for name in _FIELDS if found.get(name)})


# What a section claims of the text under its header; all of it where it is not named here.
_CLAIMS: dict[str, Claim] = {
    **dict.fromkeys(("preamble", "opening"), "none"),
    **dict.fromkeys(("examination", "indication", "history", "technique", "comparison"), "paragraph"),
}
_FIELDS = tuple(field.name for field in fields(MimicSections))


def _above_and_below(text: str) -> tuple[str, str]:
    """Preliminary text with its marks, and the report below the line FINAL REPORT; all of it without one."""
    line = _FINAL_REPORT.search(text)
    if line is None or _PRELIMINARY.search(text, 0, line.start()) is None:
        return "", text
    return text[: line.start()], text[line.end() :]


def _preliminary_sections(text: str) -> Iterator[tuple[str, str]]:
    marks = list(_PRELIMINARY.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends, strict=False):  # no mark: one end too many
        section = text[mark.end() : end].lstrip(" :\t")
        yield "addendum" if "ADDENDUM" in mark["mark"] else "wet_read", section


def _sections(text: str) -> list[tuple[str, str]]:
    """Every section in order, the text before the first header as "preamble"."""
    sections: list[tuple[str, str]] = []
    name, start = "preamble", 0
    for header_name, header_start, header_end in _headers(text):
        if header_name == "title" and name in ("findings", "impression"):
            continue
        sections.append((name, text[start:header_start]))
        name, start = header_name, header_end
    return [*sections, (name, text[start:])]


def _headers(text: str) -> list[tuple[str, int, int]]:
    """Every header: its name, where it begins and where it ends."""
    headers = [
        (name, match.start(), match.end())
        for match in _HEADER.finditer(text)
        if (name := _name(match["name"], colon=match["colon"] is not None)) is not None
    ]
    inline = [
        (_NAMES[match["name"].lower()], match.start() + 1, match.end()) for match in _INLINE.finditer(text)
    ]
    return sorted(headers + inline, key=lambda header: header[1]) if inline else headers


@lru_cache(maxsize=4096)
def _name(written: str, *, colon: bool) -> str | None:
    """The section that a header begins, "title" for the name of a picture; ``None`` where it is no header."""
    plain = " ".join(written.lower().split())
    if plain in _NAMES and (colon or written.isupper()):
        return _NAMES[plain]
    if not colon or not written.isupper():
        return None
    if plain.startswith("wet read"):
        return "wet_read"
    for word in _TELLING:
        if word in plain:
            return word
    slip = difflib.get_close_matches(plain, _SLIPS, n=1, cutoff=0.85) if " " not in plain else []
    if slip:
        return _NAMES[slip[0]]
    return "title" if _TITLE.search(plain) else None


def _before_impression(sections: list[tuple[str, str]]) -> str | None:
    """The text before the first impression that is no other section's."""
    names = [name for name, _ in sections]
    before = sections[: names.index("impression")] if "impression" in names else []
    if "findings" in names or any(holds_everything(section) for _, section in before):
        return None
    return unclaimed_findings((_CLAIMS.get(name, "all"), section) for name, section in before)


def _last_paragraph(name: str, section: str) -> dict[str, str]:
    """Of the last section: its first paragraph under its own name, and the rest as the last paragraph."""
    if name in ("wet_read", "addendum"):
        return {}
    parts = _BLANK_LINE.split(section, maxsplit=1)
    if len(parts) < 2:
        return {}
    first, rest = map(_collapsed, parts)
    return {key: said for key, said in ((name, first), ("last_paragraph", rest)) if said}


def _collapsed(text: str) -> str:
    return " ".join((_RULE.sub(" ", text) if "_" * 20 in text else text).split())
