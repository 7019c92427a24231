"""The loop that SFT and RFT share: resume, step, validate, remember the best weights, checkpoint, save."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from radflow import config
from radflow.folders import replaced_folder
from radflow.policy import Policy, save_policy
from radflow.training.checkpoint import (
    load_checkpoint,
    restore_weights,
    save_checkpoint,
    trainable_weights,
)
from radflow.training.step_log import peak_bytes
from radflow.workspace import Workspace


class TrainingLoop(ABC):
    """A stage that trains; a subclass says what a step is, and what a validation.

    Args:
        workspace: the run's folder; checkpoints, metrics and the log go there.
        policy: what is trained and saved.
        accelerator: one process, or many.
        knobs: of the stage.
        module: the policy's model, alone or with a loss around it; its trainable weights are trained.
        steps: optimiser steps of SFT, rollouts of RFT; at most so many where a stage may end early.
        state: what a checkpoint holds beside the step, as JSON holds it.
        groups: of what trains, each with its ``scale`` on the learning rate; all alike when not given.
        weight_decay: of AdamW.

    Attributes:
        stage: name of its folder in the run, and in ``metrics.jsonl``.
    """

    stage: str

    def __init__(
        self,
        workspace: Workspace,
        policy: Policy,
        accelerator: Accelerator,
        knobs: config.Sft | config.Rft,
        module: nn.Module,
        *,
        steps: int,
        state: Mapping[str, Any],
        groups: list[dict[str, Any]] | None = None,
        weight_decay: float = 0.0,
    ) -> None:
        self.workspace, self.policy, self.accelerator = workspace, policy, accelerator
        self._validate_every, self._checkpoint_every = knobs.validate_every, knobs.checkpoint_every
        trainable = [p for p in module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(groups or trainable, lr=knobs.learning_rate, weight_decay=weight_decay)
        self.model, self.optimizer = accelerator.prepare(module, optimizer)
        self.inner = accelerator.unwrap_model(self.model)
        self.state: dict[str, Any] = {"step": 0, "steps": steps, **state}
        self.best: dict[str, Tensor] | None = None

    @property
    def steps(self) -> int:
        """How many there will be, as far as is known."""
        return self.state["steps"]

    @abstractmethod
    def rate(self, step: int) -> float:
        """The learning rate of a step."""

    @abstractmethod
    def step(self, step: int) -> tuple[dict[str, Any], int]:
        """Train; what the log says of it, and the tokens of reports that this process learnt from."""

    @abstractmethod
    def validate(self, done: int) -> tuple[dict[str, float], bool]:
        """Figures after so many steps, if it is time for them; and whether this is the best step so far."""

    @abstractmethod
    def conclude(self) -> None:
        """Say which step was kept."""

    def save(self, folder: Path) -> None:
        """Write the policy to a folder."""
        save_policy(self.policy, folder)

    def run(self) -> Path:
        """Go on from the checkpoint, if there is one, to the end; the folder of the best policy."""
        say, checkpoint = self.workspace.say, self.workspace.path(self.stage, "checkpoint")
        loaded = load_checkpoint(checkpoint, model=self.inner, optimizer=self.optimizer, say=say)
        if loaded is not None:
            self.state, self.best = loaded
            say(f"{self.stage}: picking up at step {self.state['step']} of {self.steps}")
        self.workspace.forget_metrics(self.stage, after=-1 if loaded is None else self.state["step"])
        if loaded is None and (figures := self._validated(0)):
            self.workspace.log(self.stage, 0, figures)
        with self.workspace.track(self.stage.upper(), self.steps) as advance:
            advance(self.state["step"])
            while (step := self.state["step"]) < self.steps:
                row, done = self._trained(step), step + 1
                if self._due(done, self._validate_every):
                    row |= self._validated(done)
                self.state["step"] = done
                self.workspace.log(self.stage, done, row)
                if self.accelerator.is_main_process and self._due(done, self._checkpoint_every):
                    save_checkpoint(
                        checkpoint,
                        model=self.inner,
                        optimizer=self.optimizer,
                        state=self.state,
                        best=self.best,
                    )
                advance(1)
        return self._finished()

    def _trained(self, step: int) -> dict[str, Any]:
        begun, rate = time.perf_counter(), self.rate(step)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate * parameters.get("scale", 1.0)
        row, tokens = self.step(step)
        row |= {"learning_rate": rate, "seconds": time.perf_counter() - begun}
        if tokens:
            row["tokens_per_second"] = self.accelerator.num_processes * tokens / row["seconds"]
        return row | {"peak_memory_gib": peak_bytes() / 1024**3}

    def _validated(self, done: int) -> dict[str, float]:
        figures, best = self.validate(done)
        if best:
            self.best = trainable_weights(self.inner)
        return figures

    def _due(self, done: int, every: int) -> bool:
        return done % every == 0 or done == self.steps

    def _finished(self) -> Path:
        """Put the best weights back and save the policy."""
        if self.best is not None:
            restore_weights(self.inner, self.best)
        folder = self.workspace.path(self.stage, "model")
        if self.accelerator.is_main_process:
            with replaced_folder(folder) as fresh:
                self.save(fresh)
            self.conclude()
        self.accelerator.wait_for_everyone()
        return folder
