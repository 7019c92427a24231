"""What in a report could say whose it is, found by patterns before text leaves the machine.

The list is that of the HIPAA Safe Harbor, 45 CFR 164.514(b)(2)(i). Looked for, by kind:

======== ======================================================================================== ==========
kind     what                                                                                     Safe Harbor
======== ======================================================================================== ==========
name     names after a title or a cue ("Dr.", "Patient:", "wife,", "pt"), or before a degree      (A)
address  street with number, P.O. box, postcode with its town (or city and state)                 (B)
date     days and months, numeric or written, with weekday and time; a year alone is allowed      (C)
age      over 89                                                                                  (C)
phone    telephone, fax and pager numbers                                                         (D), (E)
email                                                                                             (F)
ssn      social security numbers, also with the first five digits starred out                     (G)
record   record, accession, account, policy, licence, device and national numbers; long digits    (H)-(M), (R)
url                                                                                               (N)
ip       IPv4, IPv6 and hardware addresses                                                        (O)
======== ======================================================================================== ==========

Dates, telephones, streets, postcodes and national numbers also as Germany, France, Spain, Italy, Portugal,
the Netherlands, Britain, China and Korea write them. Check digits are not asked for: a mistyped number still
says whose it is.

**Not looked for**: names with no title, cue or degree; names of institutions and wards; cities, counties
and precincts without a ZIP code; weekdays, holidays and days without a month ("the 14th") alone, times that
stand alone; what identifies by its meaning ("the mayor"). Biometrics and pictures, (P) and (Q), are not text.
So text that passed is *not* de-identified in the sense of the rule; it only has fewer identifiers in it.

Recall goes before precision: a false alarm costs one masked word. The marks of published data sets (``XXXX``
of Open-i, ``___`` of MIMIC-CXR) are not identifiers. The words are in ``identifiers.toml``, the patterns in
:mod:`radflow.judges.privacy.identifier_patterns`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from radflow.judges.privacy.identifier_patterns import Kind, patterns_for

_ROUNDS = 8


@dataclass(frozen=True, kw_only=True)
class Identifier:
    """One place in a text that could say whose it is: what it is, and (start, end) in characters.

    The characters themselves are left out of ``repr``, so that no log shows them.
    """

    kind: Kind
    span: tuple[int, int]
    text: str = field(repr=False)


def find_identifiers(text: str) -> list[Identifier]:
    """Find the identifiers of a text, in order and without overlap.

    Time is linear in the length of the text, whatever it says.

    >>> found = find_identifiers("Discussed with Dr. Ann Smith on 3/14/2019. Nodule of 4 mm at T12.")
    >>> [(identifier.kind, identifier.text) for identifier in found]
    [('name', 'Ann Smith'), ('date', '3/14/2019')]
    >>> found[0]
    Identifier(kind='name', span=(19, 28))
    """
    return [
        Identifier(kind=kind, span=(start, end), text=text[start:end])
        for start, end, kind in _merged(sorted(_matches(text)))
    ]


def mask_identifiers(text: str) -> str:
    """Return the text with each identifier as its kind in brackets.

    Nothing is found in what comes out, so masking twice is masking once. A text where masks keep uncovering
    more (it is made for that; no report does it) goes as a whole.

    >>> mask_identifiers("Compared to 3/14/2019, a 93-year-old. Call Dr. Smith at 317-555-0142.")
    'Compared to [DATE], a [AGE]-year-old. Call Dr. [NAME] at [PHONE].'
    """
    # A masked neighbour can uncover another identifier, so once is not always enough.
    for _ in range(_ROUNDS):
        found = find_identifiers(text)
        if not found:
            return text
        parts, after = [], 0
        for identifier in found:
            start, end = identifier.span
            parts += [text[after:start], f"[{identifier.kind.upper()}]"]
            after = end
        text = "".join([*parts, text[after:]])
    return "[RECORD]"


def _matches(text: str) -> Iterator[tuple[int, int, Kind]]:
    for pattern in patterns_for(text):
        for match in pattern.regex.finditer(text):
            yield *match.span("id"), pattern.kind


def _merged(spans: list[tuple[int, int, Kind]]) -> list[tuple[int, int, Kind]]:
    """Join what overlaps under the kind of the longer part, so that no piece of either stays."""
    merged: list[tuple[int, int, Kind]] = []
    for start, end, kind in spans:
        if merged and start < merged[-1][1]:
            before, until, longer = merged[-1]
            merged[-1] = (before, max(until, end), kind if end - start > until - before else longer)
        else:
            merged.append((start, end, kind))
    return merged
