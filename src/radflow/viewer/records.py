"""What a run's files hold, as types. `radflow.viewer.run_page.run_files` reads them.

``null`` and ``NaN`` both become NaN: a mean over no studies is not 0. Unknown keys are ignored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from radflow.evaluation.intervals import Interval, Number
from radflow.evaluation.results import Results, ShuffledImages

__all__ = ["Interval", "Results", "ShuffledImages"]

MarkKind = Literal["agree", "partly", "contradict", "extra", "missed"]
State = Literal[1, 0, -1] | None


@dataclass(frozen=True, kw_only=True)
class MetricLog:
    """``metrics.jsonl``: one mapping of floats per line, by stage and step."""

    lines: tuple[Mapping[str, Any], ...]

    def series(self, stage: str, key: str) -> list[tuple[float, float]]:
        """Return ``(step, value)`` by step. Of a step done twice (after a resume) the last counts."""
        values: dict[float, float] = {}
        for line in self.lines:
            if line["stage"] == stage and key in line:
                value = line[key]
                values[float(line["step"])] = float(value) if isinstance(value, int | float) else math.nan
        return sorted(values.items())


@dataclass(frozen=True, kw_only=True)
class SplitAndPicked:
    """The same quantity over the whole training split and over the studies that were picked."""

    split: Number
    picked: Number


@dataclass(frozen=True, kw_only=True)
class ScoreHistogram:
    """Counts between consecutive ``edges`` (one more edge than counts)."""

    edges: tuple[float, ...]
    split: tuple[int, ...]
    picked: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class HardCase:
    """One of the studies that decided first; ``best`` is a second report, where several were sampled."""

    study_id: str
    score: Number
    reference: str = ""
    prediction: str = ""
    best: str = ""
    metrics: Mapping[str, Number] = field(default_factory=dict)


def _with_metrics(row: Any) -> Any:
    """A hard case whose metrics, each a key of its own in the file, stand together."""
    words = ("study_id", "score", "reference", "prediction", "best")
    return (
        {**row, "metrics": {k: v for k, v in row.items() if k not in words}} if isinstance(row, dict) else row
    )


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """``exploration/summary.json``: which studies Target Exploration picked, and how they differ."""

    strategy: str
    picked_size: int
    split_size: int
    keep_percent: Number = math.nan
    threshold: Number = math.nan
    metrics: tuple[str, ...] = ()
    scores: ScoreHistogram | None = None
    critical_share: SplitAndPicked | None = None
    words: SplitAndPicked | None = None
    positives: SplitAndPicked | None = None
    spread: SplitAndPicked | None = None
    samples: int | None = None
    labels: Mapping[str, SplitAndPicked] = field(default_factory=dict)
    hardest: tuple[Annotated[HardCase, BeforeValidator(_with_metrics)], ...] = ()


@dataclass(frozen=True, kw_only=True)
class PickedAgain:
    """What a later round of exploration picked, between two rollouts of RFT."""

    step: int
    picked_size: int
    critical_share: Number = math.nan
    positives: Number = math.nan
    spread: Number = math.nan


@dataclass(frozen=True, kw_only=True)
class RftSummary:
    """``rft/summary.json``: the step that validation chose. Step 0 is the SFT model."""

    best_step: int | None = None
    steps: int | None = None
    rounds: tuple[PickedAgain, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Characters ``start`` to ``end`` of a text, and how they stand to the other report.

    Attributes:
        note: what is wrong with them, in words.
        words: of a sentence, the words at fault.
    """

    start: int
    end: int
    kind: MarkKind
    note: str = ""
    words: tuple[Mark, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SystemReport:
    """What one system wrote for a study, and what it earned. A part that was skipped is NaN or absent.

    ``missed`` marks what it leaves out, in the reference's ``canonical`` text.
    """

    text: str
    reward: Number = math.nan
    parts: Mapping[str, Number] = field(default_factory=dict)
    labels: Mapping[str, State] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()
    missed: tuple[Mark, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReferenceReport:
    """The radiologist's report, with its sections where they are known."""

    text: str
    canonical: str | None = None
    findings: str | None = None
    impression: str | None = None
    labels: Mapping[str, State] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One study of ``evaluation/cases.json``. Image paths are absolute or relative to the run."""

    study_id: str
    reference: ReferenceReport
    systems: Mapping[str, SystemReport]
    critical: bool | None = None
    critical_because: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    indication: str | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One statement of a report. Positions are characters of its text.

    Attributes:
        name: the observation or key term.
        state: 1 stated, -1 uncertain, 0 denied, ``None`` set aside.
        spans: the phrase, and what is said of it.
        cue: the words that deny, hedge or set aside.
        decisive: ``False`` where a stronger statement overrules it.
    """

    name: str
    state: State
    spans: tuple[tuple[int, int], ...]
    cue: tuple[int, int] | None = None
    rule: str
    decisive: bool = True


@dataclass(frozen=True, kw_only=True)
class ReadReport:
    """One report of ``evaluation/evidence.json``, its labels, and what they rest on."""

    study_id: str
    text: str
    system: str = ""
    labels: Mapping[str, State] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
