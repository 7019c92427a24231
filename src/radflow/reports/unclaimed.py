"""The findings of a report without a header FINDINGS: what stands before its Impression, under no header.

Most reports are written so: a title, an indication, the findings as a paragraph, ``IMPRESSION:``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Claim = Literal["none", "paragraph", "all"]
"""How much of the text under a header is its own: INDICATION has a paragraph, a wet read all that follows."""

_BREAK = r"(?:\r\n?+|\n)"
_BLANK_LINE = re.compile(rf"{_BREAK}[^\S\r\n]*+{_BREAK}")
# A title names a picture or its date and has these words alone: "PORTABLE CHEST, ONE VIEW - 3/4/2019 9:41".
_PICTURE = (
    r"chest|thorax|x-?rays?|xr|cxr|dx|cta?|mri?|mra|us|ultraso(?:und|nography)|sonogra(?:m|phy)|doppler|duplex"
    r"|radiographs?|radiography|films?|scans?|study|studies|examinations?|exams?|views?|projections?|reports?"
    r"|\d[\d./-]{5,9}|x{3,}|_{3,}"
)
_TITLE_WORD = (
    r"\d[\d:./-]*+(?:st|nd|rd|th)?|cr|thoracic|carotids?|arter(?:y|ies|ial)|neck|bilateral|left|right|extracranial"
    r"|lungs?|ribs?|abdomen|upright|supine|erect|semi|decubitus|portable|bedside|mobile|radiological|radiology|imaging"
    r"|ap|pa|lat|lateral|frontal|posteroanterior|anteroposterior|single|one|two|three|four|series"
    r"|final|of|the|and|an?|in|on|at|with|without|contrast|dated?|am|pm|m"
    r"|(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]{0,6}"
)
_WORD = rf"(?:(?:{_PICTURE}|{_TITLE_WORD})(?![^\W_])[^\w\r\n:]*+)"
_TITLE = (
    rf"(?=[^\r\n:]{{0,100}}?(?<![^\W_])(?:{_PICTURE})(?![^\W_]))"
    rf"(?:{_WORD}{{2,}}+:|{_WORD}++(?:(?={_BREAK})|\Z))"  # "Chest:" alone is a heading of the findings
)
# Lines that say whose report it is, and when and where it was made.
_LABELLED = (
    r"(?:patient|name|mrn|medical[ ]record|dob|date|time|accession|sex|gender|age|location|hospital"
    r"|department|physician|radiologist|ordering|referring|attending|requested"
    r"|study[ ](?:id|date)|exam[ ]date)(?![^\W_])[^\r\n:.]{0,30}+:[^\r\n]*+"
)
_HEAD = re.compile(rf"(?:[\s*_#>•-]*+(?:{_TITLE}|{_LABELLED}))*+\s*+", re.IGNORECASE)
# "REPORT: ..." may be the indication, the technique and the findings in one.
_WHOLE = re.compile(r"^[^\S\r\n]{0,20}report[^\S\r\n]{0,3}:", re.IGNORECASE | re.MULTILINE)


def unclaimed_findings(before: Iterable[tuple[Claim, str]]) -> str | None:
    """The only passage that is under no other header, no title and no line of personal data, or ``None``.

    Args:
        before: the passages before the Impression, in order, each with what its header claims of it. A
            paragraph ends with a blank line.

    >>> unclaimed_findings([("none", "PA CHEST\\n"), ("paragraph", "Cough.\\n\\nLungs are clear.\\n")])
    'Lungs are clear.'
    >>> unclaimed_findings([("none", "Lungs are clear."), ("paragraph", "None.\\n\\nNo effusion.")]) is None
    True
    """
    passages = [passage for claim, text in before if (passage := _unclaimed(claim, text))]
    return passages[0] if len(passages) == 1 else None


def holds_everything(text: str) -> bool:
    """Whether a line of the text begins with the header REPORT.

    >>> holds_everything("CHEST\\nREPORT: Lungs are clear."), holds_everything("Report is final.")
    (True, False)
    """
    return _WHOLE.search(text) is not None


def _unclaimed(claim: Claim, text: str) -> str:
    text = text.strip()
    if claim == "all":
        return ""
    if claim == "paragraph":
        blank = _BLANK_LINE.search(text)
        text = text[blank.end() :] if blank else ""
    head = _HEAD.match(text)
    return text[head.end() if head else 0 :].strip()
