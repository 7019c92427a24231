"""Score pairs chunk by chunk, keeping finished chunks, so that a killed run resumes.

Every column is a function of its pair (and, for baselines, of the files), and chunks have the same borders in
every run. So a run that was killed and started again gives the same numbers as one that was not, bit for bit.
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
from jaxtyping import Float

from radflow.evaluation.consistency import consistency_rate
from radflow.evaluation.hacking import SIGNALS, read_signals
from radflow.evaluation.pair_store import Pair, PairStore
from radflow.files import write_atomic
from radflow.judges import Judge
from radflow.metrics import score
from radflow.metrics.pairs import Reader
from radflow.metrics.radcliq import radcliq

CHUNK = 1024
PARTIAL = ".partial"
SIDES = ("generated", "reference")
RADCLIQ = {"radcliq_v0": "v0", "radcliq_v1": "v1"}
CONSISTENCY = "consistency"
"""Not a metric of a pair, since it needs no reference, but counted like one."""

RADCLIQ_PARTS = ("radgraph_f1", "bertscore", "semb_score", "bleu2")
"""What RadCliQ is made of, in its order; each must come from its official model."""

Columns = dict[str, Float[np.ndarray, " N"]]
Baseline = Callable[[Sequence[Pair]], list[str]]
"""Some pairs to what the baseline writes for each."""


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Everything that is computed for a chunk.

    Attributes:
        metrics: names, in the order of the table.
        readers: metric name to the reader behind it, where it is not the metric's default.
        labeler: texts to observations, for the signs of reward hacking.
        baselines: name to what writes their reports.
        consistency: whether to judge each report's Impression against its own Findings.
        judge: who does; the rule judge when not given.
        observations: whose states to keep for both sides of each pair, for F1 over the corpus.
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
        states = [column(name, side) for side in SIDES for name in self.observations]
        return (*self.names, *of_baselines, *SIGNALS, *states)

    def __call__(self, pairs: Sequence[Pair]) -> Columns:
        """Score per chunk: one array (pairs,) per column."""
        generated, reference = [p.generated for p in pairs], [p.reference for p in pairs]
        columns = self._score(generated, reference)
        for name, write in self.baselines.items():
            scores = self._score(write(pairs), reference)
            columns |= {column(metric, name): values for metric, values in scores.items()}
        for side, texts in zip(SIDES, (generated, reference), strict=True):
            columns |= self._states(side, texts)
        return columns | read_signals(generated, reference, self.labeler)

    def _score(self, generated: Sequence[str], reference: Sequence[str]) -> Columns:
        scores = score_pairs(generated, reference, self.metrics, self.readers)
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


def score_pairs(
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


def score_store(
    store: PairStore,
    scorer: Scorer,
    *,
    out: Path | None = None,
    key: str = "",
    advance: Callable[[int], None] = lambda count: None,
    chunk: int = CHUNK,
) -> Columns:
    """Score all pairs.

    Args:
        store: the pairs.
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
    for number, start in enumerate(range(0, len(store), chunk)):
        size = min(chunk, len(store) - start)
        shape = (size, len(scorer.columns))
        kept = folder and folder / f"{number:06d}.npz"
        table = None if kept is None else _load(kept, shape)
        if table is None:
            columns = scorer(store.chunk(start, chunk))
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
