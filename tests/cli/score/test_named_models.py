"""Metrics with their models, through the command: a server that answers, and models that are not there."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

GREEN = "[Clinically Significant Errors]:\n(b) Missing: {}. x\n\n[Matched Findings]:\n1. x"
ROWS = [
    ("a", "Left effusion.", "Left effusion."),
    ("b", "Clear.", "Edema."),
    ("c", "Stable.", "Stable, new."),
]


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    path = tmp_path / "p.csv"
    with path.open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["id", "generated_findings", "reference_findings"])
        write.writerows(ROWS)
    return path


def column(path: Path, name: str) -> list[float]:
    with path.open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def test_green_behind_an_endpoint(command: Callable, reports: Path, fake, tmp_path: Path) -> None:
    server = fake.start(lambda asked: fake.say(GREEN.format("3" if "Edema" in asked.question else "0")))
    arguments = ("score", reports, "--metrics", "temporal_f1,green:openai:m", "--out", "s")
    status, out, err = command(*arguments, "--judge.base-url", server.url)
    assert status == 0, err
    assert "GREEN (m) ↑" in out
    assert "Temporal Entity F1 ↑" in out
    assert "judge openai:m: " in err
    assert column(tmp_path / "s" / "scores.csv", "green") == [1.0, 0.25, 1.0]
    assert column(tmp_path / "s" / "scores.csv", "temporal_f1") == pytest.approx([1.0, 1.0, 2 / 3])
    found = json.loads((tmp_path / "s" / "scores.json").read_text())["metrics"]["green"]
    assert (found["label"], found["reader"], found["mean"]) == ("GREEN (m)", "m", 0.75)
    assert "GREEN (m)" in (tmp_path / "s" / "report.html").read_text()
    asked = len(server.asked)
    assert command(*arguments, "--judge.base-url", server.url)[0] == 0
    assert len(server.asked) == asked  # all answers were kept


def test_an_endpoint_of_nonsense_ends_the_command(
    command: Callable, reports: Path, fake, tmp_path: Path
) -> None:
    server = fake.start(lambda asked: fake.say("Looks fine to me."))
    arguments = ("--metrics", "green:openai:m", "--judge.base-url", server.url, "--out", "s")
    status, _, err = command("score", reports, *arguments)
    assert status == 1
    assert "not in the form that was asked for" in err
    assert not (tmp_path / "s" / "scores.csv").exists()


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ("green", "green needs GREEN-radllama2-7b or another model"),
        ("crimson", "crimson:openai:MODEL"),
        ("ratescore", "ratescore:NER+ENCODER"),
        ("green:nowhere", "causal language model at nowhere"),
        ("ratescore:nowhere", "NER+ENCODER"),
        ("ratescore:nowhere+nowhere", "model folder at nowhere"),
        ("bleu2:nowhere", "expected bleu2 alone"),
        ("crimson:nowhere", "expected openai:<model>"),
        ("green:openai:m,green:openai:n", "one model of green"),
        ("grene:nowhere", "Did you mean 'green'"),
        ("crimson:openai:m", "pip install --no-deps crimson-score"),
    ],
)
def test_bad_models_stop_before_anything_is_scored(
    command: Callable, reports: Path, metrics: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "CRIMSON", None)
    status, _, err = command("score", reports, "--metrics", metrics)
    assert status == 1
    assert said in " ".join(err.split())
