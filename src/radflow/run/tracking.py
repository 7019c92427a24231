"""Experiment trackers, through accelerate's own ``log_with``: TensorBoard, Weights & Biases, MLflow, trackio.

They get numbers and nothing else: what ``metrics.jsonl`` holds of each step, and the recipe's numbers. No
report, no study id, no path, no line of the log. Who and where (user, host) they note by themselves.
``metrics.jsonl`` stays the record: after a kill a tracker may be told of a step twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from accelerate import Accelerator

from radflow.config import Recipe
from radflow.errors import TrainingError

PROJECT = "radflow"
"""What trackers gather runs under; a run has the recipe's name."""
_QUIET = {"console": "off", "disable_git": True, "disable_code": True, "x_disable_meta": True}
"""What Weights & Biases would send by itself: the terminal's lines, code, and the command with its paths."""


class Trackers:
    """Tells the recipe's trackers of each step. They begin with the first step, not with the run.

    A tracker that cannot begin stops the run, which has hardly begun either. One that fails later is left
    out from there on: training does not stop for it.

    Args:
        accelerator: made with ``log_with``.
        recipe: names the run.
        say: told of a tracker that failed.
    """

    def __init__(self, accelerator: Accelerator, recipe: Recipe, say: Callable[[str], None]) -> None:
        self._accelerator, self._recipe, self._say = accelerator, recipe, say
        self._begun = False

    def __call__(self, stage: str, step: int, values: Mapping[str, Any]) -> None:
        """Pass on the numbers of a step, by stage: ``rft/kl``, ``rft/reward.syntax``."""
        if not self._begun:
            try:
                self._begin()
            except Exception as error:  # theirs
                raise TrainingError(
                    f"track: a tracker could not begin ({_first_line(error)}); set it up, or start again "
                    "without it: what is done stays done"
                ) from error
            self._begun = True
        # MLflow may keep "a" as a file, and then there is no "a/b".
        numbers = {f"{stage}/{name.replace('/', '.')}": value for name, value in _numbers(values)}
        for tracker in list(self._accelerator.trackers):
            # Weights & Biases drops steps below its last, and each stage counts from its own beginning.
            own_axis = tracker.name == "wandb"
            told = numbers | ({f"{stage}/step": step} if own_axis else {})
            at = None if own_axis else step
            try:
                tracker.log(told, step=at)
            except Exception as error:  # theirs, and whatever it is, training goes on
                self._accelerator.trackers.remove(tracker)
                self._say(f"{tracker.name}: left out from here on, as it failed ({_first_line(error)})")

    def _begin(self) -> None:
        name, out = self._recipe.name, str(self._recipe.out)
        self._accelerator.init_trackers(
            PROJECT,
            config=dict(_flat(self._recipe.model_dump(mode="json"))),
            init_kwargs={
                "wandb": {"name": name, "dir": out, "settings": _QUIET},
                "mlflow": {"run_name": name, "tags": {"mlflow.source.name": PROJECT}},
                "trackio": {"name": name},
            },
        )
        for tracker in self._accelerator.trackers:
            if tracker.name == "wandb":
                for stage in ("sft", "rft"):
                    tracker.tracker.define_metric(f"{stage}/*", step_metric=f"{stage}/step")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, int | float) and math.isfinite(value):
            yield name, value


def _flat(section: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a recipe by their dotted names.

    >>> dict(_flat({"seed": 0, "name": "ward 7", "rft": {"beta": 0.04}}))
    {'seed': 0, 'rft.beta': 0.04}
    """
    yield from ((before + name, value) for name, value in _numbers(section))
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
