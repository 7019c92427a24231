"""Phrases in TOML files, compiled to one trie.

A phrase is plain words. ``(word)`` may be missing, ``a|b`` is either word, ``(a|b)`` is either or none::

    phrases = ["no (definite|radiographic) evidence of", "clear of|from"]

Singular and plural, upper and lower case, and hyphens are the same (``tokens.normalise``). Where two phrases
match at one place the longer one wins; that is how "no change in" keeps its "no" from negating.

A ``[[words]]`` table is a list of single words for a rule to look up; the trie leaves it out.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from radflow.errors import DataError, MissingFileError
from radflow.readers.tokens import words_of

WORDS = "words"
FOLDER = Path(__file__).parent / "lexicon"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One group of phrases of a lexicon file.

    Attributes:
        kind: the table it stood in: ``finding``, ``structure``, ``quality``, ``before``, ``after``, ...
        name: what it stands for, e.g. ``Pleural Effusion``, ``absent``, ``heart``.
        data: every other key of the table.
        file: name of the file it was read from.
    """

    kind: str
    name: str
    phrases: tuple[str, ...]
    data: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""


class Match(NamedTuple):
    """A phrase found at ``words[start:end]`` of a sentence."""

    start: int
    end: int
    entry: Entry


def expand(phrase: str) -> Iterator[tuple[str, ...]]:
    """Every word sequence that a phrase of a lexicon file stands for.

    Raises:
        DataError: parentheses around more than one word.

    >>> list(expand("no (definite|overt) effusion"))
    [('no', 'definite', 'effusion'), ('no', 'overt', 'effusion'), ('no', 'effusion')]
    """
    choices: list[list[str]] = []
    for item in phrase.split():
        optional = item.startswith("(") and item.endswith(")")
        if not optional and len(item) > 1 and ("(" in item or ")" in item):
            raise DataError(f"Expected (word) or (either|or) as one item of a phrase, got {phrase!r}.")
        words = (item[1:-1] if optional else item).split("|") if len(item) > 1 else [item]
        choices.append([*words, ""] if optional else words)
    for choice in itertools.product(*choices):
        words = words_of(" ".join(choice))
        if words:
            yield words


def read_lexicon(path: Path) -> list[Entry]:
    """Read one lexicon file.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is not TOML, or a group has no ``name`` or no ``phrases``.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(f"Expected a lexicon at {path}, found no such file.") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"Expected TOML in lexicon {path}: {error}.") from None
    entries = []
    for kind, groups in tables.items():
        for group in groups if isinstance(groups, list) else [groups]:
            if not _is_group(group):
                raise DataError(f"Expected 'name' and 'phrases' in each [[{kind}]] of {path}, got {group!r}.")
            data = {key: value for key, value in group.items() if key not in ("name", "phrases")}
            phrases = tuple(group["phrases"])
            entries.append(Entry(kind=kind, name=group["name"], phrases=phrases, data=data, file=path.name))
    return entries


def _is_group(group: Any) -> bool:
    if not isinstance(group, dict):
        return False
    name, phrases = group.get("name"), group.get("phrases")
    texts = [name, *phrases] if isinstance(phrases, list) and phrases else [None]
    return all(isinstance(text, str) and text for text in texts)


def lexicon(name: str) -> list[Entry]:
    """Read one of the lexicons that ship with radflow, e.g. ``lexicon("scope")``."""
    return read_lexicon(FOLDER / f"{name}.toml")


def additions(path: Path, known: Sequence[Entry]) -> list[Entry]:
    """Read a lexicon of a user's own, to stand beside the entries that are ``known``.

    A group of a known kind and name takes over that group's other keys, so ``name`` and ``phrases`` are
    enough to add words. A phrase that already means the same is left out.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is not a lexicon, has a kind of group that is not known, or gives a known phrase another
            meaning.
    """
    groups = {(entry.kind, entry.name): entry for entry in known}
    meaning = {words: entry for entry in known if entry.kind != WORDS for words in _sequences(entry)}
    kinds = sorted({entry.kind for entry in known} - {WORDS})
    added = []
    for entry in read_lexicon(path):
        if entry.kind not in kinds:
            raise DataError(f"Expected groups [[{']], [['.join(kinds)}]] in {path}, got [[{entry.kind}]].")
        fresh = []
        for words in _sequences(entry):
            old = meaning.setdefault(words, entry)
            if (old.kind, old.name) != (entry.kind, entry.name):
                raise DataError(
                    f"Expected phrases without another meaning in {path}, got {' '.join(words)!r} under "
                    f"[[{entry.kind}]] {entry.name!r}, which is [[{old.kind}]] {old.name!r} in {old.file}; "
                    "remove it."
                )
            if old is entry:
                fresh.append(" ".join(words))
        like = groups.get((entry.kind, entry.name))
        data = {**(like.data if like else {}), **entry.data}
        added.append(replace(entry, phrases=tuple(dict.fromkeys(fresh)), data=data))
    return added


def _sequences(entry: Entry) -> Iterator[tuple[str, ...]]:
    return (words for phrase in entry.phrases for words in expand(phrase))


def word_list(name: str, words: str) -> frozenset[str]:
    """Return one ``[[words]]`` table of a lexicon that ships with radflow.

    >>> "stable" in word_list("scope", "start a new statement")
    True
    """
    (entry,) = (entry for entry in lexicon(name) if entry.kind == WORDS and entry.name == words)
    return frozenset(word for phrase in entry.phrases for word in words_of(phrase))


class Trie:
    """All phrases of some entries, for longest match from left to right.

    Matching is linear in the number of words: from each word at most the longest phrase is walked.

    Raises:
        DataError: the same words are listed under two entries of the same kind with different names.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._root: dict[str, Any] = {}
        for entry in entries:
            for phrase in entry.phrases if entry.kind != WORDS else ():
                for words in expand(phrase):
                    self._add(words, entry)

    def _add(self, words: Sequence[str], entry: Entry) -> None:
        node = self._root
        for word in words:
            node = node.setdefault(word, {})
        known: Entry = node.setdefault("", entry)
        if known is not entry:
            raise DataError(
                f"Expected each phrase once, got {' '.join(words)!r} under [[{known.kind}]] {known.name!r} "
                f"and [[{entry.kind}]] {entry.name!r}; remove one."
            )

    def matches(self, words: Sequence[str]) -> list[Match]:
        """Longest matches from left to right, without overlap.

        >>> trie = Trie([Entry(kind="finding", name="Edema", phrases=("edema", "pulmonary edema"))])
        >>> [(m.start, m.end) for m in trie.matches(["no", "pulmonary", "edema"])]
        [(1, 3)]
        """
        found: list[Match] = []
        root = self._root
        end, count = 0, len(words)
        for start, word in enumerate(words):
            if word not in root or start < end:
                continue
            node, best, ahead = root[word], None, start + 1
            while node is not None:
                if "" in node:
                    best, end = node[""], ahead
                    if len(node) == 1:
                        break  # no longer phrase starts with these words
                if ahead == count:
                    break
                node = node.get(words[ahead])
                ahead += 1
            if best is not None:
                found.append(Match(start, end, best))
        return found
