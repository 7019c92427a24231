"""``radflow verdicts``: what a store of verdicts holds and has saved; export and import."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App
from rich import box
from rich.table import Table
from rich.text import Text

from radflow.cli import screens
from radflow.errors import DataError, MissingFileError
from radflow.judges.verdicts.files import export_verdicts, import_verdicts
from radflow.judges.verdicts.statistics import JudgeStatistics, statistics
from radflow.judges.verdicts.store import VerdictStore

_SQLITE = b"SQLite format 3\x00"


verdicts = App(name="verdicts", help="What judges have answered: look at a store, write it out, read it in.")


@verdicts.command
def show(store: Path, *, prompt_price: float | None = None, completion_price: float | None = None) -> None:
    """What a store holds, how often it spared a question, and what that saved.

    Args:
        store: As a judge keeps it: verdicts.sqlite3.
        prompt_price: Price of a million prompt tokens; given both prices, it shows the money spent and saved.
        completion_price: Price of a million completion tokens.
    """
    prices = _prices(prompt_price, completion_price)
    with _existing(store) as opened:
        found = statistics(opened)
    screen = screens.screen
    if found.judges:
        screen.print(_table(found.judges, prices))
    kept = sum(judge.verdicts for judge in found.judges)
    screen.print(f"{store}: {_count(kept, 'verdict')}, {found.size / 1024:,.0f} KiB", markup=False)
    if found.damaged:
        screen.print(
            f"[yellow]warning[/]: {_count(found.damaged, 'row')} damaged; their questions count as not asked"
        )


@verdicts.command
def export(store: Path, file: Path) -> None:
    """Write all verdicts to a file of lines, so that others can repeat a run without asking.

    Args:
        store: As a judge keeps it: verdicts.sqlite3.
        file: JSONL file to write.
    """
    if file.resolve() == store.resolve():
        raise DataError(f"{file}: expected another file than the store itself")
    with _existing(store) as opened:
        written = export_verdicts(opened, file)
        with_texts = sum(one is not None and one.texts is not None for one in opened.scan())
    screen = screens.screen
    screen.print(f"wrote {_count(written, 'verdict')} to {file}", markup=False)
    if with_texts:
        screen.print(
            f"[yellow]warning[/]: {with_texts:,} of them hold the texts of reports; the file is as "
            "confidential as these"
        )


@verdicts.command(name="import")
def import_(store: Path, file: Path) -> None:
    """Add the verdicts of an export. What the store has already stays.

    Args:
        store: Made if it is not there.
        file: As `radflow verdicts export` writes it.
    """
    if not file.is_file():
        raise MissingFileError(f"{file}: no such file; expected what 'radflow verdicts export' writes")
    with _existing(store) if store.exists() else VerdictStore(store) as opened:
        account = import_verdicts(opened, file)
    screen = screens.screen
    screen.print(
        f"{store}: {_count(account.added, 'verdict')} added, {account.known:,} known already", markup=False
    )
    if account.contradicted:
        screen.print(
            f"[yellow]warning[/]: {_count(account.contradicted, 'verdict')} in the store with the other "
            "answer; what is in the store stayed"
        )


def _prices(prompt: float | None, completion: float | None) -> dict[str, float]:
    """What `Cost.money` takes; empty where no prices were given."""
    given = {"prompt_price": prompt, "completion_price": completion}
    prices = {name: price for name, price in given.items() if price is not None}
    if len(prices) == 1:
        raise DataError("expected both --prompt-price and --completion-price, or neither; got one")
    return prices


def _existing(path: Path) -> VerdictStore:
    """Open a store that must be there; opening alone would make one."""
    if not path.is_file():
        raise MissingFileError(
            f"{path}: no such store of verdicts; judges keep one as verdicts.sqlite3 beside what they write"
        )
    with path.open("rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            raise DataError(f"{path}: expected a store of verdicts (SQLite), got something else")
    return VerdictStore(path)


def _table(judges: tuple[JudgeStatistics, ...], prices: dict[str, float]) -> Table:
    """Two lines per judge, prompt and kind of question: what there is, and what that is worth."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column("judge\nquestion", overflow="fold")
    for column in ("verdicts\nyes", "asked\nhits", "tokens\nsaved", *(["money\nsaved"] if prices else [])):
        table.add_column(column, justify="right", no_wrap=True)
    for judge in judges:
        costs = (judge.spent, judge.saved)
        cells = [
            f"{judge.verdicts:,}\n{_share(judge.yes_share)}",
            f"{judge.misses:,}\n{judge.hits:,} ({_share(judge.hit_share)})",
            "\n".join(f"{cost.prompt_tokens + cost.completion_tokens:,}" for cost in costs),
        ]
        if prices:
            cells.append("\n".join(f"{cost.money(**prices):,.2f}" for cost in costs))
        table.add_row(Text(f"{judge.judge}:{judge.model}\n{judge.kind}, prompt {judge.prompt}"), *cells)
    return table


def _share(share: float) -> str:
    return "–" if share != share else f"{share:.0%}"  # NaN: of nothing


def _count(number: int, what: str) -> str:
    """A number with its noun.

    >>> _count(1, "verdict"), _count(1200, "verdict")
    ('1 verdict', '1,200 verdicts')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"
