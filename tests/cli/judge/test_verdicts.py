import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from radflow.cli.judge.verdicts import show
from radflow.judges.llm.questions import Answer, Question
from radflow.judges.verdicts.rows import Identity, stored_verdict
from radflow.judges.verdicts.store import VerdictStore

IDENTITY = Identity(judge="openai", model="gpt-4o")


def verdict(text: str, yes: bool, *, keep_texts: bool = False):
    question = Question(kind="criticality", texts=(text,))
    answer = Answer(verdict=yes, said="yes", prompt_tokens=200_000, completion_tokens=1_000, calls=1)
    return stored_verdict(IDENTITY, question, answer, keep_texts=keep_texts)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Four verdicts, three of them yes, twelve hits."""
    path = tmp_path / "v.sqlite3"
    with VerdictStore(path) as made:
        for number in range(4):
            made.put(verdict(f"Report {number}.", number > 0))
        made.count_hits([verdict("Report 0.", False)] * 12)
    return path


def lines(out: str) -> list[str]:
    return [" ".join(line.split()) for line in out.splitlines()]


def test_counts_shares_and_money_are_shown(command: Callable, store: Path) -> None:
    status, out, _ = command("verdicts", "show", store, "--prompt-price", 2.5, "--completion-price", 10)
    assert status == 0
    # 4 x 201,000 tokens asked: 0.8 M x 2.5 + 0.004 M x 10 = 2.04; three times that in hits
    assert "openai:gpt-4o 4 4 804,000 2.04" in lines(out)
    assert "criticality, prompt 1 75% 12 (75%) 2,412,000 6.12" in lines(out)
    assert "v.sqlite3: 4 verdicts, " in out
    assert "money" not in command("verdicts", "show", store)[1].splitlines()[0]


def test_a_damaged_row_is_said(command: Callable, store: Path) -> None:
    with sqlite3.connect(store) as db:
        db.execute("UPDATE verdicts SET verdict = 1 - verdict WHERE key = (SELECT min(key) FROM verdicts)")
    db.close()
    out = command("verdicts", "show", store)[1]
    assert "v.sqlite3: 3 verdicts" in out
    assert "warning: 1 row damaged" in out


def test_the_table_fits_into_eighty_columns(
    capsys: pytest.CaptureFixture[str], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VerdictStore(store) as opened:
        opened.count_hits([verdict("Report 0.", False)] * 100_000)
    monkeypatch.setattr("radflow.cli.screens.screen", Console(width=80, soft_wrap=True, emoji=False))
    show(store, prompt_price=2.5, completion_price=10)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines()[:4])) <= 80
    assert "100,012 (100%)" in out and "openai:gpt-4o" in out and "…" not in out


def test_out_and_in_again_and_again(command: Callable, store: Path) -> None:
    assert "wrote 4 verdicts to e.jsonl" in command("verdicts", "export", store, "e.jsonl")[1]
    status, out, _ = command("verdicts", "import", "new.sqlite3", "e.jsonl")
    assert (status, out) == (0, "new.sqlite3: 4 verdicts added, 0 known already\n")
    assert "0 verdicts added, 4 known already" in command("verdicts", "import", "new.sqlite3", "e.jsonl")[1]
    with VerdictStore(store) as theirs, VerdictStore(store.parent / "new.sqlite3") as ours:
        assert ours.scan() == theirs.scan()


def test_a_contradiction_is_said_and_what_is_there_stays(command: Callable, store: Path) -> None:
    with VerdictStore(store.parent / "other.sqlite3") as other:
        other.put(verdict("Report 0.", True))
    command("verdicts", "export", "other.sqlite3", "e.jsonl")
    out = command("verdicts", "import", store, "e.jsonl")[1]
    assert "0 verdicts added, 0 known already" in out
    assert "warning: 1 verdict in the store with the other answer" in out
    with VerdictStore(store) as opened:
        assert sum(one.verdict for one in opened.scan() if one) == 3


def test_texts_in_an_export_are_said(command: Callable, tmp_path: Path) -> None:
    with VerdictStore(tmp_path / "v.sqlite3", keep_texts=True) as made:
        made.put(verdict("Report.", True, keep_texts=True))
    out = command("verdicts", "export", "v.sqlite3", "e.jsonl")[1]
    assert "warning: 1 of them hold the texts of reports" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "none.sqlite3"), "none.sqlite3: no such store of verdicts"),
        (("show", "."), ".: no such store of verdicts"),
        (("show", "text.jsonl"), "text.jsonl: expected a store of verdicts (SQLite), got something else"),
        (("show", "empty"), "empty: expected a store of verdicts (SQLite), got something else"),
        (("show", "other.db"), "other.db: expected a file of verdicts, version 1, got another database"),
        (("show", "v.sqlite3", "--prompt-price", "2"), "expected both --prompt-price and"),
        (("export", "none.sqlite3", "e.jsonl"), "none.sqlite3: no such store of verdicts"),
        (("export", "v.sqlite3", "v.sqlite3"), "expected another file than the store itself"),
        (("export", "v.sqlite3", "text.jsonl/e.jsonl"), "text.jsonl/e.jsonl: cannot be written"),
        (("import", "new.sqlite3", "none.jsonl"), "none.jsonl: no such file"),
        (("import", "text.jsonl", "v.sqlite3"), "text.jsonl: expected a store of verdicts (SQLite)"),
        (("import", "v.sqlite3", "text.jsonl"), "text.jsonl:1: expected a JSON object"),
    ],
)
def test_what_is_missing_or_foreign_is_one_line_and_nothing_is_made_of_it(
    arguments: tuple[str, ...], message: str, command: Callable, store: Path
) -> None:
    folder = store.parent
    (folder / "text.jsonl").write_text("no store\n")
    (folder / "empty").touch()
    with sqlite3.connect(folder / "other.db") as db:
        db.execute("CREATE TABLE t (a)")
    db.close()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    status, out, err = command("verdicts", *arguments)
    assert (status, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
