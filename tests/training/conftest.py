"""A dozen studies to train on, one process, and how to look at what a stage wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from radflow.config import Recipe, make_recipe
from radflow.files import read_jsonl
from radflow.studies import Study
from radflow.workspace import Workspace

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

Knobs = dict[str, Any]


@pytest.fixture(scope="session")
def dozen(studies: list[Study]) -> list[Study]:
    """The three studies four times over, as twelve."""
    return [replace(s, study_id=f"{s.study_id}-{i}") for i in range(4) for s in studies]


@pytest.fixture
def accelerator() -> Accelerator:
    from accelerate import Accelerator

    return Accelerator(cpu=True)


@pytest.fixture
def open_run(tmp_path: Path, knobs: Any) -> Callable[..., tuple[Workspace, Recipe]]:
    """Open the run ``name`` with some knobs; the same name again is the same folder."""

    def open_run(name: str = "run", **sections: Knobs) -> tuple[Workspace, Recipe]:
        recipe = make_recipe({**sections, "policy": knobs.model_dump()})
        return Workspace(tmp_path / name, recipe), recipe

    return open_run


@pytest.fixture
def rows() -> Callable[[Workspace], list[Knobs]]:
    """The lines of ``metrics.jsonl`` without what depends on the machine's speed."""

    def rows(workspace: Workspace) -> list[Knobs]:
        lines = read_jsonl(workspace.path("metrics.jsonl"))
        of_machine = ("seconds", "tokens_per_second", "peak_memory_gib")
        return [{k: v for k, v in row.items() if k not in of_machine} for row in lines]

    return rows


@pytest.fixture
def weights() -> Callable[[Path], dict[str, torch.Tensor]]:
    """All tensors of a saved model or adapter."""
    from safetensors.torch import load_file

    def weights(folder: Path) -> dict[str, torch.Tensor]:
        return {k: v for file in sorted(folder.glob("*.safetensors")) for k, v in load_file(file).items()}

    return weights


class Stop(Exception):
    """Stands for a kill in the middle of a stage."""


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Workspace, int], type[Exception]]:
    """Make a workspace raise when it is to log a step, and never again."""

    def stop_at(workspace: Workspace, step: int) -> type[Exception]:
        log = workspace.log

        def stopping(stage: str, at: int, values: Any) -> None:
            if at == step:
                raise Stop
            log(stage, at, values)

        monkeypatch.setattr(workspace, "log", stopping)
        return Stop

    return stop_at
