"""Reports in other languages than English, as each command meets them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

GERMAN = [("g1", "Kein Pneumothorax."), ("g2", "Kein Erguss rechts."), ("g3", "Keine Stauung.")]
ENGLISH = [(f"e{number}", "No pneumothorax. The heart is normal in size.") for number in range(7)]
MOSTLY = (
    "expected reports in English, the only language that the readers read; 3 of 3 reports (100.0%) look like"
)
SOME = "3 of 10 reports (30.0%) look like German: g1, g2, g3"


def reports(path: Path, rows: list[tuple[str, str]]) -> str:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("study_id", "report", "reference"))
        writer.writerows((study, text, text) for study, text in rows)
    return path.name


def manifest(path: Path, rows: list[tuple[str, str]]) -> str:
    lines = (
        {"study_id": study, "patient_id": study, "split": "train", "images": ["a.png"], "report": text}
        for study, text in rows
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path.name


def commands(rows: list[tuple[str, str]], folder: Path) -> dict[str, list[str]]:
    file = reports(folder / "r.csv", rows)
    return {
        "label": ["label", file],
        "score": ["score", file, "--metrics", "chexpert_f1"],
        "triage": ["triage", manifest(folder / "m.jsonl", rows), "--judge", "rules"],
    }


@pytest.mark.parametrize("name", ["label", "score", "triage"])
def test_a_file_that_is_mostly_german_is_an_error(name: str, command: Callable, tmp_path: Path) -> None:
    given = commands(GERMAN, tmp_path)[name]
    status, out, err = command(*given)
    assert (status, out) == (1, "")
    assert MOSTLY in err
    assert "--any-language" in err
    status, _, err = command(*given, "--any-language")
    assert status == 0
    assert "warning" in err


@pytest.mark.parametrize("name", ["label", "score", "triage"])
def test_a_few_german_reports_are_one_warning(name: str, command: Callable, tmp_path: Path) -> None:
    status, _, err = command(*commands(GERMAN + ENGLISH, tmp_path)[name])
    assert status == 0
    assert err.count(SOME) == (2 if name == "score" else 1)  # generated, and references


def test_labels_of_german_reports_are_blank(command: Callable, tmp_path: Path) -> None:
    file = reports(tmp_path / "r.csv", GERMAN + ENGLISH)
    _, out, _ = command("label", file)
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["Pneumothorax"] for row in rows] == [""] * 3 + ["0"] * 7
    assert {value for row in rows[:3] for value in row.values()} == {"g1", "g2", "g3", ""}
    _, out, _ = command("label", file, "--any-language")
    assert next(csv.DictReader(out.splitlines()))["Pneumothorax"] == "1"


def test_metrics_of_words_take_any_language(command: Callable, tmp_path: Path) -> None:
    status, _, err = command("score", reports(tmp_path / "r.csv", GERMAN), "--metrics", "bleu2")
    assert (status, err) == (0, "")


def test_two_judges_are_warned_of_and_the_rules_are_not_asked(command: Callable, tmp_path: Path) -> None:
    file = reports(tmp_path / "r.csv", GERMAN)
    asked = ("--judge", "rules", "--judge", "openai:x", "--question", "criticality")
    status, _, err = command("agree", file, *asked)
    assert status == 1
    assert MOSTLY in err
