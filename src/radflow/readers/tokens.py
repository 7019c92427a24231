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

from radflow.readers.layout import ANSWERS, Sentence, Span, joined
from radflow.readers.spelling import mended

TOKEN = re.compile(r"\d+(?:\.\d+)+|\w+|\n\s*|[^\w\s]")

_IRREGULAR = {
    "apices": "apex",
    "atelectases": "atelectasis",
    "bases": "base",
    "bronchi": "bronchus",
    "bullae": "bulla",
    "hila": "hilum",
    "granulomata": "granuloma",
    "hydropneumothoraces": "hydropneumothorax",
    "metastases": "metastasis",
    "pneumothoraces": "pneumothorax",
    "scapulae": "scapula",
    "stenoses": "stenosis",
    "vertebrae": "vertebra",
    "•": "\n\n",
    "\u2013": "",
    "\u2014": ";",
}
_SPELLINGS = {  # British, and two letters wrong; with their plurals, because nothing is folded before
    "haemopneumothorax": "hemopneumothorax",
    "haemothorax": "hemothorax",
    "odema": "edema",
    "oedema": "edema",
    "oedma": "edema",
    "oedematous": "edematous",
    "pneumothoracies": "pneumothorax",
    "recognised": "recognized",
    "tumour": "tumor",
    "tumours": "tumor",
    "visualise": "visualize",
    "visualised": "visualized",
}
_SHORTHAND = {  # of the ward; phrases such as "pl eff" stand in the lexicons
    "atel": "atelectasis",
    "atx": "atelectasis",
    "bilat": "bilateral",
    "cardiomeg": "cardiomegaly",
    "consol": "consolidation",
    "eff": "effusion",
    "effn": "effusion",
    "effs": "effusion",
    "infilt": "infiltrate",
    "mod": "moderate",
    "neg": "negative",
    "nl": "normal",
    "pna": "pneumonia",
    "poss": "possible",
    "prob": "probable",
    "ptx": "pneumothorax",
    "ptxs": "pneumothorax",
    "sm": "small",
    "\u2191": "increased",
    "\u2193": "decreased",
}
_FOLDED = _IRREGULAR | _SPELLINGS | _SHORTHAND
_SILENT = frozenset("-'\"*`’‘“”_[]{}|\\~^")
_MARKS = frozenset({".", "!", "?", "\n", "\n\n", ":", ")", "#"})  # may end a sentence, or be a word
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
_BROKEN = frozenset({"r", "l", "right", "left", "rt", "lt", "rib", "ribs", "clavicle", "humerus", "nof"})
_BULLETS = frozenset("-*|")
_OTHER_SECTIONS = frozenset(
    {"indication", "clinical indication", "history", "clinical history", "patient history", "comparison"}
    | {"clinical information", "reason for exam", "reason for examination", "reason for study", "technique"}
    | {"exam", "examination", "procedure", "study", "comparison study", "prior", "exam type", "view"}
)
_REPORT_SECTIONS = frozenset(
    {"finding", "impression", "conclusion", "report", "interpretation", "opinion", "summary", "diagnosis"}
    | {"finding and impression", "comment", "result"}
)


def token_spans(text: str) -> list[Span]:
    """Characters of every token. Apart from :func:`sentences`, because plain labelling does not need them.

    >>> [tuple(span) for span in token_spans("No  mass.")]
    [(0, 2), (4, 8), (8, 9)]
    """
    return [Span(*match.span()) for match in TOKEN.finditer(text)]


def normalise(token: str) -> str:
    """Fold one token: lower case, singular, one wrong letter mended, silent marks to ``""``.

    >>> [normalise(t) for t in ("Opacities", "masses", "Pneumothoraces", "is", "-", "XXXX", "efusions")]
    ['opacity', 'mass', 'pneumothorax', 'is', '', 'xxxx', 'effusion']
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
            word = word[:-3] + "y"
        else:
            word = word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]
    return mended(word)


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
    return tuple(word for token in TOKEN.findall(phrase) if (word := _NORMAL[token]))


def sentences(text: str) -> list[Sentence]:
    """Split a report into sentences; sections that are not about this picture are left out.

    A heading that denies what stands below it, and a question, are one sentence with what belongs to them.

    >>> [" ".join(s.words) for s in sentences("INDICATION: Pain. FINDINGS: 1. Mass of 3.5 cm.No effusion")]
    ['mass of 3.5 cm', 'no effusion']
    >>> [" ".join(s.words) for s in sentences("Edema? None. No:\\n- mass\\n- effusion")]
    ['edema none', 'no : mass effusion']
    """
    tokens = TOKEN.findall(text)
    splitter = _Splitter(tokens, capitals=text.isupper() and "." in text)
    words, index = splitter.words, splitter.index
    normal, marks, openers = _NORMAL, _MARKS, _OPENERS
    for position, token in enumerate(tokens):
        word = normal[token]
        if word in marks:
            if word in ".?" and _inside(words, tokens, position):
                word = "" if word == "." else word
            elif word == "#":
                word = word if _is_fracture(words, tokens, position) else ""
            else:
                splitter.end(word, position)
                words, index = splitter.words, splitter.index
                continue
        elif token in openers and words and words[-1] not in _CONTINUES and _opens(words, tokens, position):
            splitter.close()
            words, index = splitter.words, splitter.index
        if word:
            words.append(word)
            index.append(position)
    splitter.close()
    return joined(splitter.done) if splitter.joins else splitter.done


def _opens(words: Sequence[str], tokens: Sequence[str], position: int) -> bool:
    """Whether a capital starts a statement here: not in ``Effusion: No`` and ``Edema: There is none``."""
    ends = position + 1 == len(tokens) or tokens[position + 1][0] in ".,;)|\n"
    return not ends and words[-1] != ":"


def _is_fracture(words: Sequence[str], tokens: Sequence[str], position: int) -> bool:
    """``# right 6th rib``, ``No # seen``, but neither ``#2`` nor the ``# Findings`` of markdown."""
    following = tokens[position + 1].lower() if position + 1 < len(tokens) else "."
    if not words or tokens[position - 1][0] == "\n":
        return following in _BROKEN
    return not following[0].isdigit() and following != "#"


def _inside(words: Sequence[str], tokens: Sequence[str], position: int) -> bool:
    """A mark that ends no sentence: ``?pneumonia``, ``Dr. Smith``, ``9 a.m. film``, ``4 cm. or``."""
    following = tokens[position + 1] if position + 1 < len(tokens) else "\n"
    before = words[-1] if words else ""
    if tokens[position] == ".":
        if before in _ABBREVIATED or following == ".":
            return True
        return following[0].islower() and (before in _UNITS or (len(before) == 1 and before.isalpha()))
    return following[0].islower() or (before in ("", ",") and following[0].isalpha())


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

    __slots__ = ("capitals", "done", "index", "joins", "opens", "other_section", "tokens", "words")

    def __init__(self, tokens: Sequence[str], *, capitals: bool) -> None:
        self.tokens = tokens
        self.capitals = capitals
        self.done: list[Sentence] = []
        self.words: list[str] = []
        self.index: list[int] = []
        self.opens = ""  # what the sentence under construction starts behind: "line", "item", or neither
        self.joins = False  # whether a sentence may belong together with those behind it
        self.other_section = False

    def close(self) -> None:
        words = self.words
        if words:
            if not self.other_section:
                self.done.append(Sentence(words, self.index, self.opens))
                self.joins = self.joins or words[-1] in ":?" or (len(words) < 3 and self.opens != "")
            self.words, self.index, self.opens = [], [], ""

    def end(self, mark: str, position: int) -> None:
        words = self.words
        if mark == "." and len(words) > 1 and self.tokens[position - 1] != ".":
            self.close()
        elif mark in (":", "\n", "\n\n") and len(words) <= 4 and self._header(" ".join(words)):
            self._restart()
        elif mark == "\n":
            if self._starts(position + 1):
                self.close()
                self.opens = "item" if self._is_item(position + 1) else "line"
        elif mark == "\n\n":
            self.close()
            self.opens = "item" if self.tokens[position] == "•" or self._is_item(position + 1) else ""
            self.other_section = False
        elif (
            len(words) == 1 and mark in ".)" and (words[0].isdigit() or (mark == ")" and len(words[0]) == 1))
        ):
            self._restart()  # a list number
            self.opens = "item"
        elif mark in (":", ")"):
            self._append(mark, position)
        elif mark == "." and words and self._leads(position):
            self._append(":", position)
        else:
            if mark == "?" and words:
                self._append(mark, position)
            self.close()

    def _starts(self, position: int) -> bool:
        """Behind a line break: does a new statement start, or does the one before go on?"""
        following = self.tokens[position] if position < len(self.tokens) else "-"
        if not self.words or self._is_item(position):
            return True
        answered = self.words[-1] == "no" and len(self.words) > 1 and self.words[-2] not in _CONTINUES
        goes_on = (self.words[-1] in _CONTINUES and not answered) or following.lower() in _CONNECTS
        return following[0].isupper() and not self.capitals and not goes_on

    def _is_item(self, position: int) -> bool:
        following = self.tokens[position] if position < len(self.tokens) else "-"
        return following in _BULLETS or _numbers(self.tokens, position)

    def _leads(self, position: int) -> bool:
        """``Effusion ..... absent``: dots up to the answer."""
        following = self.tokens[position + 1] if position + 1 < len(self.tokens) else ""
        return self.tokens[position - 1] == "." and following.lower() in ANSWERS

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
