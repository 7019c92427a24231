"""Numbers of carotid ultrasound reports: percentages to stenosis grades, thickness in mm, velocity in cm/s.

Grades are those of the consensus of the Society of Radiologists in Ultrasound (Grant et al., Radiology 2003;
229:340-346). A number is read where a word says what it measures; the readers of terms never keep it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

THICKENED_MM = 1.0
"""Intima-media thickness from which a bare number counts as thickened."""
ACCELERATED_CM_S = 125.0
"""Peak systolic velocity of the internal carotid from which a bare number counts as accelerated: the limit of
the consensus below which a stenosis of 50 % is not suspected."""

_PERCENT = frozenset({"%", "percent", "％", "pct"})
_LIMITS = (  # -1 an upper limit, 1 a lower one
    (
        -1,
        (
            ("<",),
            ("≤",),
            ("＜",),
            ("less", "than"),
            ("no", "more", "than"),
            ("up", "to"),
            ("below",),
            ("under",),
        ),
    ),
    (
        1,
        (
            (">",),
            ("≥",),
            ("＞",),
            ("greater", "than"),
            ("more", "than"),
            ("at", "least"),
            ("over",),
            ("above",),
        ),
    ),
)
_OR_EQUAL = (("or", "equal", "to"), ("and", "equal", "to"), ("or", "equal"))
_OR_MORE = (("or", "more"), ("or", "greater"), ("or", "higher"), ("or", "above"), ("and", "above"))
_RANGE_WORDS = frozenset({"to", "and", "~", "–", "through"})
_RANGES = frozenset({"range", "ranging", "varying", "between", "anywhere"})  # in front of "from 50 to 69 %"
_FORMERLY = frozenset({"previously", "formerly", "prior", "previous", "initially", "earlier"})
_NOW = frozenset({"now", "currently", "today", "present", "presently"})
_FORMERLY_WITHIN = 4  # words between such a word and the percentage it puts to another time
_NOW_WITHIN = 8
_LARGEST_IMT_MM = 8.0  # anything thicker is the size of a plaque or of the vessel


class Percentage(NamedTuple):
    """One percentage of a sentence, or a range of them.

    Attributes:
        low: the least value it stands for; of an upper limit ("less than 50 %") the value just below.
        high: the greatest value.
        bounded: whether it was given as a range or with a limit, as grades are.
        start: first word of the numbers.
        end: word behind the percent sign.
    """

    low: float
    high: float
    bounded: bool
    start: int
    end: int

    @property
    def at_least(self) -> bool:
        """Whether it was given as a lower limit, such as ``>= 70 %``."""
        return self.high >= 100 > self.low and self.bounded


def percentage(words: Sequence[str], start: int = 0, end: int | None = None) -> Percentage | None:
    """The first percentage of ``words[start:end]``; of a change what it is now.

    Changes are "from 50 % to 80 %", "previously 50 %, now 80 %" and "was 50 %, is 80 %".

    >>> percentage("stenosis of 50 to 69 %".split())[:3]
    (50.0, 69.0, True)
    >>> percentage("less than 50 %".split())[:3]
    (49.0, 49.0, True)
    >>> percentage("progressed from 50 % to 80 %".split())[:3], percentage("was 50 % , now 80 %".split())[:2]
    ((80.0, 80.0, True), (80.0, 80.0))
    """
    end = len(words) if end is None else end
    former = None
    for place in range(start + 1, end):
        if words[place] not in _PERCENT or number(words[place - 1]) is None:
            continue
        found = _percentage(words, start, place)
        if found.start > start and words[found.start - 1] == "from":
            if words[found.end : found.end + 1] == ["to"]:  # "from 50-69 % to 70-99 %"
                return percentage(words, found.end + 1, end) or found
            return _changed(words, start, found)
        if former is not None or not _is_former(words, start, found, end):
            return found
        former = found
    return former


def _changed(words: Sequence[str], start: int, found: Percentage) -> Percentage:
    """Of "from 60 to 75 %" the later value; "from 50 to 69 %" is a grade, and "ranges from" says so."""
    is_grade = found.high % 10 == 9 or not _RANGES.isdisjoint(
        words[max(start, found.start - 3) : found.start]
    )
    later = number(words[found.end - 2])
    return found if is_grade or later is None else found._replace(low=later, high=later)


def _is_former(words: Sequence[str], start: int, found: Percentage, end: int) -> bool:
    """Whether a percentage is of another time: ``previously 50 %``, ``50 %, now 80 %``."""
    before = words[max(start, found.start - _FORMERLY_WITHIN) : found.start]
    if not _FORMERLY.isdisjoint(before):
        return True
    behind = words[found.end : min(end, found.end + _NOW_WITHIN)]
    now = next((place for place, word in enumerate(behind) if word in _NOW), len(behind))
    return not _PERCENT.isdisjoint(behind[now:])


def _percentage(words: Sequence[str], start: int, sign: int) -> Percentage:
    high = number(words[sign - 1]) or 0.0
    first, low, after = sign - 1, high, sign + 1
    if sign + 2 < len(words) and words[sign + 1] in _RANGE_WORDS and words[sign + 3 : sign + 4] == ["%"]:
        second = number(words[sign + 2])  # 50 % to 69 %
        if second is not None:
            high, after = second, sign + 4
    else:
        step = 2 if first - start >= 2 and words[first - 1] in _RANGE_WORDS else 1
        before = number(words[first - step]) if first - start >= step else None
        if before is not None:  # 50-69 %, 50 to 69 %
            first, low = first - step, before
    limit, first = _limit(words, start, first, after)
    if high != low:
        return Percentage(min(low, high), max(low, high), True, first, after)
    if limit < 0:
        return Percentage(low - 1, low - 1, True, first, after)
    return Percentage(low, 100.0 if limit > 0 else high, limit > 0, first, after)


def _limit(words: Sequence[str], start: int, first: int, after: int) -> tuple[int, int]:
    """Which limit the words around a number make it, -1 upper, 1 lower, 0 none, and where they start."""
    if words[after : after + 1] == ["+"] or any(_stands(words, after, phrase) for phrase in _OR_MORE):
        return 1, first
    ahead = first
    if ahead > start and words[ahead - 1] in ("=", "or"):
        ahead -= 1
    for phrase in _OR_EQUAL:
        if _stands(words, first - len(phrase), phrase):
            ahead = first - len(phrase)
    for limit, phrases in _LIMITS:
        for phrase in phrases:
            if ahead - len(phrase) >= start and _stands(words, ahead - len(phrase), phrase):
                return limit, ahead - len(phrase)
    return 0, first


def _stands(words: Sequence[str], at: int, phrase: tuple[str, ...]) -> bool:
    return at >= 0 and tuple(words[at : at + len(phrase)]) == phrase


def grade_of_percentage(found: Percentage) -> str | None:
    """The SRU grade of a diameter reduction; of a range the lower end counts. 0 % has none.

    >>> [grade_of_percentage(percentage(text.split())) for text in ("60 %", "80 - 99 %", "100 %", "0 %")]
    ['50-69%', '>=70%', 'occlusion', None]
    """
    low, high = found.low, found.high
    if high <= 0:
        return None
    if low < 50:
        return "<50%"
    return "50-69%" if low < 70 else ">=70%" if low < 100 else "occlusion"


def thickness_mm(words: Sequence[str], start: int, end: int) -> float | None:
    """The largest thickness among ``words[start:end]`` that an intima-media can have, in mm.

    >>> thickness_mm("1.2 mm".split(), 0, 2), thickness_mm("0.08 cm".split(), 0, 2)
    (1.2, 0.8)
    """
    found = []
    for place in range(start, end):
        value = number(words[place])
        if value is None:
            continue
        unit = words[place + 1] if place + 1 < len(words) else ""
        if unit in _PERCENT or words[place + 2 : place + 3] == ["/"]:
            continue
        millimetres = round(10 * value, 6) if unit == "cm" else value
        if 0 < millimetres <= _LARGEST_IMT_MM:
            found.append(millimetres)
    return max(found, default=None)


def velocity_cm_s(words: Sequence[str], start: int, end: int) -> float | None:
    """The largest velocity among ``words[start:end]``, in cm/s. A number without a unit counts as cm/s.

    >>> velocity_cm_s("145 cm / s".split(), 0, 4), velocity_cm_s("1.5 m / s".split(), 0, 4)
    (145.0, 150.0)
    """
    found = []
    for place in range(start, end):
        value = number(words[place])
        unit = words[place + 1] if place + 1 < len(words) else ""
        if value is None or unit in _PERCENT or unit == "mm":
            continue
        found.append(100 * value if unit == "m" else value)
    return max(found, default=None)


def number(word: str) -> float | None:
    """The value of a word of plain digits, or ``None``.

    >>> number("0.9"), number("ICA")
    (0.9, None)
    """
    plain = word[:1].isdecimal() and word.replace(".", "", 1).isdecimal() and word.isascii()
    return float(word) if plain else None
