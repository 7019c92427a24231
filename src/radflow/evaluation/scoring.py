"""The scoring engine: pairs of reports to columns, one number per pair. ``radflow score`` and runs share it.

It works chunk by chunk and can keep finished chunks, so that a killed command resumes. Every column is a
function of its pair (and, for baselines, of the files), and chunks have the same borders every time: what was
killed and started again gives the same numbers as what was not, bit for bit.
"""

from __future__ import annotations

import io
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Bool, Float

from radflow import judges
from radflow.errors import RewardError
from radflow.evaluation.drift import SIGNALS, read_signals
from radflow.evaluation.files.store import Pair, ReportStore
from radflow.files import write_atomic
from radflow.judges import Judge
from radflow.metrics import score
from radflow.metrics.pairs import Reader
from radflow.metrics.radcliq import radcliq
from radflow.metrics.table import CONSISTENCY
from radflow.readers import SUMMARIES
from radflow.reports import parse_report

CHUNK = 1024
PARTIAL = ".partial"
SIDES = ("generated", "reference")
RADCLIQ = {"radcliq_v0": "v0", "radcliq_v1": "v1"}
RADCLIQ_PARTS = ("radgraph_f1", "bertscore", "semb_score", "bleu2")
"""What RadCliQ is made of, in its order; each must come from its official model."""

Columns = dict[str, Float[np.ndarray, " N"]]
Baseline = Callable[[Sequence[Pair]], list[str]]
"""Some pairs to what the baseline writes for each."""


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Everything that is computed for a pair.

    Attributes:
        metrics: names, in the order of the table.
        readers: metric name to the reader behind it, where it is not the metric's default.
        labeler: texts to observations, for the signs of reward hacking.
        baselines: name to what writes their reports.
        consistency: whether to judge each report's Impression against its own Findings.
        judge: who does; the rule judge when not given.
        observations: whose states to keep for both sides of each pair and for the baselines, for F1 over the
            corpus.
    """

    metrics: tuple[str, ...]
    labeler: Reader
    readers: Mapping[str, Any] = field(default_factory=dict)
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    consistency: bool = False
    judge: Judge | None = None
    observations: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What the table shows: the metrics, and consistency where it is judged."""
        return (*self.metrics, CONSISTENCY) if self.consistency else self.metrics

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what a chunk gives: metrics, metrics of each baseline, signals, states."""
        of_baselines = [column(name, baseline) for baseline in self.baselines for name in self.names]
        sides = (*SIDES, *(column(SIDES[0], baseline) for baseline in self.baselines))
        states = [column(name, side) for side in sides for name in self.observations]
        return (*self.names, *of_baselines, *SIGNALS, *states)

    def __call__(self, pairs: Sequence[Pair]) -> Columns:
        """Score per chunk: one array (pairs,) per column."""
        generated, reference = [p.generated for p in pairs], [p.reference for p in pairs]
        columns = self._score(generated, reference)
        for name, write in self.baselines.items():
            texts = write(pairs)
            scores = self._score(texts, reference)
            columns |= {column(metric, name): values for metric, values in scores.items()}
            columns |= self._states(column(SIDES[0], name), texts)
        for side, texts in zip(SIDES, (generated, reference), strict=True):
            columns |= self._states(side, texts)
        return columns | read_signals(generated, reference, self.labeler)

    def _score(self, generated: Sequence[str], reference: Sequence[str]) -> Columns:
        scores = score_texts(generated, reference, self.metrics, self.readers)
        if self.consistency:
            scores[CONSISTENCY] = consistency_rate(generated, self.judge)
        return scores

    def _states(self, side: str, texts: Sequence[str]) -> Columns:
        labels = self.labeler(texts) if self.observations else []
        return {
            column(name, side): np.array([row[name] for row in labels], dtype=float)  # None: NaN
            for name in self.observations
        }


def column(metric: str, baseline: str) -> str:
    """The name of a baseline's column.

    >>> column("bleu2", "template")
    'template:bleu2'
    """
    return f"{baseline}:{metric}"


def asserted(columns: Columns, side: str) -> dict[str, Bool[np.ndarray, " N"]]:
    """Which studies' reports assert each observation, from kept states; uncertain is asserted.

    Observations that sum up a whole report are left out.

    Args:
        columns: as :func:`score_pairs` gives them, with the states of both sides.
        side: one of :data:`SIDES`; ``template:generated`` is what a baseline wrote.
    """
    prefix = column("", SIDES[1])
    names = [key.removeprefix(prefix) for key in columns if key.startswith(prefix)]
    return {n: np.isin(columns[column(n, side)], (1, -1)) for n in names if n not in SUMMARIES}


def score_texts(
    generated: Sequence[str], reference: Sequence[str], metrics: Sequence[str], readers: Mapping[str, Any]
) -> Columns:
    """Score as :func:`radflow.metrics.score` does, with RadCliQ made of columns rather than read once more.

    Raises:
        DataError: as there.
    """
    wanted = [name for name in metrics if name not in RADCLIQ]
    parts = RADCLIQ_PARTS if len(wanted) < len(metrics) else ()
    values = score(generated, reference, tuple(dict.fromkeys((*wanted, *parts))), readers=readers)
    for name, version in RADCLIQ.items():
        if name in metrics:
            values[name] = radcliq(*(values[part] for part in RADCLIQ_PARTS), version=version)
    return {name: values[name] for name in metrics}


def consistency_rate(texts: Sequence[str], judge: Judge | None = None) -> Float[np.ndarray, " N"]:
    """Return 1 for each report whose Impression follows from its Findings, 0 where it does not.

    It needs no reference: a report may be consistent and wrong. The paper makes it a reward (Section 4.2).
    A report in which one of the sections cannot be found says nothing either way and is NaN. (The reward
    gives such a report -1 instead, so that a policy cannot gain by dropping a section.)

    Args:
        texts: whole reports.
        judge: asked once about all reports with both sections; the rule judge when not given.

    Raises:
        RewardError: the judge failed, or did not answer every question.

    >>> consistency_rate([
    ...     "Findings: Small left pleural effusion. Impression: Left pleural effusion.",
    ...     "Findings: No pleural effusion. Impression: Left pleural effusion.",
    ...     "No sections at all.",
    ... ]).tolist()
    [1.0, 0.0, nan]
    """
    judge = judges.load("rules") if judge is None else judge
    reports = [parse_report(text) for text in texts]
    asked = {i: (r.findings, r.impression) for i, r in enumerate(reports) if r.findings and r.impression}
    answers = judge(list(asked.values())) if asked else []
    if len(answers) != len(asked):
        raise RewardError(f"judge {judge.name!r}: expected {len(asked)} answers, got {len(answers)}")
    rate = np.full(len(texts), np.nan)
    rate[list(asked)] = np.asarray(answers, dtype=np.float64)
    return rate


def score_pairs(
    pairs: Sequence[Pair] | ReportStore,
    scorer: Scorer,
    *,
    out: Path | None = None,
    key: str = "",
    advance: Callable[[int], None] = lambda count: None,
    chunk: int = CHUNK,
) -> Columns:
    """Score all pairs.

    Args:
        pairs: at least one.
        scorer: what to count.
        out: folder under which finished chunks are kept until :func:`forget_chunks`; ``None`` keeps none.
        key: stands for all inputs and options. Chunks of another key are removed.
        advance: called with the number of pairs that a finished chunk has.
        chunk: pairs per chunk; bounds the memory.

    Raises:
        NotWritableError: the folder cannot be written.
    """
    folder = out and out / PARTIAL / key
    if out is not None and not (out / PARTIAL / key).is_dir():
        forget_chunks(out)
    tables = []
    for number, start in enumerate(range(0, len(pairs), chunk)):
        size = min(chunk, len(pairs) - start)
        shape = (size, len(scorer.columns))
        kept = folder and folder / f"{number:06d}.npz"
        table = None if kept is None else _load(kept, shape)
        if table is None:
            columns = scorer(pairs[start : start + chunk])
            table = np.stack([columns[name] for name in scorer.columns], axis=1)
            if kept is not None:
                _save(kept, table)
        tables.append(table)
        advance(size)
    return dict(zip(scorer.columns, np.concatenate(tables).T, strict=True))


def forget_chunks(out: Path) -> None:
    """Remove the finished chunks of a folder, once its scores are written."""
    shutil.rmtree(out / PARTIAL, ignore_errors=True)


def _save(path: Path, table: np.ndarray) -> None:
    content = io.BytesIO()
    np.savez(content, table=table)  # a zip, for its checksums
    write_atomic(path, content.getvalue())


def _load(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """A finished chunk; ``None`` where there is none, or a damaged one, which is scored again."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            table = kept["table"]
    except (OSError, ValueError, EOFError, KeyError, BadZipFile, zlib.error):
        return None
    return table if table.shape == shape else None
