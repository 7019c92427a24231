import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

RECORDS = [
    {
        "study_id": name,
        "prediction": f"Findings: {findings} Impression: {impression}",
        "reference": "Findings: Lungs are clear. Impression: Normal.",
    }
    for name, findings, impression in (
        ("a", "Small left effusion.", "Left effusion."),
        ("b", "No effusion.", "Left effusion."),
        ("c", "Lungs are clear.", "Normal."),
    )
]


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    return path


@pytest.fixture
def server(fake, loopback_only):
    """A judge that says no to every effusion: the rules find that of ``a`` consistent."""

    def plan(asked):
        return fake.say(json.dumps({"answer": "no" if "effusion" in asked.question else "yes"}))

    return fake.start(plan)


def score(reports: Path, server, *more: object) -> tuple[object, ...]:
    judge = ("--judge", "openai:m", "--judge.base-url", server.url)
    return ("score", reports, *judge, "--metrics", "bleu2,consistency", *more)


def consistency(path: Path) -> list[float]:
    with path.open(newline="") as file:
        return [float(row["consistency"]) for row in csv.DictReader(file)]


def test_the_judge_s_column_carries_its_name(
    command: Callable, reports: Path, server, tmp_path: Path
) -> None:
    status, out, err = command(*score(reports, server, "--out", "s"))
    assert status == 0
    assert "Consistency (openai:m) ↑" in out
    assert "judge openai:m: " in err
    assert consistency(tmp_path / "s" / "scores.csv") == [0, 0, 1]
    found = json.loads((tmp_path / "s" / "scores.json").read_text())["metrics"]["consistency"]
    assert (found["label"], found["reader"]) == ("Consistency (openai:m)", "openai:m")
    assert "Consistency (openai:m)" in (tmp_path / "s" / "report.html").read_text()
    assert (tmp_path / "s" / "verdicts.sqlite3").is_file()
    command("score", reports, "--metrics", "consistency", "--out", "rules")
    assert consistency(tmp_path / "rules" / "scores.csv") == [1, 0, 1]


def test_the_same_report_is_asked_about_once(command: Callable, reports: Path, server) -> None:
    command(*score(reports, server, "--out", "s"))
    asked = [one.question for one in server.asked]
    assert len(set(asked)) == len([one for one in server.asked if one.before == 0])
    before = len(server.asked)
    command(*score(reports, server, "--out", "s"))
    assert len(server.asked) == before


@pytest.mark.parametrize(
    "other", [("--judge", "openai:n"), ("--judge.votes", "3", "--judge.temperature", "1")]
)
def test_chunks_of_another_judge_are_not_taken_over(
    other: tuple[str, ...], command: Callable, reports: Path, server, tmp_path: Path, monkeypatch
) -> None:
    """A run that stopped before it wrote its scores leaves chunks; only the same judge goes on from them."""
    monkeypatch.setattr("radflow.cli.score.scoring._write", stopped)
    keys = []
    same = ("--judge", "openai:m")
    for judge in (same, same, other):
        name = () if "--judge" in judge else same
        command("score", reports, *name, *judge, "--judge.base-url", server.url, "--out", "s")
        (folder,) = (tmp_path / "s" / ".partial").iterdir()
        keys.append(folder.name)
        assert np.load(folder / "000000.npz")["table"].shape[0] == 3
    assert keys[0] == keys[1] != keys[2]


def stopped(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--judge", "openai:m", "--metrics", "bleu2"), "--metrics leaves out; add consistency"),
        (("--judge.votes", "3"), "--judge.votes: expected --judge NAME too, got none"),
        (("--judge", "openai:m"), "the host 'api.openai.com'"),
        (("--judge", "oracle"), "Expected a judge among rules, openai:<model>, local:<folder>"),
        (("--metrix", "bleu2"), "--metrix: no such option. Did you mean 'metrics'?"),
    ],
)
def test_what_cannot_be_judged_is_one_line(
    arguments: tuple[str, ...], message: str, command: Callable, reports: Path, loopback_only
) -> None:
    status, out, err = command("score", reports, *arguments)
    assert (status, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1
