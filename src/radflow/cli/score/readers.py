"""Which metrics ``radflow score`` computes, and the model behind each: rules, or networks from folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow import readers
from radflow.errors import DataError, MissingFileError
from radflow.evaluation.score_file import CONSISTENCY, RADCLIQ
from radflow.metrics import METRICS, RadCliqReaders, ReadOnce, Rescaled, default_metrics, metric_label
from radflow.metrics.bertscore import OFFICIAL_BASELINE, OFFICIAL_LAYER, OFFICIAL_MODEL
from radflow.metrics.naming import RULES
from radflow.metrics.pairs import reader_name
from radflow.modality import CHEST, modality_of

_CONSISTENCY = {CONSISTENCY: "Consistency (rules)"}
_REMEMBERED = 4096  # readings a rule-based reader keeps: references come back in the baselines
_NEEDS = {"semb_score": ("chexbert",), **dict.fromkeys(RADCLIQ, ("chexbert", "radgraph", "bertscore"))}


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Folders of the official networks; ``bertscore`` as ``FOLDER@5``."""

    chexbert: str | None = None
    radgraph: str | None = None
    bertscore: str | None = None

    @property
    def given(self) -> dict[str, str]:
        """Option to folder, of those that were given."""
        return {name: folder for name, folder in vars(self).items() if folder is not None}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Metrics with the models behind them.

    Attributes:
        readers: metric to reader, for :func:`radflow.metrics.score`.
        labels: metric to its name as printed; its keys are the metrics, in order.
        names: metric to the name of its reader, ``None`` where it reads nothing.
        labeler: texts to observations.
    """

    readers: Mapping[str, Any]
    labels: Mapping[str, str]
    names: Mapping[str, str | None]
    labeler: Callable[[Sequence[str]], Sequence[Any]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of pairs, without consistency."""
        return tuple(name for name in self.labels if name != CONSISTENCY)


def choose(metrics: str | None, modality: str, networks: Networks) -> Chosen:
    """Load what is needed.

    Args:
        metrics: names separated by commas; ``None`` is all that apply and can be computed.
        modality: decides which apply.
        networks: what was given.

    Raises:
        DataError: an unknown metric, a network of chest reports for another modality, or another layer.
        MissingFileError: a metric whose networks were not given, or a folder that is not there.
    """
    if modality != CHEST and networks.given:
        raise DataError(
            f"--{next(iter(networks.given))} reads chest X-ray reports; the modality is {modality}"
        )
    names, consistency = _names(metrics, modality, networks)
    loaded = _load(networks)
    given = {name: reader for name, reader in loaded.items() if name in names or _in_radcliq(name, names)}
    for name in names:
        own = METRICS[name].reader
        if name not in given and own in RULES:
            given[name] = ReadOnce(readers.load(own), size=_REMEMBERED)
    label_metric = modality_of(modality).labels.metric
    labeler = loaded.get(label_metric) or given.get(label_metric) or readers.labeler(modality)
    shown = {**given, **(_radcliq_readers(loaded) if RADCLIQ.keys() & set(names) else {})}
    return Chosen(
        readers=given,
        labels={name: metric_label(name, shown.get(name)) for name in names} | consistency,
        names={name: _reader(name, shown.get(name)) for name in names} | dict.fromkeys(consistency, "rules"),
        labeler=labeler,
    )


def _names(metrics: str | None, modality: str, networks: Networks) -> tuple[tuple[str, ...], dict[str, str]]:
    """The metrics of pairs, and consistency with its label where it is wanted."""
    if metrics is None:
        extra = [name for name, needs in _NEEDS.items() if set(needs) <= networks.given.keys()]
        wanted = {*default_metrics(modality), *extra}
        return tuple(name for name in METRICS if name in wanted), _CONSISTENCY
    asked = dict.fromkeys(name for part in metrics.split(",") if (name := part.strip()))
    names = tuple(name for name in asked if name != CONSISTENCY)
    if not asked:
        raise DataError(f"--metrics: expected names out of {', '.join(METRICS)}; got none")
    for name in names:
        if name in METRICS and METRICS[name].modality not in (None, modality):
            raise DataError(
                f"{name} is a metric of {METRICS[name].modality} reports; the modality is {modality}"
            )
        absent = [f"--{option}" for option in _NEEDS.get(name, ()) if option not in networks.given]
        if absent:
            raise MissingFileError(
                f"{name} needs the official weights, which do not ship with radflow: give their folders "
                f"with {', '.join(absent)}"
            )
        metric_label(name)  # an unknown name is an error before anything is loaded
    return names, _CONSISTENCY if CONSISTENCY in asked else {}


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
                f"--bertscore: expected FOLDER@{OFFICIAL_LAYER}, got {networks.bertscore!r}; scores are "
                "rescaled with the published baseline, which holds for hidden layer "
                f"{OFFICIAL_LAYER} of {OFFICIAL_MODEL}"
            )
        embedder: Any = readers.load(f"embeddings:{networks.bertscore}")
        loaded["bertscore"] = Rescaled(embedder=embedder, baseline=OFFICIAL_BASELINE)
    return loaded


def _in_radcliq(name: str, names: Sequence[str]) -> bool:
    return name in ("radgraph_f1", "bertscore", "semb_score") and any(metric in RADCLIQ for metric in names)


def _radcliq_readers(loaded: Mapping[str, Any]) -> dict[str, RadCliqReaders]:
    together = RadCliqReaders(
        graphs=loaded["radgraph_f1"], tokens=loaded["bertscore"], reports=loaded["semb_score"]
    )
    return dict.fromkeys(RADCLIQ, together)


def _reader(name: str, reader: Any) -> str | None:
    own = METRICS[name].reader
    is_own = reader is None or isinstance(reader, ReadOnce)
    return own if is_own else reader_name(reader)


def folder_facts(folder: str) -> list[tuple[str, int, int]]:
    """Names, sizes and times of a network's files: what tells that its weights were changed."""
    root = Path(folder.partition("@")[0])
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
