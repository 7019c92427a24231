"""A recipe so small that the whole workflow takes seconds, and the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

SMALL = """
name = "small"
threads = 1
[data]
count = 60
image_size = 64
[policy]
max_new_tokens = 12
lora_rank = 2
[policy.tiny]
image_size = 32
vision_width = 32
text_width = 32
vision_layers = 1
text_layers = 2
heads = 2
vocabulary = 600
[sft]
epochs = 1
batch_size = 8
warmup_steps = 1
validate_every = 2
checkpoint_every = 2
[exploration]
strategy = "balanced"
[rft]
studies_per_step = 2
steps = 2
validate_every = 1
validation_studies = 4
checkpoint_every = 1
[evaluation]
studies = 8
resamples = 50
cases = 3
"""


def _fixtures_of(path: Path) -> ModuleType:
    """The fixtures of another folder: tests are no packages, and a conftest serves its own folder only."""
    spec = spec_from_file_location(f"fixtures_of_{path.parent.name}", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_judges = _fixtures_of(Path(__file__).parents[1] / "judges" / "conftest.py")
fake, loopback_only, _socket_watch = _judges.fake, _judges.loopback_only, _judges._socket_watch

Ran = subprocess.CompletedProcess[str]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8", "COLUMNS": "200"}


@pytest.fixture
def radflow(tmp_path: Path, environment: dict[str, str]) -> Callable[..., Ran]:
    """Run a command in ``tmp_path``, as a user would."""

    def radflow(*arguments: object) -> Ran:
        return subprocess.run(
            [sys.executable, "-m", "radflow", *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return radflow


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process, from ``tmp_path``: exit status, standard output, standard error."""
    from rich.console import Console

    from radflow.cli import app

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "200")
        plain = {"width": 200, "soft_wrap": True, "highlight": False, "emoji": False}
        monkeypatch.setattr(app, "screen", Console(**plain))
        monkeypatch.setattr(app, "errors", Console(stderr=True, **plain))
        status = 0
        try:
            app.main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return command
