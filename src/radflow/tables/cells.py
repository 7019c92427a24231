"""What a cell of a table holds: nothing, text, an id, or a list of paths in one of four spellings."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable
from typing import Any

from radflow.errors import DataError, did_you_mean

_BETWEEN = re.compile(r"[\s\-]+")
_NOTHING = ("nan", "none", "null", "n/a", "na", "<na>")


def missing(value: Any) -> bool:
    """Whether a field is empty: null, NaN or blank, the ways in which tables write that.

    >>> missing(None), missing(float("nan")), missing("  "), missing("Normal.")
    (True, True, True, False)
    """
    return value is None or (isinstance(value, float) and math.isnan(value)) or not str(value).strip()


def words(value: Any) -> str | None:
    """A text with its white space collapsed to single blanks; ``None`` where the cell says nothing.

    Reports come hard-wrapped, and a header that a line break moves to the start of a line would be taken for
    one. ``NaN`` and its like are what data frames write for nothing.

    >>> words("  1. STABLE\\nAPPEARANCE "), words("nan"), words(float("nan")), words(None), words("None.")
    ('1. STABLE APPEARANCE', None, None, None, 'None.')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    text = " ".join(str(value).split())
    return None if not text or text.lower() in _NOTHING else text


def identifier(value: Any) -> str | None:
    """An id as text; data frames turn whole numbers into floats when a row lacks one.

    >>> identifier(50414267), identifier(50414267.0), identifier("10000032.0"), identifier(" s1 ")
    ('50414267', '50414267', '10000032.0', 's1')
    """
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return words(value)


def listed(value: Any, separator: str = ";") -> list[str]:
    """The items of a cell: a list, a JSON list, a list as Python prints it, or texts between separators.

    Raises:
        DataError: it begins like a list and is none.

    >>> listed(["a.png", "b.png"]), listed('["a.png", "b.png"]'), listed("['a.png', 'b.png']")
    (['a.png', 'b.png'], ['a.png', 'b.png'], ['a.png', 'b.png'])
    >>> listed("a.png; b.png"), listed("a.png"), listed(None)
    (['a.png', 'b.png'], ['a.png'], [])
    """
    if isinstance(value, (list, tuple)):
        return ["" if item is None else str(item) for item in value]
    text = words(value)
    if text is None:
        return []
    if text.startswith("[") and text.endswith("]"):
        return _literal(text)
    return [part.strip() for part in str(value).split(separator) if part.strip()]


def _literal(text: str) -> list[str]:
    try:
        items = json.loads(text)
    except ValueError:
        try:
            items = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise DataError(f"broken list: expected one such as ['a.png', 'b.png'], got {text:.60}") from None
    if not isinstance(items, list) or not all(isinstance(item, str | None) for item in items):
        raise DataError(f"broken list: expected a list of texts, got {text:.60}")
    return ["" if item is None else item for item in items]


def plain_name(name: str) -> str:
    """The name of a column as the lists of usual names have it.

    >>> plain_name(" Study ID"), plain_name("Report-Text")
    ('study_id', 'report_text')
    """
    return _BETWEEN.sub("_", name.strip().lower())


def find_column(name: str, columns: Iterable[str], where: str, flag: str) -> str:
    """The column of the given name: an exact match, or else one up to case and blanks.

    Args:
        name: as said.
        columns: those of the table.
        where: the file or row, for the message.
        flag: how it was said, for the message.

    Raises:
        DataError: there is none, or two that differ in these alone.

    >>> find_column("befund", ["id", "Befund"], "r.csv", "--report-column")
    'Befund'
    """
    names = list(columns)
    if name in names:
        return name
    close = [one for one in names if plain_name(one) == plain_name(name)]
    if len(close) == 1:
        return close[0]
    if close:
        raise DataError(
            f"{where}: {flag} {name!r} may be {' or '.join(map(repr, close))}; say it in their case"
        )
    raise DataError(
        f"{where}: expected a column {name!r} for {flag}, found {', '.join(names) or 'none'}."
        f"{did_you_mean(name, names)}"
    )
