"""Radiology text to sentences of normalised words, in one linear pass.

Two things are special about dictated reports. Full stops are missing or mean something else (``3.5 cm``,
``1. No effusion 2. Cardiomegaly``, ``limits.The lungs``), so a sentence may also end before a capitalised
``The`` or ``No``, at a list number, or at a line that starts a new statement. And parts of a report are not
about this picture (INDICATION, HISTORY, COMPARISON): their sentences are left out.

Left out on purpose: part-of-speech tags and parse trees. They cost a thousand times more and trip over the
telegraphic style that reports are written in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

TOKEN = re.compile(r"\d+(?:\.\d+)+|\w+|\n\s*|[^\w\s]")

_IRREGULAR = {
    "apices": "apex",
    "atelectases": "atelectasis",
    "bases": "base",
    "bronchi": "bronchus",
    "bullae": "bulla",
    "hila": "hilum",
    "hydropneumothoraces": "hydropneumothorax",
    "metastases": "metastasis",
    "pneumothoraces": "pneumothorax",
    "scapulae": "scapula",
    "vertebrae": "vertebra",
    "•": "\n\n",
    "\u2013": "",
    "\u2014": ";",
}
_SPELLINGS = {  # British, and often mistyped; with their plurals, because nothing is folded before
    "atalectasis": "atelectasis",
    "cardiomegally": "cardiomegaly",
    "effussion": "effusion",
    "effussions": "effusion",
    "haemopneumothorax": "hemopneumothorax",
    "haemothorax": "hemothorax",
    "oedema": "edema",
    "oedematous": "edematous",
    "pneumothoracies": "pneumothorax",
    "pnuemonia": "pneumonia",
    "pnuemothorax": "pneumothorax",
    "tumour": "tumor",
    "tumours": "tumor",
}
_FOLDED = _IRREGULAR | _SPELLINGS
_SILENT = frozenset("-'\"*`’‘“”_#[]{}|\\~^")
_ENDS = frozenset({".", "!", "?", "\n", "\n\n", ":", ")"})
_OPENERS = frozenset(
    {"The", "There", "No", "Heart", "Lungs", "Both", "Cardiomediastinal", "Cardiac", "Again"}
)
_ABBREVIATED = frozenset({"dr", "vs", "e", "i", "g", "approx", "st", "mr", "ms", "mrs"})
_UNITS = frozenset({"cm", "mm", "in", "min", "sec", "hr", "hrs"})
_CONTINUES = frozenset(
    {",", "a", "an", "and", "at", "by", "for", "from", "in", "is", "are", "no", "of", "on", "or", "the", "to"}
    | {"with", "without", "left", "right", "new", "mild", "small", "/"}
)
_CONNECTS = frozenset({"and", "or", "nor"})
_OTHER_SECTIONS = frozenset(
    {"indication", "clinical indication", "history", "clinical history", "patient history", "comparison"}
    | {"clinical information", "reason for exam", "reason for examination", "reason for study", "technique"}
    | {"exam", "examination", "procedure", "study", "comparison study", "prior", "exam type", "view"}
)
_REPORT_SECTIONS = frozenset(
    {"finding", "impression", "conclusion", "report", "interpretation", "opinion", "summary", "diagnosis"}
    | {"finding and impression", "comment", "result"}
)


class Span(NamedTuple):
    """Characters ``text[start:end]`` of the text as it was given."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence.

    Attributes:
        words: normalised words and the punctuation that carries scope.
        index: for each word, its position among ``TOKEN.findall(text)``, so evidence can be shown in place.
    """

    words: Sequence[str]
    index: Sequence[int]

    def span(self, tokens: Sequence[Span], start: int = 0, end: int | None = None) -> Span:
        """Characters of ``words[start:end]``, of the whole sentence by default.

        Args:
            tokens: :func:`token_spans` of the text that the sentence was read from.
        """
        index = self.index[start:end]
        return Span(tokens[index[0]].start, tokens[index[-1]].end)


def token_spans(text: str) -> list[Span]:
    """Characters of every token. Apart from :func:`sentences`, because plain labelling does not need them.

    >>> [tuple(span) for span in token_spans("No  mass.")]
    [(0, 2), (4, 8), (8, 9)]
    """
    return [Span(*match.span()) for match in TOKEN.finditer(text)]


def normalise(token: str) -> str:
    """Fold one token: lower case, singular, silent marks to ``""``.

    >>> [normalise(t) for t in ("Opacities", "masses", "Pneumothoraces", "is", "-", "XXXX")]
    ['opacity', 'mass', 'pneumothorax', 'is', '', 'xxxx']
    """
    word = token.lower()
    if word in _FOLDED:
        return _FOLDED[word]
    if word in _SILENT:
        return ""
    if word[0] == "\n":
        return "\n\n" if word.count("\n") > 1 else "\n"
    if len(word) > 3 and word[-1] == "s" and not word.endswith(("ss", "us", "is")):
        if word.endswith("ies"):
            return word[:-3] + "y"
        return word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]
    return word


class _Normal(dict[str, str]):
    """``normalise`` with a bounded memory: reports use few distinct tokens, fuzzers use many."""

    def __missing__(self, token: str) -> str:
        word = normalise(token)
        if len(self) < 100_000 and len(token) < 50:
            self[token] = word
        return word


_NORMAL = _Normal()


def words_of(phrase: str) -> tuple[str, ...]:
    """Normalise a phrase of a lexicon the way report text is normalised.

    >>> words_of("air-space opacities")
    ('air', 'space', 'opacity')
    """
    return tuple(word for token in TOKEN.findall(phrase) if (word := normalise(token)))


def sentences(text: str) -> list[Sentence]:
    """Split a report into sentences; sections that are not about this picture are left out.

    >>> [" ".join(s.words) for s in sentences("INDICATION: Pain. FINDINGS: 1. Mass of 3.5 cm.No effusion")]
    ['mass of 3.5 cm', 'no effusion']
    """
    tokens = TOKEN.findall(text)
    splitter = _Splitter(tokens, capitals=text.isupper() and "." in text)
    words, index = splitter.words, splitter.index
    normal = _NORMAL
    for position, token in enumerate(tokens):
        word = normal[token]
        if word in _ENDS and not (word in ".?" and _inside(words, tokens, position)):
            splitter.end(word, position)
            words, index = splitter.words, splitter.index
        elif word and word != ".":
            if token in _OPENERS and words and words[-1] not in _CONTINUES:
                splitter.close()
                words, index = splitter.words, splitter.index
            words.append(word)
            index.append(position)
    splitter.close()
    return splitter.done


def _inside(words: Sequence[str], tokens: Sequence[str], position: int) -> bool:
    """A mark that ends no sentence: ``?pneumonia``, ``Dr. Smith``, ``9 a.m. film``, ``4 cm. or``."""
    before = words[-1] if words else ""
    if tokens[position] == "." and before in _ABBREVIATED:
        return True
    if position + 1 == len(tokens) or not tokens[position + 1][0].islower():
        return False
    return tokens[position] == "?" or before in _UNITS or (len(before) == 1 and before.isalpha())


def _numbers(tokens: Sequence[str], position: int) -> bool:
    """``2)``, ``2.`` or ``b)`` at the start of a line numbers an item."""
    if position + 1 >= len(tokens) or tokens[position + 1] not in ").:":
        return False
    token = tokens[position]
    return token.isdigit() or (len(token) == 1 and token.islower())


class _Splitter:
    """The sentence under construction, and what happens at a mark that may end it.

    Args:
        tokens: of the whole text.
        capitals: all letters are; then a capital says nothing about where a statement starts.
    """

    __slots__ = ("capitals", "done", "index", "other_section", "tokens", "words")

    def __init__(self, tokens: Sequence[str], *, capitals: bool) -> None:
        self.tokens = tokens
        self.capitals = capitals
        self.done: list[Sentence] = []
        self.words: list[str] = []
        self.index: list[int] = []
        self.other_section = False

    def close(self) -> None:
        if self.words:
            if not self.other_section:
                self.done.append(Sentence(self.words, self.index))
            self.words, self.index = [], []

    def end(self, mark: str, position: int) -> None:
        words = self.words
        if mark in (":", "\n", "\n\n") and len(words) <= 4 and self._header(" ".join(words)):
            self._restart()
        elif mark == "\n":
            if self._starts(position + 1):
                self.close()
        elif mark == "\n\n":
            self.close()
            self.other_section = False
        elif (
            len(words) == 1 and mark in ".)" and (words[0].isdigit() or (mark == ")" and len(words[0]) == 1))
        ):
            self._restart()  # a list number
        elif mark in (":", ")"):
            self._append(mark, position)
        else:
            if mark == "?" and words:
                self._append(mark, position)
            self.close()

    def _starts(self, position: int) -> bool:
        """Behind a line break: does a new statement start, or does the one before go on?"""
        following = self.tokens[position] if position < len(self.tokens) else "-"
        if following in "-*" or not self.words or _numbers(self.tokens, position):
            return True
        goes_on = self.words[-1] in _CONTINUES or following.lower() in _CONNECTS
        return following[0].isupper() and not self.capitals and not goes_on

    def _append(self, mark: str, position: int) -> None:
        self.words.append(mark)
        self.index.append(position)

    def _restart(self) -> None:
        self.words, self.index = [], []

    def _header(self, name: str) -> bool:
        if name in _REPORT_SECTIONS:
            self.other_section = False
        elif name in _OTHER_SECTIONS:
            self.other_section = True
        else:
            return False
        return True
