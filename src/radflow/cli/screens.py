"""Where commands print: standard output and standard error.

Used as ``screens.screen``, so that a test can put another in its place.
"""

import re

from rich.console import Console

from radflow.tables import Remarks

# Without emoji, as "openai:m:" is a judge and no letter in a circle.
screen = Console(soft_wrap=True, highlight=False, emoji=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)

_LONGEST = 2_000  # characters of one message
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def say_remarks(screen: Console, remarks: Remarks) -> None:
    """What should be known of how tables were read."""
    for line in remarks.lines():
        screen.print("[yellow]note[/]: ", end="")
        screen.print(line, markup=False)


def plain(text: str) -> str:
    r"""A text as these consoles want it, whatever a file held that it quotes.

    Markup is text, what would steer the terminal is written out, and of a very long one the middle is left
    out.

    >>> plain("[b] \x1b[2J")
    '\\[b] \\x1b\\[2J'
    >>> len(plain("x" * 10_000_000))
    2003
    """
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]}...{text[-_LONGEST // 2 :]}"
    text = _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
    return text.replace("[", r"\[")
