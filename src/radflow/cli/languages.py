"""What a command does about reports that are not in English: it warns, and stops where most are."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from radflow.reports.language import LanguageCount

UNLESS = "unless you say --any-language"
REMEDY = "Say --any-language to read them all the same; what is read will be wrong."


def say_languages(
    errors: Console, where: str, found: LanguageCount, *, any_language: bool, then: str
) -> None:
    """Warn once for a file, with count, share, language and the first ids.

    Args:
        errors: where the warning goes.
        where: the file, or which of its columns.
        found: its reports, counted.
        any_language: whether the user allows a file most of which is in another language; an error otherwise.
        then: what becomes of these reports.

    Raises:
        DataError: most reports of the file are in another language.
    """
    if not any_language:
        found.expect_english(where, remedy=REMEDY)
    if found.said:
        errors.print(f"[yellow]warning[/]: {escape(f'{where}: {found.said}; {then}')}", soft_wrap=True)
