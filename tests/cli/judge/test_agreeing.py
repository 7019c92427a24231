import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

REPORTS = """study_id,findings,impression
a,"Heart is enlarged.","Cardiomegaly."
b,"The lungs are clear.",
c,,
d,"No pleural effusion.","Left pleural effusion."
e,"Small left pleural effusion.","Left pleural effusion."
"""


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    path = tmp_path / "r.csv"
    path.write_text(REPORTS)
    return path


@pytest.fixture
def server(fake, loopback_only):
    """Two models: ``m`` says no to effusions, ``yes`` says yes to everything."""

    def plan(asked):
        yes = asked.body["model"] == "yes" or "effusion" not in asked.question
        return fake.say(json.dumps({"answer": "yes" if yes else "no"}))

    return fake.start(plan)


def test_two_judges_in_one_table(command: Callable, reports: Path, server, tmp_path: Path) -> None:
    at = ("--judge.base-url", server.url)
    status, out, err = command(
        "agree", reports, "--judge", "rules", "--judge", "openai:m", *at, "--out", "a.csv"
    )
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert status == 0
    assert lines[0] == "Consistency of 3 reports"
    assert "rules: follows 1 1" in lines
    assert "rules: does not 0 1" in lines
    assert any(line.startswith("equal answers 0.667") for line in lines)
    assert "2 reports without both sections were not asked about" in lines
    assert "judge openai:m: 3 questions asked" in err
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["study_id", "rules", "openai:m"],
        ["a", "yes", "yes"],
        ["b", "", ""],
        ["c", "", ""],
        ["d", "no", "no"],
        ["e", "yes", "no"],
    ]


def test_one_json_object_with_nothing_beside_it(command: Callable, reports: Path, server) -> None:
    at = ("--judge.base-url", server.url)
    _, out, _ = command("agree", reports, "--judge", "openai:m", "--judge", "openai:yes", *at, "--json")
    found = json.loads(out)
    assert found["judges"] == ["openai:m", "openai:yes"]
    assert [found[cell] for cell in ("yes_yes", "yes_no", "no_yes", "no_no")] == [1, 0, 2, 0]
    assert (found["question"], found["skipped"]) == ("consistency", 2)
    assert found["raw"]["value"] == pytest.approx(1 / 3)
    assert set(found["kappa"]) == {"value", "low", "high"}


def test_a_measure_that_is_undefined_is_null_and_said(command: Callable, tmp_path: Path, server) -> None:
    (tmp_path / "r.txt").write_text("Findings: Clear. Impression: Normal.\n")
    arguments = ("agree", "r.txt", "--judge", "openai:m", "--judge", "openai:yes")
    arguments += ("--judge.base-url", server.url)
    assert json.loads(command(*arguments, "--json")[1])["kappa"] == dict.fromkeys(("value", "low", "high"))
    out = command(*arguments)[1]
    assert "kappa is undefined: both judges give one and the same answer throughout" in out
    assert "nan" not in out.split()


def test_the_other_question_is_about_whole_reports(command: Callable, reports: Path, server) -> None:
    at = ("--judge.base-url", server.url)
    both = ("--judge", "openai:m", "--judge", "openai:yes")
    status, out, _ = command("agree", reports, *both, *at, "--question", "criticality")
    assert status == 0
    assert "Criticality of 4 reports" in out
    assert "1 reports without text were not asked about" in out
    asked = [one.question for one in server.asked if one.body["model"] == "m" and "Heart" in one.question]
    assert "Findings: Heart is enlarged. Impression: Cardiomegaly." in asked[0]


def test_one_model_asked_in_two_ways(command: Callable, reports: Path, server, tmp_path: Path) -> None:
    twice = ("--judge", "openai:m", "--judge", "openai:m", "--judge.base-url", server.url)
    status, _, err = command("agree", reports, *twice)
    assert status == 1
    assert "expected two different judges, got openai:m twice" in err
    apart = ("--second.votes", 3, "--second.temperature", 0.7, "--out", "a.csv")
    assert command("agree", reports, *twice, *apart)[0] == 0
    header = (tmp_path / "a.csv").read_text().splitlines()[0]
    assert header == "study_id,openai:m (first),openai:m (second)"
    assert len(server.asked) >= 3 + 2 * 3  # a majority of three takes two votes or three


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.csv", "--judge", "rules", "--judge", "openai:m"), "none.csv: no such file"),
        (("r.csv", "--judge", "rules"), "expected two judges, got 1"),
        (("r.csv", "--judge", "rules", "--judge", "rule"), "got 'rule'. Did you mean 'rules'?"),
        (("r.csv", "--judge", "rules", "--judge", "openai:m"), "the host 'api.openai.com'"),
        (("r.csv", "--judge", "rules", "--judge", "openai:m", "--third.votes", "3"), "no such option"),
        (("r.csv", "--judge", "rules", "--judge", "openai:m", "--column", "x"), "expected a column 'x'"),
        (("plain.txt", "--judge", "rules", "--judge", "openai:m"), "found none; 1 without both sections"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    arguments: tuple[str, ...], message: str, command: Callable, reports: Path, loopback_only
) -> None:
    (reports.parent / "plain.txt").write_text("No edema.\n")
    status, out, err = command("agree", *arguments)
    assert (status, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1
