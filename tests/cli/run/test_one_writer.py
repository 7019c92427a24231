"""A folder that a command resumes has one writer; what kills left in it goes, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from radflow.studies import Study, write_manifest

_HOLDS = """
import sys
from pathlib import Path
from radflow.workspace import Hold
with Hold(Path(sys.argv[1]), folder=sys.argv[2] == "folder"):
    print("holding", flush=True)
    sys.stdin.read()
"""
PREDICTIONS = '{"study_id": "a", "prediction": "Clear lungs.", "reference": "Clear lungs."}\n'


@pytest.fixture
def commands(run: Path, studies: list[Study], tmp_path: Path) -> dict[str, tuple[object, ...]]:
    write_manifest(tmp_path / "m.jsonl", studies)
    (tmp_path / "p.jsonl").write_text(PREDICTIONS)
    return {
        "draft": ("draft", "--manifest", "m.jsonl", "--model", run, "--out", "out"),
        "score": ("score", "p.jsonl", "--metrics", "bleu2", "--out", "out"),
        "prepare": ("prepare", "carotid-phantom", "--count", 2, "--image-size", 64, "--out", "out"),
    }


@pytest.fixture
def held(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[None]:
    name = "out/studies.jsonl" if request.param == "file" else "out"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDS, tmp_path / name, request.param],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        yield
        process.communicate("")


@pytest.mark.parametrize(
    ("name", "held"), [("draft", "folder"), ("score", "folder"), ("prepare", "file")], indirect=["held"]
)
def test_a_second_start_is_one_line_and_writes_nothing(
    name: str, held: None, commands: dict[str, tuple[object, ...]], command: Callable, tmp_path: Path
) -> None:
    status, _, err = command(*commands[name])
    assert status == 1
    assert "another process is writing here (host " in err
    assert err.count("\n") == 1
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file() and p.suffix != ".lock"] == []


@pytest.mark.parametrize("name", ["draft", "score", "prepare"])
def test_what_kills_left_is_removed_and_the_umask_obeyed(
    name: str, commands: dict[str, tuple[object, ...]], command: Callable, tmp_path: Path
) -> None:
    folders = {"draft": ("", "drafts"), "score": ("",), "prepare": ("", "images")}[name]
    files = {"draft": "drafts.jsonl", "score": "scores.csv", "prepare": "studies.jsonl"}
    for folder in folders:
        place = tmp_path / "out" / folder
        place.mkdir(parents=True)
        (place / f".{files[name]}.0a1b2c3d.radflow").write_text("half")
        (place / ".mine").write_text("not ours")
    before = os.umask(0o077)
    try:
        status, _, err = command(*commands[name])
    finally:
        os.umask(before)
    assert status == 0, err
    made = [p for p in (tmp_path / "out").rglob("*") if p.is_file() and p.name != ".mine"]
    assert files[name] in {p.name for p in made}
    assert {p.stat().st_mode & 0o777 for p in made} == {0o600}
    assert not [p for p in made if p.name.startswith(".")]
    assert all((tmp_path / "out" / folder / ".mine").exists() for folder in folders)
