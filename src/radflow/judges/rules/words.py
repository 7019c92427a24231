"""The words of the rule judge, compiled: ``chest_words.toml``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any


def any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    """A pattern of phrases that begin a word, for text in small letters."""
    return re.compile(rf"\b(?:{'|'.join(phrases)})")


def one_of(groups: dict[str, list[str]]) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """A pattern of several lists, with an empty group behind each phrase, and the list of each group.

    Phrases that begin with a letter are told apart by it, which a group in front of them would prevent.
    """
    listed = [(phrase, name) for name, phrases in groups.items() for phrase in phrases]
    pattern = "|".join(f"{phrase}()" for phrase, _ in listed)
    return re.compile(rf"\b(?:{pattern})"), tuple(name for _, name in listed)


@cache
def chest_words() -> dict[str, Any]:
    """The tables of ``chest_words.toml``."""
    return tomllib.loads(files("radflow.judges.rules").joinpath("chest_words.toml").read_text("utf-8"))


def small(text: str) -> str:
    """In small letters, each character at its place: where a small letter is two, as it stands."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text
