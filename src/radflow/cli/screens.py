"""Where commands print: standard output and standard error.

Used as ``screens.screen``, so that a test can put another in its place.
"""

from rich.console import Console

from radflow.tables import Remarks

# Without emoji, as "openai:m:" is a judge and no letter in a circle.
screen = Console(soft_wrap=True, highlight=False, emoji=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def say_remarks(screen: Console, remarks: Remarks) -> None:
    """What should be known of how tables were read."""
    for line in remarks.lines():
        screen.print("[yellow]note[/]: ", end="")
        screen.print(line, markup=False)


def plain(text: str) -> str:
    """A text without markup, as these consoles want it."""
    return text.replace("[", r"\[")
