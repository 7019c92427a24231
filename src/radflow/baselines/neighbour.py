"""Baselines that write another study's report: the one with the most similar indication, or any other.

Neither looks at the image. The nearest report by *image* is another baseline, and needs the images.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float

_WORD = re.compile(r"\w{2,}")
_VOCABULARY = 2048
_TRIES = 1000


def random_place(study_id: str, size: int) -> int:
    """A place in ``range(size)`` that depends on the study's id alone: the same in any order, at any time.

    >>> random_place("s1", 100) == random_place("s1", 100)
    True
    """
    return int.from_bytes(hashlib.blake2b(study_id.encode(), digest_size=8).digest()) % size


def random_other(study_id: str, size: int, is_own: Callable[[int], bool]) -> int | None:
    """The first place from :func:`random_place` on, round the end, that is not the study's own.

    Args:
        study_id: decides where to start.
        size: how many places there are.
        is_own: whether a place holds this study, or another one of the same patient.

    Returns:
        the place; ``None`` where all of the first thousand are its own.

    >>> random_other("s1", 2, lambda place: place == 0)
    1
    >>> random_other("s1", 2, lambda place: True) is None
    True
    """
    start = random_place(study_id, size) if size else 0
    places = ((start + step) % size for step in range(min(size, _TRIES)))
    return next((place for place in places if not is_own(place)), None)


class NearestContext:
    """Finds the study with the most similar indication: cosine of word counts weighted by rarity (TF-IDF).

    Args:
        contexts: the indications to choose from, some thousands at most: an array (contexts, words) is kept.

    >>> nearest = NearestContext(["chest pain", "fall, rule out fracture", "cough and fever"])
    >>> nearest.find(["fever since monday", "pain after a fall", "xyz"], [set(), {1}, set()])
    [2, 0, None]
    """

    def __init__(self, contexts: Sequence[str]) -> None:
        found = Counter(word for text in contexts for word in set(_words(text)))
        kept = sorted(found, key=lambda word: (-found[word], word))[:_VOCABULARY]
        self._column = {word: place for place, word in enumerate(kept)}
        self._weight = np.array([math.log(1 + len(contexts) / found[word]) for word in kept], np.float32)
        self._vectors = self._embed(contexts)

    def find(self, contexts: Sequence[str], forbidden: Sequence[set[int]]) -> list[int | None]:
        """The place of the most similar context for each, the first of equals.

        Args:
            contexts: what to look for.
            forbidden: for each, the places that must not be chosen: the study itself, the same patient.

        Returns:
            one place each, ``None`` where no word is shared with any.
        """
        similarity = self._embed(contexts) @ self._vectors.T
        for row, places in zip(similarity, forbidden, strict=True):
            row[list(places)] = 0
        best = similarity.argmax(axis=1)
        known: Bool[np.ndarray, " N"] = similarity.max(axis=1) > 0
        return [int(place) if is_known else None for place, is_known in zip(best, known, strict=True)]

    def _embed(self, contexts: Sequence[str]) -> Float[np.ndarray, "N words"]:
        vectors = np.zeros((len(contexts), len(self._weight)), np.float32)
        for row, text in enumerate(contexts):
            for word in _words(text):
                if (place := self._column.get(word)) is not None:
                    vectors[row, place] += self._weight[place]
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(norms, np.finfo(np.float32).tiny)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
