"""One sentence of a chest report as the rule judge sees it: labels, sides, sites, degrees."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property

from radflow.judges.rules.chest_clauses import ABOUT_THE_LAST, Mention, read_mentions, stated
from radflow.judges.rules.words import small
from radflow.readers.labels import CHEXPERT_OBSERVATIONS, State, stronger

Labels = Mapping[str, State]

OBSERVATIONS = tuple(name for name in CHEXPERT_OBSERVATIONS if name != "No Finding")

_SENTENCE_END = re.compile(r"(?<=[.;!?])\s+(?=[A-Z0-9X])|\n+")
_LIST_NUMBER = re.compile(r"[\d\s.)]*")

_SIDES = re.compile(
    r"\b(?P<left>left(?! (?:atri|ventric|heart))|lingula\w*)\b"
    r"|\b(?P<right>right(?! (?:atri|ventric|heart)|(?= and left (?:atri|ventric)))|(?<!left )middle lobe)\b"
    r"|\b(?P<both>bilateral\w*|both|bibasilar|bibasal|biapical)\b",
    re.IGNORECASE,
)
_SITES = (
    re.compile(r"\b(?:upper|apex|apices|apical|biapical)\b", re.IGNORECASE),
    re.compile(r"\b(?:mid\w*|lingula\w*|hil(?:ar|um|a)|\w*hilar)\b", re.IGNORECASE),
    re.compile(
        r"\b(?:lower|bases?|basal|basilar|bibasilar|bibasal|retrocardiac|costophrenic)\b", re.IGNORECASE
    ),
)
SITES = ("upper", "middle", "lower")

_DEGREE = re.compile(
    r"(?P<least>\b(?:borderline|top.normal|(?:upper|high)\s+(?:limits?\s+)?(?:of\s+)?normal)\b)"
    r"|(?P<small>\b(?:trace|tiny|minimal\w*|small|mild\w*|slight\w*|subtle|faint|subsegmental|platelike)\b)"
    r"|(?P<moderate>\bmoderate\w*\b)"
    r"|(?P<large>\b(?:large|severe\w*|massive\w*|marked\w*|extensive\w*|gross"
    r"|(?<!near.)complete(?! resol| clear)|tension|florid|fulminant|siz(?:e)?able|huge|giant|profound"
    r"|substantial|considerable)\b)",
    re.IGNORECASE,
)
LARGE = 2
_RANK = {"least": 0, "small": 0, "moderate": 1, "large": LARGE}

_CLAUSE_END = re.compile(r"[,;:]|\bwith\b|\band\b")
_NOUN_WORDS = {
    "Cardiomegaly": r"cardiomegaly|heart|cardiac",
    "Enlarged Cardiomediastinum": r"mediastin",
    "Edema": r"edema|congesti|cephaliz",
    "Consolidation": r"consolidat",
    "Pneumonia": r"pneumoni|infecti",
    "Atelectasis": r"atelecta|collapse",
    "Lung Opacity": r"opaci|infiltrat|air\s?space|haziness|interstiti|markings",
    "Lung Lesion": r"nodul|\bmass\b|lesion",
    "Pneumothorax": r"pneumothora",
    "Pleural Effusion": r"effusion|pleural fluid|blunt",
    "Pleural Other": r"thickening",
    "Fracture": r"fractur|deformit|compression",
}
NOUNS = {name: re.compile(words, re.IGNORECASE) for name, words in _NOUN_WORDS.items()}
"""Observation -> words that name it or its organ."""
# What a word of degree can belong to.
_NOUN = re.compile(
    "|".join(f"(?P<{name.replace(' ', '_')}>{words})" for name, words in _NOUN_WORDS.items()), re.IGNORECASE
)

_PLAYED_DOWN = re.compile(
    r"minimal|mild|slight|borderline|stable|unchanged|chronic|scar|calcifi|granulom|\bold\b|healed|remote|"
    r"overl[ya]|artifact|subsegmental|atelecta|again|previous|resol|clearing|crowding|low lung|hypo|"
    r"low volume|superimposed soft|clear airspace|fixation|fixated|nipple|persist",
    re.IGNORECASE,
)
_NOT_PLAYED_DOWN = re.compile(r"pneumonia|infiltrate|suspicious|neoplasm|malignan", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, eq=False)
class Statement:
    """One sentence. What it says beside its labels is read when first asked for, and kept.

    Attributes:
        text: as it stands in the section.
        small: the text in small letters.
        labels: CheXpert states of the sentence alone.
        named: the observations that it states, hedges or denies.
        asserted: the observations that it states or hedges.
    """

    text: str
    small: str
    labels: Labels
    named: Sequence[str]
    asserted: frozenset[str]
    _has: dict[int, bool] = field(default_factory=dict, repr=False)
    _states: dict[int, bool] = field(default_factory=dict, repr=False)

    @cached_property
    def sides(self) -> frozenset[str]:
        """``left``, ``right``, both or none."""
        return _sides(self.text)

    @cached_property
    def sites(self) -> frozenset[int]:
        """0 upper, 1 middle, 2 lower; what it names of them."""
        return frozenset(site for site, words in enumerate(_SITES) if words.search(self.text))

    @cached_property
    def degrees(self) -> dict[str, frozenset[int]]:
        """Observation -> the degrees stated of it, 0 small, 1 moderate, 2 large."""
        return _degrees(self.text, self.labels)

    @cached_property
    def played_down(self) -> bool:
        """Whether it says itself that what it describes is old, slight or not a disease."""
        return _PLAYED_DOWN.search(self.text) is not None and not _NOT_PLAYED_DOWN.search(self.text)

    @cached_property
    def mentions(self) -> list[Mention]:
        """What its clauses say of each finding."""
        return read_mentions(self.text, self.labels)

    def has(self, words: re.Pattern[str]) -> bool:
        """Whether some words, in small letters, stand in it."""
        known = self._has.get(id(words))
        if known is None:
            known = self._has[id(words)] = words.search(self.small) is not None
        return known

    def states(self, words: re.Pattern[str]) -> bool:
        """Whether it has some words where it does not deny them."""
        known = self._states.get(id(words))
        if known is None:
            known = self._states[id(words)] = stated(words, self.small)
        return known


@dataclass(frozen=True, kw_only=True, eq=False)
class Section:
    """One section, read.

    Attributes:
        text: as given.
        statements: its sentences.
    """

    text: str
    statements: tuple[Statement, ...]
    _has: dict[int, bool] = field(default_factory=dict, repr=False)

    @cached_property
    def small(self) -> str:
        """The text in small letters."""
        return small(self.text)

    @cached_property
    def labels(self) -> dict[str, State]:
        """The strongest state of each observation over the section."""
        merged: dict[str, State] = dict.fromkeys(OBSERVATIONS)
        for statement in self.statements:
            for name in statement.named:
                merged[name] = stronger(merged[name], statement.labels[name])
        return merged

    @cached_property
    def mentions(self) -> list[Mention]:
        """What it says of each finding, clause by clause; a sentence with "It" is about the last finding."""
        found: list[Mention] = []
        for statement in self.statements:
            own = statement.mentions
            if not own and found and ABOUT_THE_LAST.match(statement.text):
                own = read_mentions(statement.text, statement.labels, found[-1])
            found += own
        return found

    def has(self, words: re.Pattern[str]) -> bool:
        """Whether some words, in small letters, stand in a sentence of it."""
        known = self._has.get(id(words))
        if known is None:
            known = self._has[id(words)] = any(statement.has(words) for statement in self.statements)
        return known

    def stating(self, words: re.Pattern[str]) -> Statement | None:
        """The first sentence that states what some words say."""
        return next((statement for statement in self.statements if statement.states(words)), None)

    @cached_property
    def asserted(self) -> frozenset[str]:
        """The observations that it states or hedges."""
        return frozenset().union(*(statement.asserted for statement in self.statements))

    def asserts(self, name: str) -> bool:
        """Whether it states or hedges an observation."""
        return name in self.asserted

    def about(self, names: Set[str]) -> list[Statement]:
        """The sentences that state or hedge one of some observations."""
        return [s for s in self.statements if not s.asserted.isdisjoint(names)]


def read_section(text: str, read: Callable[[str], Statement]) -> Section:
    """Read a section; ``read`` reads one sentence."""
    return Section(text=text, statements=tuple(read(sentence) for sentence in sentences(text)))


def sentences(section: str) -> list[str]:
    """Split a section; a list's numbers are no sentences.

    >>> sentences("1. Small effusion. 2. No pneumothorax.")
    ['1. Small effusion.', '2. No pneumothorax.']
    """
    merged, number = [], ""
    for part in _SENTENCE_END.split(section):
        if _LIST_NUMBER.fullmatch(part):
            number = part.strip() + " " if part.strip() else number
        else:
            merged.append((number + part).strip())
            number = ""
    return merged


def read_statement(sentence: str, label: Callable[[str], Labels]) -> Statement:
    """Make the statement of one sentence; ``label`` gives its CheXpert labels.

    >>> from radflow.readers.chexpert import label
    >>> statement = read_statement("Small effusion at the left base with severe cardiomegaly.", label)
    >>> sorted(statement.sides), sorted(statement.sites)
    (['left'], [2])
    >>> {name: sorted(degrees) for name, degrees in statement.degrees.items()}
    {'Pleural Effusion': [0], 'Cardiomegaly': [2]}
    """
    labels = label(sentence)
    named = [name for name in OBSERVATIONS if labels[name] is not None]
    asserted = frozenset(name for name in named if labels[name] != 0)
    return Statement(text=sentence, small=small(sentence), labels=labels, named=named, asserted=asserted)


def _sides(sentence: str) -> frozenset[str]:
    found = {match.lastgroup for match in _SIDES.finditer(sentence)}
    return frozenset(side for side in ("left", "right") if side in found or "both" in found)


def _degrees(sentence: str, labels: Labels) -> dict[str, frozenset[int]]:
    """Give each word of degree to the noun it is said of, where that is stated or hedged.

    "Borderline" and "top normal" count beside a denial too: they are why the reader calls a heart normal.
    """
    words = list(_DEGREE.finditer(sentence))
    if not words:
        return {}
    owned: dict[str, set[int]] = {}
    end = -1
    for word in words:
        # In "slightly large" the heart is not large.
        modified = end >= 0 and word["large"] and sentence[end : word.start()].isspace()
        end = word.end()
        owner = None if modified else _owner(sentence, word.start(), end)
        if owner is not None and (labels[owner] in (1, -1) or word["least"]):
            owned.setdefault(owner, set()).add(_RANK[word.lastgroup or "small"])
    return {name: frozenset(ranks) for name, ranks in owned.items()}


def _owner(sentence: str, start: int, end: int) -> str | None:
    """The observation that a word belongs to: a noun of its own clause, the next one behind it or else the
    last before it ("heart mildly enlarged, stable mediastinum"); without any, the next one at all.
    """
    first = max((stop.end() for stop in _CLAUSE_END.finditer(sentence, 0, start)), default=0)
    stop = _CLAUSE_END.search(sentence, end)
    behind = [noun for noun in _NOUN.finditer(sentence, end) if not stop or noun.start() < stop.start()]
    before = list(_NOUN.finditer(sentence, first, start))
    noun = behind[0] if behind else before[-1] if before else _NOUN.search(sentence, end)
    return None if noun is None else (noun.lastgroup or "").replace("_", " ")
