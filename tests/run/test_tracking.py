"""What trackers are told: numbers by stage, nothing that could be text; and no run ends because of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker

from radflow.config import Recipe, load_recipe
from radflow.errors import MissingDependencyError, RecipeError, TrainingError
from radflow.run.pipeline import Pipeline
from radflow.run.starting import look_for_packages
from radflow.run.tracking import Trackers


class Remembering(GeneralTracker):
    """A tracker that keeps what it is told."""

    requires_logging_directory = False

    def __init__(self, name: str = "remembering", fails: bool = False) -> None:
        self.name = name
        self.fails = fails
        self.knobs: dict[str, Any] = {}
        self.told: list[tuple[int | None, dict[str, Any]]] = []
        self.defined: list[tuple[str, str]] = []
        super().__init__()

    @property
    def tracker(self) -> Remembering:
        return self

    def define_metric(self, name: str, step_metric: str) -> None:
        self.defined.append((name, step_metric))

    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        self.knobs = dict(values)

    def log(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        if self.fails:
            raise ConnectionError("no route to host\nmore")
        self.told.append((step, dict(values)))


def tracked(*trackers: GeneralTracker) -> tuple[Trackers, list[str]]:
    said: list[str] = []
    return Trackers(Accelerator(cpu=True, log_with=list(trackers)), Recipe(name="ward 7"), said.append), said


def test_numbers_go_out_by_stage_and_nothing_else_does() -> None:
    tracker = Remembering()
    trackers, said = tracked(tracker)
    trackers("sft", 6, {"loss": 0.5, "best": "a report", "gone": float("nan"), "absent": None})
    trackers("rft", 0, {"reward/syntax": 0.25, "ids": ["s1"]})
    assert tracker.told == [(6, {"sft/loss": 0.5}), (0, {"rft/reward.syntax": 0.25})]
    assert tracker.knobs["rft.epsilon"] == 0.2
    assert all(isinstance(value, int | float) for value in tracker.knobs.values())
    assert said == []


def test_where_steps_may_not_fall_each_stage_has_its_own_axis() -> None:
    tracker = Remembering(name="wandb")
    trackers, _ = tracked(tracker)
    trackers("sft", 6, {"loss": 0.5})
    trackers("rft", 0, {"kl": 0.0})
    assert tracker.told == [(None, {"sft/loss": 0.5, "sft/step": 6}), (None, {"rft/kl": 0.0, "rft/step": 0})]
    assert ("rft/*", "rft/step") in tracker.defined


def test_a_tracker_that_fails_is_left_out_and_the_others_go_on() -> None:
    broken, whole = Remembering(name="broken", fails=True), Remembering()
    trackers, said = tracked(broken, whole)
    for step in (1, 2):
        trackers("sft", step, {"loss": 0.5})
    assert [step for step, _ in whole.told] == [1, 2]
    assert said == ["broken: left out from here on, as it failed (no route to host)"]


def test_a_tracker_that_cannot_begin_stops_the_run_in_one_line() -> None:
    class NotLoggedIn(Remembering):
        def start(self) -> None:
            raise PermissionError("no API key")

    trackers, _ = tracked(NotLoggedIn())
    with pytest.raises(TrainingError, match=r"could not begin \(no API key\); set it up, or start again"):
        trackers("sft", 1, {"loss": 0.5})


def test_a_name_that_is_no_tracker_is_refused(recipe: Path) -> None:
    with pytest.raises(RecipeError, match=r"track.*'tensorboard', 'wandb', 'mlflow' or 'trackio'"):
        load_recipe(recipe, {"track": "tensorbord"})
    assert load_recipe(recipe, {"track": "mlflow, trackio"}).track == ("mlflow", "trackio")


def test_a_tracker_that_is_not_installed_is_said_before_the_run(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    knobs = load_recipe(recipe, {"track": "trackio", "exploration.bertscore": "0"})
    with pytest.raises(MissingDependencyError, match=r"needs the package trackio.*: pip install trackio"):
        look_for_packages(knobs)


@pytest.mark.slow
def test_a_run_tells_each_line_of_its_metrics(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Remembering()
    monkeypatch.setattr(
        "radflow.run.pipeline.make_accelerator", lambda *_, **__: Accelerator(cpu=True, log_with=[tracker])
    )
    knobs = load_recipe(recipe, {"out": str(tmp_path / "run"), "data.count": "30"})
    pipeline = Pipeline(knobs)
    pipeline.prepare()
    assert tracker.told == []
    pipeline.sft()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [step for step, _ in tracker.told] == [row["step"] for row in rows]
    names = {f"sft/{name}" for name, value in rows[-1].items() if isinstance(value, float)}
    assert tracker.told[-1][1].keys() == names
    assert {"sft/grad_norm", "sft/learning_rate", "sft/tokens_per_second", "sft/peak_memory_gib"} <= names
