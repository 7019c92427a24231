"""What the clauses of a sentence say about each finding: where it is, how large, whether it has changed.

A sentence may have one finding on two sides ("small right and large left effusions"), so places, degrees,
sizes and changes belong to a clause. A clause without a finding of its own is about that of its neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from radflow.judges.rules.words import any_of, chest_words, one_of, small
from radflow.readers.facts import numbers
from radflow.readers.labels import State

_NOUN, _NAMES = one_of(chest_words()["nouns"])
_DEGREE, _DEGREES = one_of(chest_words()["degrees"])
_CHANGE, _CHANGES = one_of(chest_words()["changes"])
_RANK = {"least": 0, "small": 0, "moderate": 1, "large": 2}
LESS_WORDS = any_of(chest_words()["changes"]["less"])
LARGE_WORDS = any_of(chest_words()["degrees"]["large"])
SMALL_WORDS = any_of((*chest_words()["degrees"]["least"], *chest_words()["degrees"]["small"]))
MORE, LESS, SAME, NEW, OLD, KNOWN = "more", "less", "same", "new", "old", "known"
DEVICES = "support devices"
DEVICE_NOUNS = frozenset({"airway tube", "enteric tube", "venous catheter", "chest drain", DEVICES})
# Named by what is there anyway: only a label says that something is wrong with it.
_ORGANS = frozenset({"Cardiomegaly", "Enlarged Cardiomediastinum", "Lung Opacity", "Pneumonia"})

_ONE_SIDE = r"\b(?P<left>left|lingula\w*|l[lu]l\b)|\b(?P<right>right|r[lum]l\b|(?<!left )middle lobe)\b"
ONE_SIDE = re.compile(_ONE_SIDE)
_SIDE = re.compile(_ONE_SIDE + r"|\b(?P<both>bilateral\w*|both|bibasilar|bibasal|biapical)\b")
_SITES = (
    any_of((r"upper\b", r"apex\b", r"apices", r"(?:bi)?apical", r"suprahilar", r"[rl]ul\b")),
    any_of((r"mid", r"lingula", r"hil(?:ar|um|a)\b", r"\w*hilar", r"rml\b")),
    any_of(
        (
            r"lower\b",
            r"bases?\b",
            r"(?:bi)?basal",
            r"(?:bi)?basilar",
            r"retrocardiac",
            r"costophrenic",
            r"[rl]ll\b",
        )
    ),
)
_CLAUSE_END = re.compile(
    r"[,;:](?!\d)|\b(?:and(?! tubes| lines)|with|but|while|whereas|however|although|versus|vs)\b\.?"
)
_NEW_STATEMENT = re.compile(
    r";|\b(?:but|however|while|whereas|although|except)\b"
    r"|,(?=[^,;]*?\b(?:is|are|was|were|there|has|have|remains?|shows?|appears?)\b)"
)
_DENIED = any_of(
    ("(?:no|without|cannot)\\b", "negative for", "free of", "absence of", "resolution of", "rule out")
)
_DENIED_BEHIND = any_of(
    ("absent", "not (?:seen|evident|identified|visualized|demonstrated|appreciated|present)\\b")
)
_LEADING = re.compile(
    r"\W*(?:(?:in|on|at|within|over|there (?:is|are))\b.*|\w+(?:\W+\w+){0,2})\W*", re.DOTALL
)
ABOUT_THE_LAST = re.compile(r"\s*(?:it|this|these|they|which|both|there (?:is|has been))\b", re.IGNORECASE)
# "larger on the right", "right greater than left", "the larger in the left lung": a comparison of the sides.
_LARGER = r"larger|greater|bigger|worse|more"
_COMPARED = re.compile(
    r"\b(?P<a>right|left)(?:[- ]sided)?(?: (?:side|lung|base))?\s*(?:is |being |slightly |much )*"
    rf"(?:(?P<less>smaller|less|<)|{_LARGER}|>)\s*(?:in size )?(?:than)?\s*(?:on )?(?:the )?(?:right|left)\b"
    rf"|\b(?:(?P<smaller>smaller|less|smallest)|{_LARGER}|largest|more (?:pronounced|prominent|extensive))\s+"
    r"(?:one |of (?:the two|which) )?(?:is )?(?:on|in|at)\s+the\s+(?P<b>right|left)\b"
)
_OTHER = {"left": "right", "right": "left"}
_DIGIT = re.compile(r"\d")
_UNIT = re.compile(r"(?<=\d)\s*-?\s*(?P<unit>mm|cm|millimet(?:er|re)s?|centimet(?:er|re)s?)\b")


@dataclass(kw_only=True)
class Mention:
    """What one clause says of a finding that it does not deny.

    Attributes:
        noun: an observation, or a kind of device or another thing that has a size or a side.
        text: the clause.
        sides: ``left``, ``right``, both or none.
        sites: 0 upper, 1 middle, 2 lower.
        degrees: 0 small, 1 moderate, 2 large.
        changes: of ``MORE``, ``LESS``, ``SAME``, ``NEW``, ``OLD`` and ``KNOWN``.
        sizes: in mm, lowest and highest.
        larger: the side that is said to have more of it.
    """

    noun: str
    text: str
    sides: frozenset[str]
    sites: frozenset[int]
    degrees: set[int] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    sizes: list[tuple[float, float]] = field(default_factory=list)
    larger: set[str] = field(default_factory=set)


@dataclass(kw_only=True)
class _Clause:
    text: str
    small: str
    nouns: list[str]  # that it does not deny
    denies: bool
    sides: frozenset[str]


def read_mentions(sentence: str, labels: Mapping[str, State], last: Mention | None = None) -> list[Mention]:
    """Everything that a sentence states or hedges, clause by clause.

    Args:
        sentence: text.
        labels: its CheXpert states; what they deny is left out.
        last: of the sentence before, for one that begins with "It".

    >>> labels = {"Pleural Effusion": 1}
    >>> for one in read_mentions("Small right and large left pleural effusions.", labels):
    ...     print(one.noun, sorted(one.sides), sorted(one.degrees))
    Pleural Effusion ['right'] [0]
    Pleural Effusion ['left'] [2]
    """
    clauses = _clauses(sentence)
    if not any(clause.nouns or clause.denies for clause in clauses):
        if last is None or not ABOUT_THE_LAST.match(sentence):
            return []
        clauses[0].nouns.append(last.noun)
        clauses[0].sides = clauses[0].sides or last.sides
    all_sites = _sites(small(sentence))
    all_sides = frozenset[str]().union(*(clause.sides for clause in clauses))
    all_sides = all_sides if len(all_sides) == 1 else frozenset()
    found: list[Mention] = []
    for at, clause in enumerate(clauses):
        if clause.denies and not clause.nouns:
            continue
        for noun in clause.nouns or _neighbour(clauses, at):
            if labels.get(noun, 1) == 0 or (noun in _ORGANS and labels.get(noun, 1) is None):
                continue
            before = next((one for one in reversed(found) if one.noun == noun and not clause.nouns), None)
            sides = clause.sides or (before.sides if before else all_sides)
            sites = (all_sites and _sites(clause.small)) or (before.sites if before else all_sites)
            mention = Mention(noun=noun, text=clause.text.strip(), sides=sides, sites=sites)
            found.append(_described(mention, clause.small))
    return found


def _described(mention: Mention, text: str) -> Mention:
    if "right" in text or "left" in text:
        for match in _COMPARED.finditer(text):
            side = match["a"] or match["b"]
            mention.larger.add(_OTHER[side] if match["less"] or match["smaller"] else side)
        text = _COMPARED.sub(" ", text)
    mention.degrees = {_RANK[_group(match, _DEGREES)] for match in _DEGREE.finditer(text)}
    mention.changes = {_group(match, _CHANGES) for match in _CHANGE.finditer(text)}
    if mention.noun == "Fracture" and "acute" in text:
        mention.changes.add(NEW)
    if _DIGIT.search(text):
        spelt = _UNIT.sub(lambda unit: " mm" if unit["unit"][:2] in ("mm", "mi") else " cm", text)
        mention.sizes = [(number.low, number.high) for number in numbers(spelt) if number.unit == "mm"]
    return mention


def _group(match: re.Match[str], names: Sequence[str]) -> str:
    return names[(match.lastindex or 1) - 1]


def _clauses(sentence: str) -> list[_Clause]:
    lower = small(sentence)
    clauses, start = [], 0
    ends = [match.span() for match in _CLAUSE_END.finditer(lower)]
    for end, behind in [*ends, (len(lower), len(lower))]:
        text = lower[start:end]
        if text.strip():
            stated, denies = _nouns(text)
            clause = _Clause(
                text=sentence[start:end], small=text, nouns=stated, denies=denies, sides=_sides(text)
            )
            clauses.append(clause)
        start = behind
    return clauses


def _nouns(text: str) -> tuple[list[str], bool]:
    """The findings that a clause states, and whether it denies all that it names."""
    nouns = {_group(match, _NAMES): match.start() for match in _NOUN.finditer(text)}
    before, behind = _DENIED.search(text), _DENIED_BEHIND.search(text)
    if before or behind:  # "no change" and "not present before" deny nothing
        plain = _CHANGE.sub(lambda match: " " * len(match.group()), text)
        before, behind = _DENIED.search(plain), _DENIED_BEHIND.search(plain)
    stated = [
        noun
        for noun, at in nouns.items()
        if not (before and before.start() < at) and not (behind and behind.start() > at)
    ]
    return stated, bool(before or behind) and not stated


def _neighbour(clauses: Sequence[_Clause], at: int) -> list[str]:
    """The finding that a clause without one is about: the last before it, else the first behind it."""
    before = next((clause.nouns for clause in reversed(clauses[:at]) if clause.nouns), None)
    if before:
        return before[-1:]
    if not _LEADING.fullmatch(clauses[at].small):
        return []
    return next((clause.nouns[:1] for clause in clauses[at + 1 :] if clause.nouns), [])


def _sides(text: str) -> frozenset[str]:
    found = {match.lastgroup for match in _SIDE.finditer(text)}
    return frozenset(side for side in ("left", "right") if side in found or "both" in found)


def _sites(text: str) -> frozenset[int]:
    return frozenset(site for site, words in enumerate(_SITES) if words.search(text))


def stated(words: re.Pattern[str], sentence: str) -> bool:
    """Whether a sentence, in small letters, has some words where it does not deny them.

    >>> air = re.compile("free air")
    >>> stated(air, "there is free air."), stated(air, "no effusion, pneumothorax or free air.")
    (True, False)
    """
    for match in words.finditer(sentence):
        before = list(_NEW_STATEMENT.finditer(sentence, 0, match.start()))
        behind = _NEW_STATEMENT.search(sentence, match.end())
        denied = _DENIED.search(sentence, before[-1].end() if before else 0, match.start())
        denied = denied or _DENIED_BEHIND.search(
            sentence, match.end(), behind.start() if behind else len(sentence)
        )
        if not denied:
            return True
    return False
