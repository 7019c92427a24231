"""CSV that a spreadsheet shows but does not execute, and that radflow reads back exactly.

A cell that Excel, LibreOffice or Google Sheets would take for a formula gets an apostrophe in front: one that
begins with ``=``, ``+``, ``-``, ``@``, a tab or a line end, also behind spaces and quotation marks. That is
what OWASP advises (https://owasp.org/www-community/attacks/CSV_Injection). Only text is marked: a number that
radflow writes, such as -0.5, stays one. radflow takes the apostrophe off when it reads CSV, so ids and
reports survive a round trip exactly; other programs see it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from typing import Any

_FORMULA = re.compile(r"[^\S\t\r\n]*(?:['\"][^\S\t\r\n]*)*[=+\-@\t\r\n＝＋－＠]")


def csv_writer(file: Any) -> Callable[[Iterable[object]], None]:
    """Return what writes one row of a CSV file: commas, lines that end in LF, no formulas.

    Args:
        file: whatever takes text by ``write``; its own line ends must be off (``newline=""``).

    >>> import sys
    >>> csv_writer(sys.stdout)(["=1+1", -1, "-1", "No effusion."])
    '=1+1,-1,'-1,No effusion.
    """
    writer = csv.writer(_Lines(file))
    return lambda cells: writer.writerow([marked(cell) if isinstance(cell, str) else cell for cell in cells])


def marked(text: str) -> str:
    """A text as it may stand in a CSV file.

    >>> marked("- No effusion."), marked("No effusion."), marked("'=1")
    ("'- No effusion.", 'No effusion.', "''=1")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unmarked(cell: str) -> str:
    """The text of which `marked` made a cell.

    >>> unmarked("'- No effusion."), unmarked("'Normal'"), unmarked("''=1")
    ('- No effusion.', "'Normal'", "'=1")
    """
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell, 1) else cell


class _Lines:
    """Takes rows that end in CR LF, so that the writer quotes either, and ends them in LF."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, row: str) -> None:
        self._file.write(row.removesuffix("\r\n") + "\n")
