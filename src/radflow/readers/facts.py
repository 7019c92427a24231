"""What a report says, as facts: a finding, whether it is there, and every detail that is said of it.

Labels say that there is plaque on the right; facts say as well that it is ulcerated, on the anterior wall of
the bulb, and 12 mm long, and where in the text each of these words stands. So two reports can be compared
word by word (:mod:`radflow.evaluation.marks`). What a reader's lexicon does not know is no fact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from radflow.modality import attribute, modality_of
from radflow.readers.tokens import Span

__all__ = ["Detail", "Fact", "Number", "facts", "numbers"]


@dataclass(frozen=True, kw_only=True)
class Detail:
    """One thing said of a finding.

    Attributes:
        axis: what it is about: ``side``, ``segment``, ``zone``, ``wall``, ``degree``, ``size`` and so on.
        value: what is said, normalised: ``left``, ``anterior``, ``12 mm``.
        span: the characters that say it; ``None`` where a header in front says it.
        words: these characters, or the value where there are none.
        low: for numbers, the least value it stands for.
        high: for numbers, the greatest.
    """

    axis: str
    value: str
    span: Span | None = None
    words: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One finding of a report on at most one side.

    Attributes:
        finding: its name: an observation, a key term, or the word of the lexicon.
        state: 1 stated, -1 hedged, 0 denied.
        span: the characters that name it.
        words: these characters, in small letters.
        details: everything said of it, in the order of the text.
    """

    finding: str
    state: int
    span: Span
    words: str = ""
    details: tuple[Detail, ...] = ()

    def values(self, axis: str) -> frozenset[str]:
        """What is said on one axis; empty where nothing is."""
        return frozenset(detail.value for detail in self.details if detail.axis == axis)


def facts(text: str, modality: str) -> list[Fact]:
    """Read one report, in the order of its text.

    >>> (fact,) = facts("Mild left effusion.", "chest-xray")
    >>> fact.finding, fact.state, [detail.value for detail in fact.details]
    ('Pleural Effusion', 1, ['small', 'left'])
    """
    if (reader := modality_of(modality).facts) is None:
        return []
    read: Callable[[str], list[Fact]] = attribute(reader)
    return sorted((_quoted(fact, text) for fact in read(text)), key=lambda fact: (fact.span, fact.finding))


def _quoted(fact: Fact, text: str) -> Fact:
    """The fact with the words of its details as the text spells them."""

    def quote(span: Span) -> str:
        return " ".join(text[slice(*span)].split())

    details = (replace(one, words=quote(one.span) if one.span else one.value) for one in fact.details)
    return replace(fact, words=quote(fact.span).lower(), details=tuple(details))


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number with its unit, and the range it stands for: ``<50%`` is 0 to 50."""

    span: Span
    unit: str
    low: float
    high: float
    text: str


_VALUE = r"\d+(?:\.\d+)?"
_NUMBER = re.compile(
    r"(?P<limit>(?:[<>≤≥]=?|\b(?:less than|below|under|up to|at least|more than|greater than|over|above)\b)"
    r"\s*)?"
    rf"(?<![\w.])(?P<first>{_VALUE})(?:\s*(?:%|mm|cm)?\s*(?:-|–|to|x|×|by)\s*(?P<second>{_VALUE}))?\s*"
    rf"(?P<unit>%|percent\b|cm/s(?:ec)?\b|m/s\b|mm\b|cm\b|(?:st|nd|rd|th)\b)",
    re.IGNORECASE,
)
_UNITS = {"cm": ("mm", 10.0), "m/s": ("cm/s", 100.0), "cm/sec": ("cm/s", 1.0), "percent": ("%", 1.0)}
_ORDINAL = frozenset({"st", "nd", "rd", "th"})
_UPPER = ("<", "≤", "less", "below", "under", "up")


def numbers(text: str) -> Iterator[Number]:
    """Every number of a text that has a unit; centimetres become millimetres.

    >>> [(n.text, n.low, n.high) for n in numbers("PSV 150 cm/s, stenosis <50%, a 1.2 cm nodule")]
    [('150 cm/s', 150.0, 150.0), ('<50%', 0.0, 50.0), ('12 mm', 12.0, 12.0)]
    """
    for match in _NUMBER.finditer(text):
        unit, factor = _UNITS.get(match["unit"].lower(), (match["unit"].lower(), 1.0))
        unit = "th" if unit in _ORDINAL else unit
        ends = [round(float(match[name]) * factor, 6) for name in ("first", "second") if match[name]]
        low, high, limit = min(ends), max(ends), (match["limit"] or "").strip().lower()
        said = " to ".join(f"{end:g}" for end in ends)
        if limit:
            is_upper = limit.startswith(_UPPER)
            low, high = (0.0, high) if is_upper else (low, 100.0 if unit == "%" else float("inf"))
            said = ("<" if is_upper else ">=") + said
        joint = "" if unit in ("%", "th") else " "
        yield Number(span=Span(*match.span()), unit=unit, low=low, high=high, text=f"{said}{joint}{unit}")
