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
_SILENT = frozenset("-'\"*`’‘“”_#[]{}|\\~^")
_ENDS = frozenset({".", "!", "?", "\n", "\n\n", ":", ")"})
_OPENERS = frozenset(
    {"The", "There", "No", "Heart", "Lungs", "Both", "Cardiomediastinal", "Cardiac", "Again"}
)
_BEFORE_STOP = frozenset({"dr", "vs", "e", "i", "g", "approx", "st", "mr", "ms", "mrs"})
_CONTINUES = frozenset(
    {",", "a", "an", "and", "at", "by", "for", "from", "in", "is", "are", "no", "of", "on", "or", "the", "to"}
    | {"with", "without", "left", "right", "new", "mild", "small", "/"}
)
_OTHER_SECTIONS = frozenset(
    {"indication", "clinical indication", "history", "clinical history", "patient history", "comparison"}
    | {"clinical information", "reason for exam", "reason for examination", "reason for study", "technique"}
    | {"exam", "examination", "procedure", "study", "comparison study", "prior", "exam type", "view"}
)
_REPORT_SECTIONS = frozenset(
    {"finding", "impression", "conclusion", "report", "interpretation", "opinion", "summary", "diagnosis"}
    | {"finding and impression", "comment", "result"}
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence.

    Attributes:
        words: normalised words and the punctuation that carries scope.
        index: for each word, its position among ``TOKEN.findall(text)``, so evidence can be shown in place.
    """

    words: Sequence[str]
    index: Sequence[int]


def normalise(token: str) -> str:
    """Fold one token: lower case, singular, silent marks to ``""``.

    >>> [normalise(t) for t in ("Opacities", "masses", "Pneumothoraces", "is", "-", "XXXX")]
    ['opacity', 'mass', 'pneumothorax', 'is', '', 'xxxx']
    """
    word = token.lower()
    if word in _IRREGULAR:
        return _IRREGULAR[word]
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
        if len(self) < 100_000:
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
    splitter = _Splitter()
    normal = _NORMAL
    words = splitter.words
    tokens = TOKEN.findall(text)
    for position, token in enumerate(tokens):
        word = normal[token]
        if word in _ENDS and not (word == "?" and _asks(tokens, position)):
            words = splitter.end(word, position)
        elif word:
            if token in _OPENERS and words and words[-1] not in _CONTINUES:
                words = splitter.close()
            elif splitter.line_broke:
                words = splitter.resume(token, starts_item=_numbers(tokens, position))
            words.append(word)
            splitter.index.append(position)
        elif splitter.line_broke and token in "-*":
            words = splitter.close()
    splitter.close()
    return splitter.done


def _asks(tokens: Sequence[str], position: int) -> bool:
    """``?pneumonia`` is a question about what follows, not the end of a sentence."""
    return position + 1 < len(tokens) and tokens[position + 1][0].islower()


def _numbers(tokens: Sequence[str], position: int) -> bool:
    """``2)`` or ``2.`` at the start of a line numbers an item."""
    return tokens[position].isdigit() and position + 1 < len(tokens) and tokens[position + 1] in ").:"


class _Splitter:
    """The sentence under construction, and what happens at a mark that may end it."""

    __slots__ = ("done", "index", "line_broke", "other_section", "words")

    def __init__(self) -> None:
        self.done: list[Sentence] = []
        self.words: list[str] = []
        self.index: list[int] = []
        self.line_broke = False
        self.other_section = False

    def close(self) -> list[str]:
        self.line_broke = False
        if self.words:
            if not self.other_section:
                self.done.append(Sentence(self.words, self.index))
            self.words, self.index = [], []
        return self.words

    def resume(self, token: str, *, starts_item: bool) -> list[str]:
        """After a line break: a capital starts a new statement unless the line before was left open."""
        self.line_broke = False
        if starts_item or (token[0].isupper() and self.words and self.words[-1] not in _CONTINUES):
            return self.close()
        return self.words

    def end(self, mark: str, position: int) -> list[str]:
        words = self.words
        if mark in (":", "\n", "\n\n") and len(words) <= 4 and self._header(" ".join(words)):
            return self._restart()
        if mark == "\n":
            self.line_broke = True
            return words
        if mark == "\n\n":
            self.close()
            self.other_section = False
            return self.words
        if len(words) == 1 and mark in ".)" and (words[0].isdigit() or (mark == ")" and len(words[0]) == 1)):
            return self._restart()  # a list number
        if mark in (":", ")"):
            words.append(mark)
            self.index.append(position)
            return words
        if mark == "." and words and words[-1] in _BEFORE_STOP:
            return words
        return self.close()

    def _restart(self) -> list[str]:
        self.words, self.index, self.line_broke = [], [], False
        return self.words

    def _header(self, name: str) -> bool:
        if name in _REPORT_SECTIONS:
            self.other_section = False
        elif name in _OTHER_SECTIONS:
            self.other_section = True
        else:
            return False
        return True
