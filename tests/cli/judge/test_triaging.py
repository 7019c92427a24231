import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from radflow.reports import Report
from radflow.studies import Study
from radflow.studies.manifest import read_manifest, write_manifest

TEXTS = {
    "s0": "Lungs are clear. No acute disease.",
    "s1": "Large left effusion.",
    "s2": "Old rib fracture.",
    "s3": "Heart size is normal. Lungs are clear.",
}
SPLITS = ("train", "train", "validate", "test")
CRITICAL = {"s0", "s1"}
"""What the fake judge says; the rules say s1 and s2."""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Four studies whose images are not there: nobody needs them."""
    path = tmp_path / "data" / "studies.jsonl"
    studies = [
        Study(
            study_id=name,
            patient_id=f"p{name}",
            images=(path.parent / "images" / f"{name}.png",),
            reference=Report(text=text, findings=None, impression=None),
            indication="Cough.",
            split=split,
            truth={"mesh": ["normal"]},
        )
        for (name, text), split in zip(TEXTS.items(), SPLITS, strict=True)
    ]
    studies[0] = replace(studies[0], critical=True, critical_by="dr-a")
    write_manifest(path, studies)
    return path


@pytest.fixture
def server(fake, loopback_only):
    """A judge that knows the texts."""
    ids = {text: name for name, text in TEXTS.items()}

    def plan(asked):
        name = next(name for text, name in ids.items() if text in asked.question)
        return fake.say(json.dumps({"answer": "yes" if name in CRITICAL else "no"}))

    return fake.start(plan)


def asking(server, model: str = "m") -> tuple[str, ...]:
    return ("--judge", f"openai:{model}", "--judge.base-url", server.url)


def objects(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_judge_s_word_replaces_what_was_there_and_nothing_else_changes(
    command: Callable, manifest: Path, server
) -> None:
    before = objects(manifest)
    status, out, err = command("triage", manifest, *asking(server))
    assert status == 0
    after = objects(manifest)
    assert {row["study_id"] for row in after if row["critical"]} == CRITICAL
    assert {row["critical_by"] for row in after} == {"openai:m"}
    for old, new in zip(before, after, strict=True):
        for row in (old, new):
            row.pop("critical", None), row.pop("critical_by", None)
        assert json.dumps(old) == json.dumps(new)  # the order of fields too
    assert after[0]["images"] == ["images/s0.png"]
    assert "replaced annotations: 1 by dr-a" in out
    assert "judge openai:m: 4 questions asked" in err


def test_another_manifest_leaves_the_first_as_it_is_and_finds_its_images(
    command: Callable, manifest: Path, server, tmp_path: Path
) -> None:
    before = manifest.read_bytes()
    assert command("triage", manifest, *asking(server), "--out", "new/s.jsonl")[0] == 0
    assert manifest.read_bytes() == before
    found = read_manifest(tmp_path / "new" / "s.jsonl", check_images=False).studies
    assert found[0].images == read_manifest(manifest, check_images=False).studies[0].images
    assert (tmp_path / "new" / "verdicts.sqlite3").is_file()
    assert not (manifest.parent / "verdicts.sqlite3").exists()


def test_rules_and_judge_are_compared(command: Callable, manifest: Path, server, tmp_path: Path) -> None:
    _, out, _ = command("triage", manifest, *asking(server), "--differences", "d.csv")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "criticality-rules: critical 1 1" in lines
    assert "criticality-rules: normal 1 1" in lines
    assert any(line.startswith("equal answers 0.500 [0.150, 0.850]") for line in lines)
    assert "Cohen's kappa 0.000 [−0.980, 0.980]" in lines
    assert "all 4 50.0% 50.0%" in lines
    assert "train 2 50.0% 100.0%" in lines
    assert "validate 1 100.0% 0.0%" in lines
    assert "they differ on 2: s0, s2" in lines
    with (tmp_path / "d.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"study_id": "s0", "split": "train", "criticality-rules": "normal", "openai:m": "critical"},
        {"study_id": "s2", "split": "validate", "criticality-rules": "critical", "openai:m": "normal"},
    ]
    command("triage", manifest, *asking(server), "--differences", "d.csv", "--texts")
    assert TEXTS["s2"] in (tmp_path / "d.csv").read_text()


def test_what_was_asked_once_is_not_asked_again(command: Callable, manifest: Path, server) -> None:
    command("triage", manifest, *asking(server))
    asked, first = len(server.asked), manifest.read_bytes()
    status, _, err = command("triage", manifest, *asking(server))
    assert (status, len(server.asked), manifest.read_bytes()) == (0, asked, first)
    assert "0 questions asked" in err and "4 answered from the store" in err


def test_a_judge_that_fails_leaves_the_manifest_and_keeps_its_verdicts(
    command: Callable, manifest: Path, fake, loopback_only
) -> None:
    mended: list[bool] = []

    def plan(asked):
        fails = TEXTS["s2"] in asked.question and not mended
        return fake.status(400, {"code": "content_filter"}) if fails else fake.say('{"answer": "yes"}')

    server, before = fake.start(plan), manifest.read_bytes()
    arguments = ("triage", manifest, *asking(server))
    status, out, err = command(*arguments)
    assert (status, out, manifest.read_bytes()) == (1, "", before)
    assert "error: " in err
    mended.append(True)
    asked = len(server.asked)
    assert command(*arguments)[0] == 0
    assert [TEXTS["s2"] in one.question for one in server.asked[asked:]] == [True]
    assert all(row["critical"] for row in objects(manifest))


def test_after_a_kill_the_manifest_is_as_it_was_and_only_the_rest_is_asked(
    command: Callable, manifest: Path, fake, loopback_only, environment: dict[str, str]
) -> None:
    killed: list[bool] = []

    def plan(asked):
        hangs = len(server.asked) > 3 and not killed
        return fake.drip if hangs else fake.say('{"answer": "no"}')

    server, before = fake.start(plan), manifest.read_bytes()
    arguments = ("triage", str(manifest), *asking(server), "--judge.concurrency", "1")
    running = subprocess.Popen([sys.executable, "-m", "radflow", *arguments], env=environment)
    while len(server.asked) < 4 and running.poll() is None:
        time.sleep(0.01)
    running.kill()
    assert running.wait() == -signal.SIGKILL
    assert manifest.read_bytes() == before
    killed.append(True)
    status, _, err = command(*arguments)
    assert status == 0
    assert "1 questions asked" in err and "3 answered from the store" in err
    assert not any(row["critical"] for row in objects(manifest))


def test_a_bad_study_stops_it_as_none_may_be_lost(command: Callable, manifest: Path, server) -> None:
    manifest.write_text(manifest.read_text() + '{"study_id": "s9"}\n')
    before = manifest.read_bytes()
    status, _, err = command("triage", manifest, *asking(server))
    assert (status, manifest.read_bytes(), server.asked) == (1, before, [])
    assert "studies.jsonl:5: the field 'patient_id' is missing" in err


def test_the_rules_alone_are_no_comparison(command: Callable, manifest: Path) -> None:
    status, out, _ = command("triage", manifest, "--judge", "rules")
    assert status == 0
    assert {row["study_id"] for row in objects(manifest) if row["critical"]} == {"s1", "s2"}
    assert {row["critical_by"] for row in objects(manifest)} == {"criticality-rules"}
    assert "kappa" not in out and "differ" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.jsonl", "--judge", "openai:m"), "none.jsonl: no such manifest"),
        (("data/studies.jsonl", "--judge", "opnai:m"), "Did you mean 'openai'?"),
        (("data/studies.jsonl", "--judge", "openai:m"), "the host 'api.openai.com'"),
        (
            ("data/studies.jsonl", "--judge", "openai:m", "--judge.base-url", "https://llm.example.org/v1"),
            "the host 'llm.example.org'",
        ),
        (
            (
                *("data/studies.jsonl", "--judge", "openai:m", "--judge.allow-remote-text", "true"),
                *("--judge.hosts", "api.openai.com"),
            ),
            "expected a key in RADFLOW_JUDGE_KEY or OPENAI_API_KEY",
        ),
        (
            ("data/studies.jsonl", "--judge", "openai:m", "--judge.base-ulr", "x"),
            "--judge.base-ulr: no such option. Did you mean '--judge.base-url'?",
        ),
        (("data/studies.jsonl", "--judge", "openai:m", "--judge.votes", "many"), "judge.votes"),
        (("data/studies.jsonl", "--judge", "rules", "--diferences", "d"), "Did you mean 'differences'?"),
        (("data/studies.jsonl", "--judge", "rules", "--jugde.votes", "3"), "Did you mean 'judge'?"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_asks_nobody(
    arguments: tuple[str, ...],
    message: str,
    command: Callable,
    manifest: Path,
    monkeypatch: pytest.MonkeyPatch,
    loopback_only,
) -> None:
    for key in ("RADFLOW_JUDGE_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    before = manifest.read_bytes()
    status, out, err = command("triage", *arguments)
    assert (status, out, manifest.read_bytes()) == (1, "", before)
    assert message in err
    assert err.count("\n") == 1
