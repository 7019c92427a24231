"""What both sides of ``rft_step.py`` have in common: clock, memory, settings, reward."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

PHASES = ("sample", "score", "old", "ref", "update")
EPSILON, BETA, RATE, NORM = 0.2, 0.04, 1e-3, 1.0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Of one comparison.

    Attributes:
        model: a name in ``rft_models.SHAPES``.
        prefix: tokens of the prompt, pictures included.
        completion: tokens of each completion.
        group: completions per study.
        inner: optimiser steps on each group.
        checkpointing: activations are computed again in the backward pass.
        device: ``cpu`` in float32, ``cuda`` in bfloat16.
    """

    model: str
    prefix: int
    completion: int
    group: int
    inner: int = 2
    checkpointing: bool = False
    device: str = "cpu"

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.device == "cuda" else torch.float32


def reward(text: str) -> float:
    """Share of even words: cheap, and different for different completions."""
    words = text.split()
    return sum(word[-1] in "02468" for word in words) / max(1, len(words))


class Clock:
    """Seconds a phase, step by step.

    On a CPU those that this process computed (one thread: the wall's, less what other users of the machine
    took); on a GPU the wall's, with the device's queue drained.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._open: dict[str, float] = defaultdict(float)
        self.steps: list[dict[str, float]] = []

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        start = self.now()
        yield
        self._open[name] += self.now() - start

    def now(self) -> float:
        if self._device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def add(self, name: str, seconds: float) -> None:
        self._open[name] += seconds

    def so_far(self) -> float:
        """Seconds in all phases of the open step."""
        return sum(self._open[name] for name in PHASES)

    def turn(self, rest: str | None = None) -> None:
        """The step is over; what no phase has counted goes to ``rest``."""
        if rest is not None:
            self.add(rest, self._open["whole"] - self.so_far())
        self.steps.append({name: self._open[name] for name in (*PHASES, "whole")})
        self._open.clear()

    def wrap(self, owner: Any, method: str, phase: str) -> None:
        """Time every call of a method of one object."""
        inner = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.phase(phase):
                return inner(*args, **kwargs)

        setattr(owner, method, timed)


class Memory:
    """Peak of this process above where it stood: resident on a CPU (Linux), allocated by torch on a GPU."""

    def __init__(self, device: str) -> None:
        self._device = device
        self.standing = self._now()
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> int:
        """Bytes."""
        if self._device == "cuda":
            return torch.cuda.max_memory_allocated() - self.standing
        return self._status("VmHWM") - self.standing

    def _now(self) -> int:
        return torch.cuda.memory_allocated() if self._device == "cuda" else self._status("VmRSS")

    @staticmethod
    def _status(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def trainable(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]
