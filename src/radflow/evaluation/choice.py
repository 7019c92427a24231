"""Which metrics are computed, and the model behind each: rules, or networks from folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow import config, readers
from radflow.errors import DataError, MissingFileError
from radflow.evaluation.named_models import load_named, split_names
from radflow.evaluation.scoring import RADCLIQ
from radflow.judges.llm.grader import Grader
from radflow.metrics import (
    METRICS,
    RadCliqReaders,
    Reader,
    ReadOnce,
    Rescaled,
    default_metrics,
    metric_label,
)
from radflow.metrics.bertscore import OFFICIAL_BASELINE, OFFICIAL_LAYER, OFFICIAL_MODEL
from radflow.metrics.naming import RULES
from radflow.metrics.pairs import reader_name
from radflow.metrics.table import CONSISTENCY
from radflow.modality import CHEST, modality_of

_REMEMBERED = 4096  # readings a rule-based reader keeps: references come back in the baselines
_NEEDS = {"semb_score": ("chexbert",), **dict.fromkeys(RADCLIQ, ("chexbert", "radgraph", "bertscore"))}


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Folders of the official networks; ``bertscore`` as ``FOLDER@5``.

    Attributes:
        knob: what stands before their names where somebody gives them: ``--``, or ``evaluation.``.
    """

    chexbert: str | None = None
    radgraph: str | None = None
    bertscore: str | None = None
    knob: str = "--"

    @classmethod
    def of(cls, knobs: config.Evaluation) -> Networks:
        """Those that a recipe evaluates with."""
        folders = {"chexbert": knobs.chexbert, "radgraph": knobs.radgraph, "bertscore": knobs.bertscore}
        return cls(**folders, knob="evaluation.")

    @property
    def given(self) -> dict[str, str]:
        """Name to folder, of those that were given."""
        folders = {"chexbert": self.chexbert, "radgraph": self.radgraph, "bertscore": self.bertscore}
        return {name: folder for name, folder in folders.items() if folder is not None}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Metrics with the models behind them.

    Attributes:
        modality: of the reports.
        readers: metric to reader, for :func:`radflow.metrics.score`.
        labels: metric to its name as printed; its keys are the metrics, in order.
        names: metric to the name of its reader, ``None`` where it reads nothing.
        labeler: texts to observations.
    """

    modality: str
    readers: Mapping[str, Any]
    labels: Mapping[str, str]
    names: Mapping[str, str | None]
    labeler: Reader

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of pairs, without consistency."""
        return tuple(name for name in self.labels if name != CONSISTENCY)

    @property
    def consistency(self) -> bool:
        """Whether consistency is asked for."""
        return CONSISTENCY in self.labels

    @property
    def graders(self) -> dict[str, Grader]:
        """The metrics that a language model is asked for."""
        return {name: reader for name, reader in self.readers.items() if isinstance(reader, Grader)}


def choose(
    metrics: Sequence[str] | None,
    modality: str,
    networks: Networks,
    *,
    judge: str = "rules",
    knobs: config.Judge | None = None,
) -> Chosen:
    """Load what is needed.

    Args:
        metrics: names, some with their models (``named_models.py``); ``None`` is all that apply and can be
            computed, consistency among them.
        modality: decides which apply.
        networks: what was given.
        judge: the name of who judges consistency.
        knobs: how a language model is asked for a metric.

    Raises:
        DataError: an unknown metric, a network of chest reports for another modality, or another layer.
        MissingFileError: a metric whose networks were not given, or a folder that is not there.
    """
    if modality != CHEST and networks.given:
        first = next(iter(networks.given))
        raise DataError(f"{networks.knob}{first} reads chest X-ray reports; the modality is {modality}")
    plain, models = (None, {}) if metrics is None else split_names(metrics)
    asked = _names(plain, modality, networks)
    names = tuple(name for name in asked if name != CONSISTENCY)
    loaded = _load(networks)
    loaded |= {name: load_named(name, model, knobs or config.Judge()) for name, model in models.items()}
    composed = bool(RADCLIQ.keys() & set(names))
    parts = ("radgraph_f1", "bertscore", "semb_score") if composed else ()
    given = {name: reader for name, reader in loaded.items() if name in (*names, *parts)}
    for name in names:
        own = METRICS[name].reader
        if name not in given and own in RULES:
            given[name] = ReadOnce(readers.load(own), size=_REMEMBERED)
    label = modality_of(modality).labels.metric
    labeler = loaded.get(label) or given.get(label) or readers.labeler(modality)
    shown = dict(given)
    if composed:
        graphs, tokens, reports = (loaded[part] for part in parts)
        shown |= dict.fromkeys(RADCLIQ, RadCliqReaders(graphs=graphs, tokens=tokens, reports=reports))
    labels = {name: metric_label(name, shown.get(name)) for name in names}
    by = {name: _reader(name, shown.get(name)) for name in names}
    if CONSISTENCY in asked:
        labels[CONSISTENCY] = config.without_folders(f"Consistency ({judge})")
        by[CONSISTENCY] = judge
    return Chosen(modality=modality, readers=given, labels=labels, names=by, labeler=labeler)


def computable(modality: str, networks: Networks) -> tuple[str, ...]:
    """The metrics of pairs that apply to a modality and for which all networks are there."""
    extra = [name for name, needs in _NEEDS.items() if set(needs) <= networks.given.keys()]
    wanted = {*default_metrics(modality), *extra}
    return tuple(name for name in METRICS if name in wanted)


def _names(metrics: Sequence[str] | None, modality: str, networks: Networks) -> tuple[str, ...]:
    """The metrics that are wanted, once each; an error before anything is loaded where one cannot be had."""
    if metrics is None:
        return (*computable(modality, networks), CONSISTENCY)
    names = tuple(dict.fromkeys(metrics))
    if not names:
        raise DataError(f"{networks.knob}metrics: expected names out of {', '.join(METRICS)}; got none")
    for name in names:
        if name == CONSISTENCY:
            continue
        if METRICS[name].modality not in (None, modality):
            raise DataError(
                f"{name} is a metric of {METRICS[name].modality} reports; the modality is {modality}"
            )
        absent = [f"{networks.knob}{one}" for one in _NEEDS.get(name, ()) if one not in networks.given]
        if absent:
            raise MissingFileError(
                f"{name} needs the official weights, which do not ship with radflow: give their folders "
                f"with {', '.join(absent)}"
            )
    return (
        *(name for name in names if name != CONSISTENCY),
        *([CONSISTENCY] if CONSISTENCY in names else []),
    )


def _load(networks: Networks) -> dict[str, Any]:
    """Metric to reader, for every network that was given."""
    loaded: dict[str, Any] = {}
    if networks.chexbert is not None:
        loaded["chexpert_f1"] = loaded["semb_score"] = readers.load(f"chexbert:{networks.chexbert}")
    if networks.radgraph is not None:
        loaded["radgraph_f1"] = readers.load(f"radgraph:{networks.radgraph}")
    if networks.bertscore is not None:
        if not networks.bertscore.endswith(f"@{OFFICIAL_LAYER}"):
            raise DataError(
                f"{networks.knob}bertscore: expected FOLDER@{OFFICIAL_LAYER}, got {networks.bertscore!r}; "
                "scores are rescaled with the published baseline, which holds for hidden layer "
                f"{OFFICIAL_LAYER} of {OFFICIAL_MODEL}"
            )
        embedder: Any = readers.load(f"embeddings:{networks.bertscore}")
        loaded["bertscore"] = Rescaled(embedder=embedder, baseline=OFFICIAL_BASELINE)
    return loaded


def _reader(name: str, reader: Any) -> str | None:
    is_own = reader is None or isinstance(reader, ReadOnce)
    return METRICS[name].reader if is_own else reader_name(reader)


def folder_facts(folder: str) -> list[tuple[str, int, int]]:
    """Names, sizes and times of a network's files: what tells that its weights were changed."""
    root = Path(folder.partition("@")[0])
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
