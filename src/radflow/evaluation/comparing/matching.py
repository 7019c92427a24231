"""Which studies and metrics two systems have in common, and whether they may be subtracted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from radflow.errors import DataError, did_you_mean
from radflow.evaluation.corpus import counts_of
from radflow.evaluation.files.scores import MetricFacts, SystemScores
from radflow.metrics.naming import CORPUS

_NAMED = 3  # study ids that a message lists


@dataclass(frozen=True, kw_only=True)
class Matched:
    """The numbers of two systems on the studies that both scored.

    Attributes:
        studies: sorted, so that nothing depends on the order of the files.
        metrics: one per column.
        first: (N, M) numbers of the first system; NaN where it has none.
        second: (N, M) likewise.
        units: what each study belongs to: its patient, or itself where the patient is not known.
        by_patient: whether any patient is known.
        warnings: what only one of them has.
        counts: what the reports of both systems assert, where both say so and the F1s over the corpus are
            among ``metrics``; as in `radflow.evaluation.corpus`.
    """

    studies: tuple[str, ...]
    metrics: tuple[str, ...]
    first: Float[np.ndarray, "N M"]
    second: Float[np.ndarray, "N M"]
    units: tuple[str, ...]
    by_patient: bool
    warnings: tuple[str, ...]
    counts: tuple[Float[np.ndarray, "N C K"], Float[np.ndarray, "N C K"]] | None = None


def match(a: SystemScores, b: SystemScores, metrics: Sequence[str] | None = None) -> Matched:
    """Match two systems by study id, over the metrics asked for or all that both have.

    Raises:
        DataError: fewer than two common studies, no common metric, a metric that is unknown or of one side
            only, a patient who differs, or different models, tracks or modalities behind the same metric.
    """
    studies = sorted(set(a.values) & set(b.values))
    _check_studies(a, b, studies)
    names = _common_metrics(a, b, metrics)
    _check_same(a, b, names)
    patients = _patients(a, b, studies)
    return Matched(
        studies=tuple(studies),
        metrics=tuple(names),
        first=_table(a, studies, names),
        second=_table(b, studies, names),
        units=tuple(f"patient {patients[s]}" if s in patients else f"study {s}" for s in studies),
        by_patient=bool(patients),
        warnings=tuple(_warnings(a, b, studies, patients)),
        counts=_counts(a, b, studies) if set(CORPUS) & set(names) else None,
    )


def _check_studies(a: SystemScores, b: SystemScores, studies: Sequence[str]) -> None:
    if len(studies) < 2:
        raise DataError(
            f"Expected at least two studies that both systems scored, got {len(studies)}: {a.path} has "
            f"{len(a.values)} ({_first(a.values)}), {b.path} has {len(b.values)} ({_first(b.values)}); "
            "are the study ids the same?"
        )


def _common_metrics(a: SystemScores, b: SystemScores, asked: Sequence[str] | None) -> list[str]:
    common = [name for name in a.metrics if name in b.metrics]
    if not common:
        raise DataError(
            f"Expected a metric that both have, got {', '.join(a.metrics)} in {a.path} and "
            f"{', '.join(b.metrics)} in {b.path}"
        )
    for name in asked or ():
        if name not in common:
            raise DataError(
                f"Expected metrics that both have, {', '.join(common)}; got {name!r}."
                + did_you_mean(name, common)
            )
    return common if asked is None else list(dict.fromkeys(asked))


def _check_same(a: SystemScores, b: SystemScores, names: Sequence[str]) -> None:
    """Refuse to subtract numbers that mean different things."""
    for key in ("track", "modality"):
        first, second = a.about.get(key), b.about.get(key)
        if first and second and first != second:
            raise DataError(
                f"Expected the same {key} on both sides, got {first!r} in {a.path} and {second!r} in "
                f"{b.path}; score both alike"
            )
    references = {side.about.get("references") for side in (a, b)} - {None}
    if len(references) > 1 and a.values.keys() == b.values.keys():
        raise DataError(
            f"Expected both scored against the same references, got the same studies with others in {a.path} "
            f"and {b.path}; score both with one --reference"
        )
    for name in names:
        first, second = a.metrics[name], b.metrics[name]
        models = (first.reader, second.reader) if first.reader and second.reader else (None, None)
        if models[0] != models[1] or first.label != second.label:
            raise DataError(
                f"{name}: expected the same model behind it on both sides, got {_model(first)} in {a.path} "
                f"and {_model(second)} in {b.path}; score both with one of them"
            )
        if first.higher_is_better != second.higher_is_better:
            raise DataError(f"{name}: higher is better in one of {a.path} and {b.path}, lower in the other")


def _model(metric: MetricFacts) -> str:
    return f"{metric.label} by {metric.reader}" if metric.reader else metric.label


def _patients(a: SystemScores, b: SystemScores, studies: Sequence[str]) -> dict[str, str]:
    patients = {}
    for study in studies:
        known = [side.patients[study] for side in (a, b) if study in side.patients]
        if len(set(known)) > 1:
            raise DataError(
                f"study {study!r}: expected the same patient on both sides, got {known[0]!r} in {a.path} and "
                f"{known[1]!r} in {b.path}"
            )
        if known:
            patients[study] = known[0]
    return patients


def _table(side: SystemScores, studies: Sequence[str], names: Sequence[str]) -> Float[np.ndarray, "N M"]:
    return np.array([[side.values[study].get(name, np.nan) for name in names] for study in studies])


def _counts(
    a: SystemScores, b: SystemScores, studies: Sequence[str]
) -> tuple[Float[np.ndarray, "N C K"], Float[np.ndarray, "N C K"]]:
    """What the reports of both assert, over the observations that any of them does."""
    for study in studies:
        if a.asserted[study].reference != b.asserted[study].reference:
            raise DataError(
                f"study {study!r}: expected both scored against the same reference, got labels of two in "
                f"{a.path} and {b.path}; score both with one --reference"
            )
    sides = [[side.asserted[study] for study in studies] for side in (a, b)]
    names = sorted({name for side in sides for said in side for name in (*said.generated, *said.reference)})

    def table(reports: Sequence[frozenset[str]]) -> Bool[np.ndarray, "N K"]:
        rows = [[name in said for name in names] for said in reports]
        return np.asarray(rows, dtype=bool).reshape(len(reports), len(names))

    support = table([said.reference for said in sides[0]])
    first, second = (counts_of(table([said.generated for said in side]), support) for side in sides)
    return first, second


def _warnings(
    a: SystemScores, b: SystemScores, studies: Sequence[str], patients: Mapping[str, str]
) -> list[str]:
    said = []
    names = (a.system, b.system) if a.system != b.system else (str(a.path), str(b.path))
    for side, other, name in ((a, b, names[0]), (b, a, names[1])):
        left = [study for study in side.values if study not in other.values]
        if left:
            said.append(
                f"only {name} scored {len(left):,} of its {len(side.values):,} studies: {_first(left)}"
            )
        alone = [side.metrics[metric].label for metric in side.metrics if metric not in other.metrics]
        if alone:
            said.append(f"only {name} has {', '.join(alone)}")
    splits = [side.about.get("split") for side in (a, b)]
    if all(splits) and splits[0] != splits[1]:
        said.append(f"{names[0]} is of the split {splits[0]!r}, {names[1]} of {splits[1]!r}")
    if not patients:
        said.append("patients are not known: every study is taken as independent of the others")
    elif len(patients) < len(studies):
        unknown = len(studies) - len(patients)
        said.append(f"the patient of {unknown:,} studies is not known; they are taken as independent")
    return said


def _first(studies: Iterable[str]) -> str:
    """The first few ids of many."""
    named = list(studies)
    return ", ".join(named[:_NAMED]) + (", ..." if len(named) > _NAMED else "")
