"""``--dry-run``: everything is tried, nothing is touched."""

from __future__ import annotations

import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from radflow.config import Recipe
from radflow.run.rehearsal import _duration
from radflow.run.starting import looks

Command = Callable[..., tuple[int, str, str]]
CHECKS = (
    *looks(Recipe()),
    *("run's folder", "studies", "policy", "prompts", "reports", "SFT step", "exploration", "RFT step"),
    "time of the run",
)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders are made; in the end there is none left."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.glob("radflow-*"))


def states(out: str) -> dict[str, str]:
    """The state of each check in a printed table."""
    found = re.findall(r"^ ?(.+?)  +(ok|failed|not tried)  +", out, flags=re.MULTILINE)
    return {name.strip(): state for name, state in found}


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_dry_run_tries_every_step_and_touches_nothing_and_sends_no_text(
    command: Command, recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    (run / "stages").mkdir(parents=True)
    (run / "stages" / "prepare.json").write_text("{}")
    (run / "recipe.toml").write_text("name = 'mine'")
    before = files(run)
    with socket.create_server(("127.0.0.1", 0)) as server:
        judge = (
            "--reward.judge",
            "openai:m",
            "--judge.base-url",
            f"http://127.0.0.1:{server.getsockname()[1]}/v1",
        )
        knobs = ("--sft.keep", "diagnosis", *judge)  # with one validation study, which may have no label
        status, out, err = command("run", recipe, "--dry-run", "--out", "run", *knobs)
        server.settimeout(5)
        connection, _ = server.accept()
        with connection:
            assert connection.recv(100) == b""  # somebody looked whether it is there, and said nothing
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert (status, err) == (0, ""), out
    assert states(out) == dict.fromkeys(CHECKS, "ok")
    assert re.search(r"LlavaForConditionalGeneration, 0\.\d M parameters", out)
    assert re.search(r"at most \d+ tokens of 2,048 allowed, 8 of them of images", out)
    assert re.search(r"[\d.]+ s per step of 2 groups of 4, [\d.]+ s per group", out)
    assert re.search(
        r"about \d+ (s|min): prepare .*, sft .*, predict .*, rft .*, generate .*\(\d+ SFT steps", out
    )
    assert "done: prepare" in out
    assert files(run) == before


def test_what_fails_is_said_and_all_else_is_looked_at(command: Command, recipe: Path, tmp_path: Path) -> None:
    status, out, err = command("rft", recipe, "--dry-run", "--policy.model", "./modl", "--out", "run")
    assert status == 1
    assert err == "error: the dry run failed at: model, run's folder; the table says why\n"
    said = states(out)
    assert [name for name in CHECKS if said[name] == "ok"] == ["data", "packages", "judge", "disk", "studies"]
    assert said["policy"] == said["RFT step"] == "not tried"
    assert "./modl: no such folder" in out
    assert "the stage 'exploration' is not done; run it first" in out
    assert not (tmp_path / "run").exists()


def test_a_prompt_that_is_too_long_is_found_before_the_first_step(command: Command, recipe: Path) -> None:
    status, out, _ = command("sft", recipe, "--dry-run", "--policy.max_prompt_tokens", 5, "--out", "run")
    assert status == 1
    said = states(out)
    assert (said["policy"], said["prompts"], said["SFT step"]) == ("ok", "failed", "not tried")
    assert "more than the 5 of policy.max_prompt_tokens" in out


def test_what_nobody_expected_is_a_line_too(
    command: Command, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of a library\nand more")

    monkeypatch.setattr("radflow.run.first_studies.open_source", broken)
    status, out, err = command("run", recipe, "--dry-run")
    assert (status, states(out)["studies"]) == (1, "failed")
    assert "ZeroDivisionError: of a library" in out
    assert "Traceback" not in out + err


def test_a_model_of_the_hub_is_not_fetched(
    command: Command, recipe: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import HfApi, constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    weights = SimpleNamespace(rfilename="a.safetensors", size=7_500_000_000)
    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: SimpleNamespace(siblings=[weights]))
    status, out, _ = command("run", recipe, "--dry-run", "--policy.model", "org/model")
    assert status == 0
    assert "org/model: on the hub, 7.5 GB to fetch" in out
    assert "`hf download org/model`, then this measures it too" in out
    assert states(out)["policy"] == "not tried"
    assert not (tmp_path / "hub").exists()


def test_several_processes_are_refused(
    command: Command, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    _, _, err = command("run", recipe, "--dry-run")
    assert "--dry-run: expected one process, got several" in err


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (5999, "100 min"), (360_000, "100.0 h")])
def test_durations_are_read_easily(seconds: float, words: str) -> None:
    assert _duration(seconds) == words
