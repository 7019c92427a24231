"""Words of a report that are one letter away from the name of a finding.

A word is mended where one letter is missing, doubled, wrong or in the place of its neighbour ("pnemothorax"),
its first letter is right, and only one known word is that near. Real words that look like one
("pneumonic", "injection", "pneumonie" of another language) stay as they are, so that no finding becomes
another. Both lists are in ``spelling.toml``.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_SHORTEST, _LONGEST = 4, 22  # letters of a word that may be mended
_WORDS: dict[str, list[str]] = tomllib.loads(
    Path(__file__).with_name("spelling.toml").read_text(encoding="utf-8")
)


def _shorter(word: str) -> Iterator[str]:
    """The word without one of its letters, for each letter but the first."""
    return (word[:place] + word[place + 1 :] for place in range(1, len(word)))


def _by_shorter() -> dict[str, list[str]]:
    found = defaultdict(list)
    for word in _WORDS["mended"]:
        for key in {word, *_shorter(word)}:
            found[key].append(word)
    return found


_NEAR = _by_shorter()
_KNOWN = frozenset(_WORDS["mended"]).union(_WORDS["real"])


def mended(word: str) -> str:
    """The known word that a mistyped one stands for, or the word itself.

    >>> [mended(word) for word in ("pnemothorax", "efusion", "opacitiy", "nodlue", "hemithorax", "diffusion")]
    ['pneumothorax', 'effusion', 'opacity', 'nodule', 'hemithorax', 'diffusion']
    """
    if not _SHORTEST <= len(word) <= _LONGEST or word in _KNOWN or not word.isalpha():
        return word
    near = {known for key in (word, *_shorter(word)) for known in _NEAR.get(key, ()) if _is_near(word, known)}
    return near.pop() if len(near) == 1 else word


def _is_near(word: str, known: str) -> bool:
    """Whether one letter separates two words: one more, one less, another one, or two that changed places."""
    if word[0] != known[0] or abs(len(word) - len(known)) > 1:
        return False
    at = next((place for place, (one, two) in enumerate(zip(word, known, strict=False)) if one != two), 0)
    if len(word) != len(known):
        longer, shorter = (word, known) if len(word) > len(known) else (known, word)
        return not at or longer[at + 1 :] == shorter[at:]
    swapped = word[at : at + 2] == known[at : at + 2][::-1]
    return word[at + 1 :] == known[at + 1 :] or (swapped and word[at + 2 :] == known[at + 2 :])
