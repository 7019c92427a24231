"""Score the systems of a run on its test studies, beside its controls.

Writes ``results.json``, ``evaluation/scores/<system>.jsonl`` and ``evaluation/labels/<system>.jsonl`` (one
line per study), ``evaluation/cases.json`` (what the page shows side by side) and ``evaluation/evidence.json``
(what their labels rest on).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from radflow import config
from radflow.errors import DataError
from radflow.evaluation.choice import Networks, choose, computable
from radflow.evaluation.controls import OTHER_IMAGES, RADFLOW, SFT, SHUFFLED, TEMPLATE
from radflow.evaluation.corpus import label_counts, resample_corpus
from radflow.evaluation.decoding.consensus import decoding_words
from radflow.evaluation.drift import Texts, measure_drift
from radflow.evaluation.files.labels import write_labels
from radflow.evaluation.files.store import Pair
from radflow.evaluation.intervals import Interval, bootstrap_intervals
from radflow.evaluation.marks import compare_reports
from radflow.evaluation.results import Results, ShuffledImages, write_results
from radflow.evaluation.scoring import Scorer, score_pairs
from radflow.files import write_json, write_jsonl
from radflow.judges import Judge
from radflow.judges.base import told
from radflow.judges.verdicts.store import STORE
from radflow.metrics.naming import CORPUS, corpus_labels
from radflow.metrics.table import higher_is_better
from radflow.modality import modality_of
from radflow.readers import labeler
from radflow.readers.evidence import critical_because, explain_report
from radflow.reports import parse_report
from radflow.rewards import PARTS, HierarchicalReward, Reward
from radflow.studies import Study
from radflow.workspace import Workspace

DRIFT = ("positives", "words", "distinct", "most_frequent")
"""Figures of a system's reports in ``results.json``."""
Columns = dict[str, Float[np.ndarray, " N"]]
Counts = Float[np.ndarray, "N C K"]


def evaluate_run(
    workspace: Workspace,
    knobs: config.Evaluation,
    studies: Sequence[Study],
    predictions: Mapping[str, Sequence[str]],
    reward: HierarchicalReward,
    *,
    judge: Judge | None = None,
    warnings: Sequence[str] = (),
) -> Results:
    """Score all systems on the same studies and write what the run measured.

    Args:
        workspace: the run's folder.
        knobs: the section ``evaluation``.
        studies: the test studies.
        predictions: one text per study for ``sft``, ``radflow``, and each control.
        reward: the reward of the run.
        judge: of the metric ``consistency``, where it is asked for; the reward's when not given.
        warnings: of earlier stages, to be repeated here.

    Raises:
        DataError: no studies, studies of two modalities, a system without a text for each study, or a metric
            that cannot be computed.
    """
    begun = time.perf_counter()
    _check(studies, predictions)
    modality = studies[0].modality
    judge = told(judge, modality) if judge else reward.judge
    networks = Networks.of(knobs)
    names = computable(modality, networks) if knobs.metrics is None else knobs.metrics
    asking = workspace.recipe.judge
    asking = asking.model_copy(update={"store": asking.store or workspace.path(STORE)})
    chosen = choose(names, modality, networks, judge=judge.name, knobs=asking)
    label = modality_of(modality).labels.metric
    scorer = Scorer(
        metrics=chosen.metrics,
        labeler=chosen.labeler,
        readers=chosen.readers,
        consistency=chosen.consistency,
        judge=judge,
        observations=tuple(chosen.labeler([""])[0]) if label in chosen.metrics else (),
    )
    draw: dict[str, Any] = {
        "clusters": [study.patient_id for study in studies],
        "resamples": knobs.resamples,
        "seed": workspace.seed("evaluation", "bootstrap"),
    }
    bootstrap = partial(bootstrap_intervals, **draw)
    columns: dict[str, Columns] = {}
    asserted: dict[str, Counts] = {}
    rewards: dict[str, list[Reward]] = {}
    drift: dict[str, dict[str, float]] = {}
    for system, texts in predictions.items():
        pairs = [_pair(study, text) for study, text in zip(studies, texts, strict=True)]
        found = score_pairs(pairs, scorer)
        rewards[system] = [row[0] for row in reward.score_many(studies, [[text] for text in texts])]
        columns[system] = {name: found[name] for name in scorer.names} | reward_columns(rewards[system])
        both = [Texts.of(side) for side in ([p.generated for p in pairs], [p.reference for p in pairs])]
        measured = asdict(measure_drift(found, *both))
        drift[system] = {name: measured[name] for name in DRIFT}
        drift["reference"] = {name: measured[f"reference_{name}"] for name in DRIFT}
        rows = _rows(studies, columns[system])
        write_jsonl(workspace.path("evaluation", "scores", f"{system}.jsonl"), rows)
        if scorer.observations:
            asserted[system] = label_counts(found)
            labels = workspace.path("evaluation", "labels", f"{system}.jsonl")
            write_labels(labels, [study.study_id for study in studies], found)
    for grader in chosen.graders.values():
        workspace.say(f"evaluate: {grader.judge.account()}")
        grader.judge.close()
    drift["reference"] = drift.pop("reference")  # the last one
    corpus = resample_corpus(asserted, **draw)
    summaries = {system: bootstrap(found) for system, found in columns.items()}
    for system, found in corpus.items():
        summaries[system] |= found.intervals()

    def difference(first: str, second: str) -> dict[str, Interval]:
        """Paired, on the same resamples."""
        minus = bootstrap(_minus(columns[first], columns[second]))
        return minus | ((corpus[first] - corpus[second]).intervals() if corpus else {})

    whose = {system: owner for owner, system in OTHER_IMAGES.values() if system in columns}
    shown = {system: summary for system, summary in summaries.items() if system not in whose}
    gains = difference(RADFLOW, SFT)
    gain_over = {control: difference(RADFLOW, control) for control in shown if control not in (SFT, RADFLOW)}
    falls = {control: difference(owner, control) for control, owner in whose.items()}
    shuffled: dict[str, ShuffledImages] = {}
    if SHUFFLED in columns:
        shuffled = {
            name: ShuffledImages(true=summaries[RADFLOW][name], shuffled=summaries[SHUFFLED][name], fall=fall)
            for name in ("reward", label, *CORPUS, modality_of(modality).content.metric, "reward/impression")
            if (fall := falls[SHUFFLED].get(name)) is not None
        }
    named = {label: chosen.labels[label]} if label in chosen.labels else {}
    named["reward"] = "reward"
    said = [*warnings, *_warnings(shown, gains, shuffled, drift, named)]
    results = Results(
        systems=shown,
        gain=gains,
        gain_over=gain_over,
        falls=falls,
        cases=len(studies),
        images="drawn" if any(s.drawn for s in studies) else "real",
        seconds={**workspace.seconds(), "evaluation": round(time.perf_counter() - begun, 2)},
        shuffled=shuffled,
        drift=drift,
        name=workspace.recipe.name,
        seed=workspace.recipe.seed,
        modality=modality,
        split="test",
        decoding=decoding_words(knobs, modality),
        warnings=tuple(config.without_folders(warning) for warning in said),
        date=time.strftime("%Y-%m-%d"),
        versions={name: version(name) for name in ("radflow", "torch", "transformers", "peft")},
        labels={
            **chosen.labels,
            **(corpus_labels(chosen.labels[label]) if corpus else {}),
            "reward/consistency": config.without_folders(f"Consistency ({reward.judge.name})"),
        },
        higher_is_better={
            name: higher_is_better(name) for name in (*chosen.labels, *(CORPUS if corpus else ()))
        },
    )
    write_results(workspace.path("results.json"), results)
    cases = _cases(studies, predictions, rewards, knobs.cases, workspace.root)
    write_json(workspace.path("evaluation", "cases.json"), cases)
    write_json(workspace.path("evaluation", "evidence.json"), _evidence(cases, studies, modality))
    return results


def reward_columns(rewards: Sequence[Reward]) -> Columns:
    """The reward and its terms, one number per study; NaN where a term was skipped."""
    columns = {"reward": np.array([reward.total for reward in rewards])}
    for part in PARTS:
        values = [reward.parts.get(part) for reward in rewards]
        columns[f"reward/{part}"] = np.array([math.nan if v is None else v for v in values], dtype=float)
    return columns


def _pair(study: Study, text: str) -> Pair:
    return Pair(study.study_id, study.patient_id, "", parse_report(text).canonical, study.reference.canonical)


def _check(studies: Sequence[Study], predictions: Mapping[str, Sequence[str]]) -> None:
    if not studies:
        raise DataError("evaluate: expected test studies, got none; does the manifest have a test split?")
    if len({s.modality for s in studies}) > 1:
        raise DataError(
            "evaluate: expected studies of one modality, got "
            + " and ".join(sorted({s.modality for s in studies}))
        )
    for system in (SFT, RADFLOW):
        if system not in predictions:
            raise DataError(f"evaluate: expected the reports of {system}, got {', '.join(predictions)}")
    for system, texts in predictions.items():
        if len(texts) != len(studies):
            raise DataError(f"evaluate: expected {len(studies)} reports of {system}, got {len(texts)}")


def _rows(studies: Sequence[Study], columns: Columns) -> Iterator[dict[str, Any]]:
    for i, study in enumerate(studies):
        numbers = {name: float(values[i]) for name, values in columns.items()}
        yield {"study_id": study.study_id} | {n: None if math.isnan(v) else v for n, v in numbers.items()}


def _minus(first: Columns, second: Columns) -> Columns:
    return {name: values - second[name] for name, values in first.items()}


def _warnings(
    systems: Mapping[str, Mapping[str, Interval]],
    gains: Mapping[str, Interval],
    shuffled: Mapping[str, ShuffledImages],
    drift: Mapping[str, Mapping[str, float]],
    named: Mapping[str, str],
) -> list[str]:
    """Warnings for a reader of the table; ``named`` are the label F1 and the reward, as printed."""
    said = [
        f"Shuffling the images costs RadFlow no significant {name}: it may not look at them."
        for metric, name in named.items()
        if metric in shuffled and shuffled[metric].fall.low <= 0
    ]
    said += [
        f"The reward rose while {name} fell: the policy learnt to please the reward."
        for metric, name in named.items()
        if metric in gains and gains[metric].high < 0 < gains["reward"].mean
    ]
    said += [
        f"RadFlow's {name} is not above that of the template, which looks at nothing."
        for metric, name in named.items()
        if TEMPLATE in systems and systems[RADFLOW][metric].mean <= systems[TEMPLATE][metric].mean
    ]
    before, after = drift[SFT], drift[RADFLOW]
    if before["positives"] > 0 and not 0.75 <= after["positives"] / before["positives"] <= 1.33:
        said.append(
            f"Positives per report went from {before['positives']:.2f} (SFT) to {after['positives']:.2f} "
            f"(RadFlow); the references have {drift['reference']['positives']:.2f}."
        )
    if not 0.75 <= after["words"] / max(before["words"], 1e-9) <= 1.33:
        said.append(f"Reports went from {before['words']:.0f} words (SFT) to {after['words']:.0f} (RadFlow).")
    if after["distinct"] < 0.5 * before["distinct"]:
        said.append(
            f"The share of distinct reports fell from {before['distinct']:.0%} (SFT) to "
            f"{after['distinct']:.0%} (RadFlow)."
        )
    return said


def _cases(
    studies: Sequence[Study],
    predictions: Mapping[str, Sequence[str]],
    rewards: Mapping[str, Sequence[Reward]],
    count: int,
    root: Path,
) -> list[dict[str, Any]]:
    """A third where RadFlow gained most, a third where it lost most, the rest spread evenly."""
    change = np.array([a.total - b.total for a, b in zip(rewards[RADFLOW], rewards[SFT], strict=True)])
    order = np.argsort(-change, kind="stable").tolist()
    shown = [name for name in (TEMPLATE, SFT, RADFLOW) if name in predictions]
    third = min(count, len(order)) // 3
    chosen = [*order[:third], *(order[-third:] if third else [])]
    rest = [i for i in range(len(studies)) if i not in set(chosen)]
    stride = max(1, len(rest) // max(1, count - len(chosen)))
    chosen += rest[::stride][: count - len(chosen)]
    return [
        _case(studies[i], root, {name: (predictions[name][i], rewards[name][i]) for name in shown})
        for i in chosen
    ]


def _evidence(
    cases: Sequence[Mapping[str, Any]], studies: Sequence[Study], modality: str
) -> list[dict[str, Any]]:
    """What the labels of each shown reference and of RadFlow's report rest on."""
    truth = {study.study_id: study.reference.canonical for study in studies}
    return [
        {"study_id": case["study_id"], "system": system, "text": text, **explain_report(text, modality)}
        for case in cases
        for system, text in (
            ("reference", truth[case["study_id"]]),
            (RADFLOW, case["systems"][RADFLOW]["text"]),
        )
    ]


def _case(study: Study, root: Path, systems: Mapping[str, tuple[str, Reward]]) -> dict[str, Any]:
    """One study as the page shows it.

    Images are relative to the run; positions of ``missed`` count the characters of ``canonical``.
    """
    truth = study.reference.canonical
    labels = labeler(study.modality)([truth, *(text for text, _ in systems.values())])
    shown = {}
    for (name, (text, reward)), states in zip(systems.items(), labels[1:], strict=True):
        report = parse_report(text)
        shown[name] = {
            "text": text,
            "findings": report.findings,
            "impression": report.impression,
            "reward": reward.total,
            "parts": dict(reward.parts),
            "labels": _known(states),
            **compare_reports(text, truth, study.modality),
        }
    reference = study.reference
    return {
        "study_id": study.study_id,
        "critical": study.critical,
        "critical_because": critical_because(study),
        "images": [Path(os.path.relpath(path, root)).as_posix() for path in study.images],
        "views": list(study.views),
        "indication": study.indication,
        "reference": {
            "text": reference.text,
            "canonical": truth,
            "findings": reference.findings,
            "impression": reference.impression,
            "labels": _known(labels[0]),
        },
        "systems": shown,
    }


def _known(labels: Mapping[str, int | None]) -> dict[str, int]:
    """The labels that a report speaks of."""
    return {name: state for name, state in labels.items() if state is not None}
