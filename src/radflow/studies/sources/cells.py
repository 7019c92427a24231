"""What stands in a cell of a table: text, an id, a list of paths in one of four spellings."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Sequence
from typing import Any, Literal

from radflow.errors import DataError
from radflow.reports import Report, render_report

Sections = Literal["both", "any"]

_NOTHING = ("nan", "none", "null", "n/a", "na", "<na>")


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


def report_of(findings: str | None, impression: str | None) -> Report | None:
    """The reference report of two sections, as ReXrank scores it; of one section, that section's words.

    >>> report_of("Clear.", "Normal.").text, report_of(None, "Normal.").text, report_of(None, None)
    ('Findings: Clear. Impression: Normal.', 'Normal.', None)
    """
    if findings is None and impression is None:
        return None
    both = findings is not None and impression is not None
    text = render_report(findings, impression) if both else findings or impression or ""
    return Report(text=text, findings=findings, impression=impression)


def wanted(report: Report | None, sections: Sections) -> Report:
    """The report, if it is one to keep.

    Args:
        report: as `report_of` gives it.
        sections: ``both`` leaves out reports that lack Findings or Impression; ``any`` keeps those with one.

    Raises:
        DataError: it is to be left out; the message is the reason of a `Rejected`.

    >>> wanted(report_of(None, "Normal."), "any").impression
    'Normal.'
    >>> wanted(report_of(None, "Normal."), "both")
    Traceback (most recent call last):
    ...
    radflow.errors.DataError: report with impression only
    """
    if report is not None and (sections == "any" or report.sectioned):
        return report
    has = [name for name in ("findings", "impression") if getattr(report, name, None)]
    raise DataError(f"report with {has[0]} only" if has else "report with neither section")


def check_sections(sections: Sections) -> None:
    """Raise `DataError` unless it is one that `wanted` takes."""
    if sections not in ("both", "any"):
        raise DataError(f"sections: expected both or any, got {sections!r}")


def paired(paths: Sequence[str], views: Sequence[str]) -> list[tuple[str, str | None]]:
    """Each path with its view; ``None`` for all where there are fewer views than paths.

    ReXrank's file of IU X-Ray has 23 such studies, and 45 with more views than paths. Held against Kaggle's
    table, the first views of a longer list belong to the paths in their order; a shorter one may begin
    anywhere.

    >>> paired(["a", "b"], ["PA", "LL", "LL"]), paired(["a", "b"], ["PA"])
    ([('a', 'PA'), ('b', 'LL')], [('a', None), ('b', None)])
    """
    if len(views) < len(paths):
        return [(path, None) for path in paths]
    return list(zip(paths, views, strict=False))
