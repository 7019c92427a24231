"""Which findings of a sentence are present, uncertain, absent, or of another time.

The engine walks once over the phrases of a sentence, in the tradition of NegEx (Chapman et al. 2001) and
ConText (Harkema et al. 2009). A cue *before* a finding (``no``, ``may represent``) opens a scope that closes
at a stop (``but``, ``with``, ``;``) or where a list ends; a cue *after* (``is not seen``, ``is possible``)
reaches back over its own list. What differs from those papers:

- A comma closes a negation only when a new statement starts behind it ("No pneumothorax, small effusion"
  against "No consolidation, large effusion, or pneumothorax"): decided by what follows, and by whether an
  ``or`` is ahead.
- A heading that denies ("No:", "The following are absent:") denies its whole list, and an answer denies
  what was asked ("Effusion: no", "Effusion - absent").
- What does not change is there: "no increase in the effusion" denies the increase, and not the effusion.
- "A versus B" and "A or B" make both uncertain where nothing else was said about them; "A/B" does not.
- A hedge inside a negation stays a negation ("no opacity to suggest pneumonia").

All cues are in ``lexicon/scope.toml``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from radflow.readers.lexicon import Entry, Match, Trie, lexicon, word_list
from radflow.readers.tokens import Sentence, sentences

Assertion = Literal["present", "uncertain", "absent", "aside"]

_CUES = frozenset({"before", "after", "either", "ignore", "stop", "seen", "join", "copula", "label"})
_ASSERTS: dict[str, Assertion] = {  # name of a cue -> what it makes of a mention
    "absent": "absent",
    "uncertain": "uncertain",
    "aside": "aside",
    "alternative": "uncertain",
    "or": "uncertain",
}
_ASIDE_REACH = 5  # words: "history of pneumonia" is aside, "history of cancer, now with an effusion" is not
_SUBJECT_REACH = 1  # words between a comma and a cue behind it that has no subject of its own
_ALTERNATIVE_REACH = 4  # words between A and "or B"
_CHANGE_REACH = 7  # words between "no" and "increase in"
_LIST_REACH = 12  # phrases behind a semicolon
_TITLE_REACH = 3  # words between a title and the denial behind it
_CLOSES = frozenset({"", ")", ",", ";"})
_ASKS = frozenset({":", "=", "(", ","})
_PLACES = frozenset({"on", "at", "in"})
_DOUBTS = frozenset({"exclude", "out"})


@dataclass(slots=True)
class Mention:
    """A phrase that is not a cue, with what the sentence says about it.

    Attributes:
        match: where it stands and which entry of the lexicon it is.
        assertion: present, uncertain, absent, or aside: of another time, or only asked for.
        clause: number of the clause it stands in, for linking subjects to predicates.
        cue: the cue that decided, or ``None`` when it is simply stated.
    """

    match: Match
    assertion: Assertion
    clause: int
    cue: Match | None = None


class Reading(NamedTuple):
    """One sentence and the mentions in it, in order."""

    sentence: Sentence
    mentions: Sequence[Mention]


class Scope:
    """Reads text with the cues of ``scope.toml`` and the phrases of a reader.

    Args:
        entries: the reader's phrases; every kind that is not a cue becomes mentions.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._trie = Trie([*lexicon("scope"), *entries])

    def read(self, text: str) -> list[Reading]:
        """Read a text; sentences without any mention are left out."""
        readings = []
        for sentence in sentences(text):
            mentions = self.mentions(sentence.words)
            if mentions:
                readings.append(Reading(sentence, mentions))
        return readings

    def mentions(self, words: Sequence[str]) -> list[Mention]:
        """Assert the mentions of one sentence. Linear in the number of words."""
        matches = self._trie.matches(words)
        for match in matches:
            if match.entry.kind not in _CUES:
                return _Pass(words, matches).run()
        return []


class _Pass:
    """One walk over the matches of one sentence. What it starts with stands on the class, which is faster."""

    active: Match | None = None  # the cue in force
    active_from = 0  # first mention it can have reached
    until = 0  # word behind which it no longer reaches; 0 where nothing says so
    listed = False  # whether it stands in a heading, over a list
    clause = 0
    clause_start = 0  # first mention of the clause: how far back a later cue reaches
    item_start = 0  # first mention since the last comma that did not continue a list
    item_at = 0  # and the word behind that comma
    list_start = 0  # first mention of the list that the last mention stands in
    verb = False  # whether the clause had a verb since its last comma
    titled = False  # whether the first mention stands in front of a colon
    unchanged = False  # behind "no change in": what "or" joins is all there
    listing = False  # whether a cue behind a list is about all of it
    or_ahead: list[bool] | None = None  # worked out when first asked for

    def __init__(self, words: Sequence[str], matches: Sequence[Match]) -> None:
        self.words = words
        self.matches = matches
        self.mentions: list[Mention] = []

    def run(self) -> list[Mention]:
        for number, match in enumerate(self.matches):
            kind = match.entry.kind
            if kind not in _CUES:
                self._mention(match)
            elif kind == "before":
                self._before(match)
            elif kind == "after":
                self._after(match)
            elif kind == "either":
                self._either(match, number)
            elif kind == "join":
                self._join(match, number)
            elif kind == "copula":
                self._copula()
            elif kind == "label":
                self._label(match)
            elif kind == "ignore":
                self.unchanged = self.unchanged or match.entry.name == "no change"
            elif kind == "seen" or (kind == "stop" and not self._goes_on(match, number)):
                self._stop()
        if self.titled:
            self._title()
        return self.mentions

    def _mention(self, match: Match) -> None:
        if self.until and match.start >= self.until:
            self.active, self.until, self.unchanged = None, 0, True
        cue = self.active
        if cue is not None and cue.entry.name == "aside" and not _sets_aside(cue, match):
            cue = None
        assertion = _ASSERTS[cue.entry.name] if cue is not None else "present"
        self.mentions.append(Mention(match, assertion, self.clause, cue))

    def _before(self, match: Match) -> None:
        meaning = match.entry.name
        if meaning == "alternative":
            self._alternative(match)
            return
        if self._answers(match):
            self._after(match)
            return
        if self.active is not None and self.active.entry.name == "absent" and meaning != "absent":
            return  # "no opacity to suggest pneumonia": still absent
        self._activate(match)
        self.until = _change(self.words, match.end) if meaning == "absent" else 0

    def _activate(self, match: Match) -> None:
        self.active, self.active_from = match, len(self.mentions)
        self.until, self.listed = 0, False

    def _answers(self, match: Match) -> bool:
        """``Effusion: no.``, ``Effusion (no)``: a cue with nothing behind it is about what is in front."""
        following = self.words[match.end] if match.end < len(self.words) else ""
        if not self.mentions or following not in _CLOSES:
            return False
        asked = self.words[match.start - 1] in _ASKS or self.mentions[-1].match.end == match.start
        return asked and (not following or match.entry.name == "absent")

    def _either(self, match: Match, number: int) -> None:
        """``possible`` hedges what follows; at the end of a clause it hedges what stood before."""
        following = self.words[match.end] if match.end < len(self.words) else ","
        last = number + 1 == len(self.matches) and (
            self.words[match.start - 1] != "," or following in _PLACES or not following.isalpha()
        )
        said = self.words[match.end - 1] in _DOUBTS and len(self.mentions) > self.clause_start
        if last or said or following in (",", ";", ")", "but", "and", "than", "given"):
            self._after(match)
        else:
            self._before(match)

    def _alternative(self, match: Match) -> None:
        """``A versus B``: A becomes uncertain, and so does what follows."""
        if self.active is None or likely(self.active):
            if len(self.mentions) > self.clause_start:
                _hedge(self.mentions[-1], match)
            self._activate(match)

    def _after(self, match: Match) -> None:
        first = self.list_start if self.listing else max(self.item_start, self.clause_start)
        if first == len(self.mentions) and match.start - self.item_at <= _SUBJECT_REACH:
            first = self.clause_start  # "prior pneumonia, now resolved"
        if first == len(self.mentions) and self.words[match.end : match.end + 1] == [":"]:
            self._activate(match)  # "Absent: effusion, edema"
            return
        for mention in self.mentions[first:]:
            if match.entry.name == "absent" or mention.assertion == "present":
                mention.assertion, mention.cue = _ASSERTS[match.entry.name], match
        self._stop()

    def _join(self, match: Match, number: int) -> None:
        """A comma, ``and`` or ``or``: does the list go on, or does a new statement start?"""
        word = match.entry.name
        following = self.words[match.end] if match.end < len(self.words) else ""
        if word == "or" and (self.active is None or likely(self.active)):
            self._or(match, following)
            return
        if self.active is None:
            if word == "comma":
                self.listing = following in ("and", "or", "nor")
                if not self.listing:
                    self._item(match)
            elif word == "and" and self.list_start < self.item_start < len(self.mentions):
                self.listing = True
            return
        if self.listed or self.active.entry.data.get("lists"):
            if word == "comma":
                self._item(match)
            return
        if word in ("or", "slash") or self._or_ahead(number):
            return
        cue_next = number + 1 < len(self.matches) and _starts_statement(self.matches[number + 1], match.end)
        if cue_next or following in _RESTARTS:
            self._stop()
        elif word == "comma":
            self._item(match)

    def _item(self, comma: Match) -> None:
        self.item_start, self.item_at = len(self.mentions), comma.end
        if self.verb:
            self.list_start, self.verb = len(self.mentions), False

    def _goes_on(self, stop: Match, number: int) -> bool:
        """Whether a negation goes on behind a semicolon: in a list of findings that are named and no more."""
        if (
            self.active is not None
            and self.active.entry.data.get("lists")
            and self.words[stop.start] == "and"
        ):
            return True  # "removal of the tube and the line"
        if self.words[stop.start] != ";" or self.active is None or self.active.entry.name != "absent":
            return False
        if not self.listed and not self._names_alone(stop.end, number + 1):
            return False
        self.listed = True
        self._item(stop)
        return True

    def _names_alone(self, at: int, number: int) -> bool:
        """``consolidation; or pneumothorax``, ``consolidation; pneumothorax``: nothing is said of them."""
        names = 0
        for match in self.matches[number : number + _LIST_REACH]:
            kind, word = match.entry.kind, self.words[match.start]
            if match.start != at or word in _RESTARTS or (kind in _CUES and kind != "join" and word != ";"):
                return False
            if word == "or":
                return True
            names += kind not in _CUES
            at = match.end
        return names > 1 and at == len(self.words)

    def _or_ahead(self, number: int) -> bool:
        if self.or_ahead is None:
            self.or_ahead = _or_ahead(self.matches)
        return self.or_ahead[number]

    def _or(self, match: Match, following: str) -> None:
        if (
            len(self.mentions) > self.clause_start
            and not self.unchanged
            and following not in ("equal", "less", "more", "so")
        ):
            last = self.mentions[-1]
            if match.start - last.match.end <= _ALTERNATIVE_REACH and last.match.entry.data.get(
                "hedge", True
            ):
                _hedge(last, match)
                self._activate(match)

    def _label(self, match: Match) -> None:
        """``Pneumothorax: none``, ``Heart: enlarged``: what follows is about what stood in front."""
        last = self.mentions[-1] if self.mentions else None
        if self.active is not None and self.active.entry.name == "absent" and self._heads(match):
            self.listed = True
        elif self.active is not None or last is None or last.match.end != match.start:
            self._stop()
        else:
            self.listing = True
            self.titled = self.titled or len(self.mentions) == 1

    def _heads(self, colon: Match) -> bool:
        """Whether the negation in force stands right before a colon: ``No evidence of the following:``."""
        assert self.active is not None
        between = self.words[self.active.end : colon.start]
        return self.active_from == len(self.mentions) and _BEFORE_A_LIST.issuperset(between)

    def _copula(self) -> None:
        """``No pneumothorax, heart is enlarged``: the subject of a verb behind a comma is not negated."""
        self.verb = True
        if self.active is not None and self.active.start < self.item_at:
            for mention in self.mentions[max(self.item_start, self.active_from) :]:
                if mention.cue is self.active:
                    mention.assertion, mention.cue = "present", None
            self.active = None

    def _title(self) -> None:
        """``Effusion: No pleural effusion.``: the name in front of the colon states nothing."""
        title, first = self.mentions[0], self.mentions[1:2]
        cue = first[0].cue if first else None
        if title.cue is not None or cue is None or first[0].assertion != "absent":
            return
        near = title.match.end < cue.start <= title.match.end + _TITLE_REACH
        named = any(self._same(title, mention) for mention in self.mentions[1:] if mention.cue is cue)
        if near and named and cue.start < first[0].match.start:
            title.assertion, title.cue = "absent", cue

    def _same(self, first: Mention, second: Mention) -> bool:
        one, two = first.match, second.match
        named = one.entry.kind == "finding" and one.entry.name == two.entry.name
        return named or self.words[one.end - 1] == self.words[two.end - 1]

    def _stop(self) -> None:
        self.active = None
        self.until = 0
        self.listing = self.listed = self.verb = self.unchanged = False
        self.clause += 1
        self.clause_start = self.item_start = self.list_start = len(self.mentions)


def likely(cue: Match | None) -> bool:
    """Whether a hedge says more than "possible": a reader may take ``likely`` for a statement."""
    return cue is not None and bool(cue.entry.data.get("likely"))


def _sets_aside(cue: Match, match: Match) -> bool:
    """``prior`` sets a pneumonia aside close behind it, but a prior fracture or implant is still there."""
    still_there = match.entry.data.get("lasting") and cue.entry.data.get("lasting")
    return not still_there and match.start - cue.end <= _ASIDE_REACH


def _hedge(mention: Mention, cue: Match) -> None:
    stated = mention.assertion == "present" or likely(mention.cue)
    if stated and mention.match.entry.kind in ("finding", "observation"):
        mention.assertion, mention.cue = "uncertain", cue


def _starts_statement(match: Match, at: int) -> bool:
    return (
        match.start == at and match.entry.kind in ("before", "either") and match.entry.name not in _CONTINUE
    )


def _change(words: Sequence[str], at: int) -> int:
    """Where the finding starts of which only a change is denied, ``no significant increase in``, or 0."""
    changes = False
    for place in range(at, min(at + _CHANGE_REACH, len(words))):
        word = words[place]
        if changes and word in ("in", "of"):
            return place + 1
        changes = changes or word in _CHANGES
        if word not in _CHANGES and word not in _BESIDE_A_CHANGE:
            return 0
    return 0


def _or_ahead(matches: Sequence[Match]) -> list[bool]:
    """For each match: does an ``or`` follow before the next cue or stop? One pass from the right."""
    ahead = [False] * len(matches)
    seen = False
    for number in range(len(matches) - 1, -1, -1):
        ahead[number] = seen
        entry = matches[number].entry
        if entry.kind == "join":
            seen = seen or entry.name in ("or", "slash")
        elif entry.kind in ("before", "stop", "seen", "after", "copula"):
            seen = False
    return ahead


_CONTINUE = frozenset({"absent", "alternative"})  # "no effusion, no edema"; "effusion, and/or edema"
_RESTARTS = word_list("scope", "start a new statement")
_CHANGES = word_list("scope", "change what is there")
_BESIDE_A_CHANGE = word_list("scope", "stand beside a change")
_BEFORE_A_LIST = word_list("scope", "stand between a denial and its list")
