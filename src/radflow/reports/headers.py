"""What the sections of a report are called: ``headers.toml``, which a file of the user's own extends.

The file has one table per language, of lists of names; the comment on top of ``headers.toml`` says what each
list is for. A name of the user's wins over a shipped one with another meaning.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from radflow.errors import DataError, MissingFileError, did_you_mean

Kind = Literal[
    "both",
    "findings",
    "impression",
    "findings_if_none",
    "impression_if_none",
    "context",
    "closing",
    "preliminary",
    "opening",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
_LISTS = (*KINDS[1:], "and", "subheading")
_LONGEST = 60  # characters of a name
_BLANK = r"[^\S\n\r]"  # any white space that stays on the line


@dataclass(frozen=True, kw_only=True)
class Headers:
    """Names of sections, compiled.

    Attributes:
        header: finds, in small letters, a name with the marks that make it a header; it has a group per
            kind, and ``markup``, ``colon``, ``dash``, ``bare``, ``closed`` and ``odd`` for the marks.
        name: matches a name alone in small letters.
        subheading: matches text that ends in a word after which a name is a line of a section.
    """

    header: re.Pattern[str]
    name: re.Pattern[str]
    subheading: re.Pattern[str]


@cache
def read_headers(path: Path | None = None) -> Headers:
    """The shipped names, with those of a user's file on top. Read once per process.

    Args:
        path: a TOML file like ``headers.toml``; ``None`` for the shipped names alone.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is no TOML, or a list or name in it cannot be used.
    """
    shipped = tomllib.loads(files("radflow.reports").joinpath("headers.toml").read_text("utf-8"))
    names: dict[str, dict[str, None]] = {kind: {} for kind in _LISTS}
    own = {} if path is None else _own(path)
    taken = {
        _plain(name): kind
        for language in own.values()
        for kind, listed in language.items()
        for name in listed
    }
    for language in (*own.values(), *shipped.values()):
        for kind, listed in language.items():
            names[kind].update(
                dict.fromkeys(name for name in listed if taken.get(_plain(name), kind) == kind)
            )
    return _compiled(names)


def _plain(name: str) -> str:
    """A name without accents."""
    return "".join(
        letter for letter in unicodedata.normalize("NFD", name) if not unicodedata.combining(letter)
    )


def _own(path: Path) -> dict[str, dict[str, list[str]]]:
    """A user's file, checked; names in small letters."""
    try:
        told: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file; expected names of sections as TOML") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected names of sections as TOML ({error})") from None
    return {language: dict(_lists(listed, f"{path}: [{language}]")) for language, listed in told.items()}


def _lists(told: Any, where: str) -> Iterator[tuple[str, list[str]]]:
    if not isinstance(told, Mapping):
        raise DataError(f"{where}: expected a table of lists of names, such as findings = ['befund']")
    for kind, listed in told.items():
        if kind not in _LISTS:
            raise DataError(
                f"{where}: expected one of {', '.join(_LISTS)}, got {kind!r}.{did_you_mean(kind, _LISTS)}"
            )
        if not isinstance(listed, list):
            raise DataError(f"{where} {kind}: expected a list of names, got {listed!r:.40}")
        yield kind, [_checked(name, f"{where} {kind}") for name in listed]


def _checked(name: Any, where: str) -> str:
    if not (isinstance(name, str) and re.fullmatch(r"[^\W_][^\n\r:]*", name) and len(name) <= _LONGEST):
        raise DataError(
            f"{where}: expected a name of up to {_LONGEST} characters on one line, without its colon, "
            f"got {name!r:.80}"
        )
    return " ".join(name.lower().split())


def _compiled(names: Mapping[str, Iterable[str]]) -> Headers:
    one = {kind: _any_of(names[kind]) for kind in _LISTS}
    links = rf"[ ]?(?:/|&|\+|,|{one['and']})[ ]?"
    one["both"] = (
        f"(?:{one['findings']}){links}(?:{one['impression']})|(?:{one['impression']}){links}(?:{one['findings']})"
    )
    named = "|".join(f"(?P<{kind}>{one[kind]})" for kind in KINDS)
    begins = _any_of(sorted({name[:3] for kind in KINDS[1:] for name in names[kind]}))
    header = rf"""
        (?<![\w*/-]) (?P<markup>[\["'] | [*_]{{0,3}})
        (?={begins}) (?:{named})
        (?![^\W_]|[/-])
        (?: (?P<colon> (?:[ ]?\([^()\n\r:]{{1,30}}\) | [ ]by[ ][^\n\r:]{{1,40}})? [\]"']?
                       {_BLANK}{{0,3}} [*_]{{0,3}} {_BLANK}{{0,3}} [:：] [*_]{{0,3}} )
          | (?P<dash>  [*_]{{0,3}} {_BLANK}{{1,3}} [-–—]{{1,3}} (?=\s) )
          | (?P<bare>  [*_\]]{{0,3}} {_BLANK}{{0,8}} [\#*=-]{{0,6}} {_BLANK}{{0,8}} (?=[\n\r]|\Z) )
          | (?P<closed> \] | [*_]{{2,3}} (?={_BLANK}) )
          | (?P<odd>   {_BLANK}{{0,3}} = | [.;](?={_BLANK}) | \t ) )
        """
    return Headers(
        header=re.compile(header, re.VERBOSE),
        name=re.compile(named, re.VERBOSE),
        subheading=re.compile(rf"\b(?:{one['subheading']})[ ]*\Z", re.IGNORECASE),
    )


def _any_of(names: Iterable[str]) -> str:
    """A pattern of names, in verbose mode; names that begin with the same letter are tried together."""
    by_letter: dict[str, list[str]] = {}
    for name in names:
        first, *rest = map(_letter, name)
        by_letter.setdefault(first, []).append("".join(rest))
    return "|".join(f"{first}(?:{'|'.join(rest)})" for first, rest in by_letter.items())


def _letter(letter: str) -> str:
    """A pattern of one letter: its accent may be written apart, or missing."""
    if letter == " ":
        return "[ ]"
    if letter == "ß":
        return "(?:ß|ss)"
    base, *marks = unicodedata.normalize("NFD", letter)
    if not marks:
        return re.escape(letter)
    spelt_out = {"ä": "|ae", "ö": "|oe", "ü": "|ue"}.get(letter, "")
    return f"(?:{letter}|{base}(?:{''.join(marks)})?{spelt_out})"
