"""Is a report in English, the only language that the readers read?

"Kein Pneumothorax" is a pneumothorax to a reader of English. So reports in other languages are counted, by
file, and named to the user. A text is foreign where more of its words belong to another language than to
English (``languages.toml``), where a fifth of its letters are not Latin, or where six words or more include
no English one. Only its beginning is examined.

A general detector was tried and is not used: on sentences of two to five words it either calls one English
sentence in five foreign or misses half of the foreign ones (docs/decisions/languages.md).
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from radflow.errors import DataError

OTHER = "another language"
_LOOKED_AT = 600  # characters
_NO_ENGLISH = 6  # words without an English one make a text foreign
_SHOWN = 3  # ids in a warning

_WORD = re.compile(r"[^\W\d_]+")
_NOT_LATIN = re.compile(r"[\u0370-\u1cff\u2e80-\ud7ff\uf900-\ufaff]")
_SCRIPTS = {
    "Greek": "\u0370-\u03ff",
    "Russian": "\u0400-\u052f",
    "Hebrew": "\u0590-\u05ff",
    "Arabic": "\u0600-\u06ff",
    "Hindi": "\u0900-\u097f",
    "Thai": "\u0e00-\u0e7f",
    "Japanese": "\u3040-\u30ff",
    "Korean": "\u1100-\u11ff\uac00-\ud7a3",
    "Chinese": "\u3400-\u9fff",
}
"""Script to its most frequent language; kana before the characters that Japanese shares with Chinese."""


def foreign_language(text: str) -> str | None:
    """The language of a text that is not English, or ``None``.

    >>> [foreign_language(text) for text in ("Kein Pneumothorax.", "No pneumothorax.", "未见气胸。", "")]
    ['German', None, 'Chinese', None]
    """
    beginning = text[:_LOOKED_AT]
    if not beginning.isascii() and (script := _script(beginning)):
        return script
    words = [word for word in _WORD.findall(beginning) if len(word) > 1]
    owners = _owners()
    hits = Counter(owner for word in words for owner in owners.get(word.lower(), ()))
    if not beginning.isascii():  # "Müller" is a name
        accented = (word for word in words if not word.isascii() and word.islower() and word not in owners)
        hits.update(owner for word in accented for owner in _accented(word))
    english = hits.pop("English", 0)
    best = max(hits.values(), default=0)
    if best > english:
        return next(name for name in (*_profiles(), OTHER) if hits[name] == best)
    return OTHER if not english and not best and len(words) >= _NO_ENGLISH else None


class LanguageCount:
    """The reports of one file that are not in English.

    >>> count = LanguageCount()
    >>> [count.add(name, text) for name, text in (("s1", "Kein Erguss."), ("s2", "No effusion."))]
    [True, False]
    >>> print(count.said)
    1 of 2 reports (50.0%) looks like German: s1
    """

    def __init__(self) -> None:
        self.reports = 0
        self.foreign: Counter[str] = Counter()
        self._first: list[str] = []

    def add(self, study_id: str, text: str) -> bool:
        """Count one more report; whether it is in another language."""
        language = foreign_language(text)
        self.reports += 1
        if language is not None:
            self.foreign[language] += 1
            self._first += [study_id] if len(self._first) < _SHOWN else []
        return language is not None

    def add_all(self, reports: Iterable[tuple[str, str]]) -> LanguageCount:
        """Count reports, each given as its id and its text."""
        for study_id, text in reports:
            self.add(study_id, text)
        return self

    @property
    def said(self) -> str:
        """How many, which share, in what, and the first of them; ``""`` where all are in English."""
        count = self.foreign.total()
        if not count:
            return ""
        languages = " or ".join(name for name, _ in self.foreign.most_common(_SHOWN))
        more = ", ..." if count > len(self._first) else ""
        verb = "looks" if count == 1 else "look"
        share = f"{count:,} of {self.reports:,} reports ({count / self.reports:.1%})"
        return f"{share} {verb} like {languages}: {', '.join(self._first)}{more}"

    def expect_english(self, where: str, *, remedy: str) -> None:
        """Stop where most of the reports are in another language.

        Raises:
            DataError: more than half are.
        """
        if 2 * self.foreign.total() > self.reports:
            raise DataError(
                f"{where}: expected reports in English, the only language that the readers read; "
                f"{self.said}. {remedy}"
            )


def _script(text: str) -> str | None:
    foreign = _NOT_LATIN.findall(text)
    if len(foreign) < 2 or 5 * len(foreign) <= sum(map(len, _WORD.findall(text))):
        return None  # "5 μm" is English
    letters = "".join(foreign)
    return next((name for name, range_ in _SCRIPTS.items() if re.search(f"[{range_}]", letters)), OTHER)


def _accented(word: str) -> list[str]:
    """The languages that have every letter of a Latin word; some other one if none of ours has."""
    beyond = {letter for letter in word if not letter.isascii()}
    if _NOT_LATIN.search(word):
        return []  # "μm"
    return [name for name, (_, letters) in _profiles().items() if beyond <= letters] or [OTHER]


@cache
def _profiles() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Language to its words and its letters beyond English."""
    told = tomllib.loads(files("radflow.reports").joinpath("languages.toml").read_text("utf-8"))
    return {
        name: (frozenset(own["words"].split()), frozenset(own.get("letters", "")))
        for name, own in told.items()
    }


@cache
def _owners() -> dict[str, tuple[str, ...]]:
    """Word to the languages that have it."""
    owners: dict[str, tuple[str, ...]] = {}
    for name, (words, _) in _profiles().items():
        for word in words:
            owners[word] = (*owners.get(word, ()), name)
    return owners
