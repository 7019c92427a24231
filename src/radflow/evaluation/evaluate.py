"""Score the systems of a run on its test studies, beside the template and with the images shuffled.

Writes ``results.json``, ``evaluation/scores/<system>.jsonl`` (one line per study), ``evaluation/cases.json``
(what the page shows side by side) and ``evaluation/evidence.json`` (what their labels rest on).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from radflow import config
from radflow.errors import DataError
from radflow.evaluation.drift import measure_drift
from radflow.evaluation.evidence import critical_because, explain_report
from radflow.evaluation.intervals import paired_difference
from radflow.evaluation.marks import compare_reports
from radflow.evaluation.results import Results, ShuffledImages, write_results
from radflow.evaluation.scorecard import Scorecard, gain, make_scorecard
from radflow.files import write_json, write_jsonl
from radflow.metrics import METRICS, default_metrics, score
from radflow.modality import MODALITIES
from radflow.readers import labeler
from radflow.reports import parse_report
from radflow.rewards import PARTS, HierarchicalReward, Reward
from radflow.studies import Study
from radflow.workspace import Workspace

TEMPLATE, SFT, RADFLOW = "template", "sft", "radflow"
SHUFFLED = "radflow-shuffled"
"""Name of the predictions that RadFlow makes when each study gets the pictures of another."""


def score_system(
    studies: Sequence[Study], texts: Sequence[str], reward: HierarchicalReward
) -> tuple[dict[str, Float[np.ndarray, "N"]], list[Reward]]:
    """Default metrics and the reward with its parts, one number per study; NaN where a term was skipped."""
    modality = studies[0].modality
    values = score(
        [parse_report(t).canonical for t in texts],
        [s.reference.canonical for s in studies],
        default_metrics(modality),
    )
    rewards = [row[0] for row in reward.score_many(studies, [[text] for text in texts])]
    values["reward"] = np.array([r.total for r in rewards])
    for part in PARTS:
        column = [r.parts.get(part) for r in rewards]
        values[f"reward/{part}"] = np.array([math.nan if v is None else v for v in column], dtype=float)
    return values, rewards


def evaluate_run(
    workspace: Workspace,
    knobs: config.Evaluation,
    studies: Sequence[Study],
    predictions: Mapping[str, Sequence[str]],
    reward: HierarchicalReward,
    *,
    warnings: Sequence[str] = (),
) -> Results:
    """Score all systems on the same studies and write what the run measured.

    Args:
        workspace: the run's folder.
        knobs: the section ``evaluation``.
        studies: the test studies.
        predictions: one text per study for ``template``, ``sft``, ``radflow`` and ``radflow-shuffled``.
        reward: the reward of the run.
        warnings: of earlier stages, to be repeated here.

    Raises:
        DataError: no studies, studies of two modalities, or a system without a text for each study.
    """
    begun = time.perf_counter()
    _check(studies, predictions)
    modality = studies[0].modality
    ids, patients = [s.study_id for s in studies], [s.patient_id for s in studies]
    seed = workspace.seed("evaluation", "bootstrap")
    cards: dict[str, Scorecard] = {}
    rewards: dict[str, list[Reward]] = {}
    for system, texts in predictions.items():
        values, rewards[system] = score_system(studies, texts, reward)
        cards[system] = make_scorecard(system, ids, patients, values, resamples=knobs.resamples, seed=seed)
        write_jsonl(workspace.path("evaluation", "scores", f"{system}.jsonl"), _rows(cards[system]))
    shown = {name: card for name, card in cards.items() if name != SHUFFLED}
    gains = gain(cards[RADFLOW], cards[SFT], resamples=knobs.resamples, seed=seed)
    shuffled = _shuffled_control(cards, modality, knobs, seed)
    read = labeler(modality)
    drift = {
        name: measure_drift(predictions[name], read(predictions[name])).as_dict()
        for name in (*shown, SHUFFLED)
        if name in predictions
    }
    references = [s.reference.canonical for s in studies]
    drift["reference"] = measure_drift(references, read(references)).as_dict()
    said = [*warnings, *_warnings(cards, gains, shuffled, drift, modality)]
    results = Results(
        systems={name: card.summary for name, card in shown.items()},
        gain=gains,
        cases=len(studies),
        images="drawn" if any(s.drawn for s in studies) else "real",
        seconds={**workspace.seconds(), "evaluation": round(time.perf_counter() - begun, 2)},
        shuffled=shuffled,
        drift=drift,
        extra={
            "name": workspace.recipe.name,
            "seed": workspace.recipe.seed,
            "modality": modality,
            "split": "test",
            "warnings": [config.without_folders(warning) for warning in said],
            "date": time.strftime("%Y-%m-%d"),
            "versions": {name: version(name) for name in ("radflow", "torch", "transformers", "peft")},
            "labels": {
                **{name: METRICS[name].label for name in default_metrics(modality)},
                "reward/consistency": config.without_folders(f"Consistency ({reward.judge.name})"),
            },
            "higher_is_better": {name: METRICS[name].higher_is_better for name in default_metrics(modality)},
        },
    )
    write_results(workspace.path("results.json"), results)
    cases = _cases(studies, predictions, rewards, knobs.cases, workspace.root)
    write_json(workspace.path("evaluation", "cases.json"), cases)
    write_json(workspace.path("evaluation", "evidence.json"), _evidence(cases, studies, modality))
    return results


def _check(studies: Sequence[Study], predictions: Mapping[str, Sequence[str]]) -> None:
    if not studies:
        raise DataError("evaluate: expected test studies, got none; does the manifest have a test split?")
    if len({s.modality for s in studies}) > 1:
        raise DataError(
            "evaluate: expected studies of one modality, got "
            + " and ".join(sorted({s.modality for s in studies}))
        )
    for system in (TEMPLATE, SFT, RADFLOW):
        if system not in predictions:
            raise DataError(f"evaluate: expected the reports of {system}, got {', '.join(predictions)}")
    for system, texts in predictions.items():
        if len(texts) != len(studies):
            raise DataError(f"evaluate: expected {len(studies)} reports of {system}, got {len(texts)}")


def _rows(card: Scorecard) -> list[dict[str, Any]]:
    columns = {name: values.tolist() for name, values in card.per_case.items()}
    return [
        {"study_id": study, **{n: None if math.isnan(c[i]) else c[i] for n, c in columns.items()}}
        for i, study in enumerate(card.study_ids)
    ]


def _shuffled_control(
    cards: Mapping[str, Scorecard], modality: str, knobs: config.Evaluation, seed: int
) -> dict[str, ShuffledImages]:
    """What RadFlow loses if it sees another study's pictures."""
    if SHUFFLED not in cards:
        return {}
    true, other = cards[RADFLOW], cards[SHUFFLED]
    known = MODALITIES[modality]
    names = ("reward", known.labels.metric, known.content.metric, "reward/impression")
    return {
        name: ShuffledImages(
            true=true.summary[name],
            shuffled=other.summary[name],
            fall=paired_difference(
                true.per_case[name],
                other.per_case[name],
                clusters=true.patient_ids,
                resamples=knobs.resamples,
                seed=seed,
            ),
        )
        for name in names
        if name in true.summary and name in other.summary
    }


def _warnings(
    cards: Mapping[str, Scorecard],
    gains: Mapping[str, Any],
    shuffled: Mapping[str, ShuffledImages],
    drift: Mapping[str, Mapping[str, float]],
    modality: str,
) -> list[str]:
    """Warnings for a reader of the table."""
    label = MODALITIES[modality].labels.metric
    name = METRICS[label].label
    said = [
        f"Shuffling the images costs RadFlow no significant {metric}: it may not look at them."
        for metric, key in ((name, label), ("reward", "reward"))
        if key in shuffled and shuffled[key].fall.low <= 0
    ]
    if label in gains and gains[label].high < 0 < gains["reward"].mean:
        said.append(f"The reward rose while {name} fell: the policy learnt to please the reward.")
    for metric, key in ((name, label), ("reward", "reward")):
        if TEMPLATE in cards and cards[RADFLOW].summary[key].mean <= cards[TEMPLATE].summary[key].mean:
            said.append(f"RadFlow's {metric} is not above that of the template, which looks at nothing.")
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
    third = min(count, len(order)) // 3
    chosen = [*order[:third], *(order[-third:] if third else [])]
    rest = [i for i in range(len(studies)) if i not in set(chosen)]
    stride = max(1, len(rest) // max(1, count - len(chosen)))
    chosen += rest[::stride][: count - len(chosen)]
    return [
        _case(studies[i], root, {n: (predictions[n][i], rewards[n][i]) for n in (TEMPLATE, SFT, RADFLOW)})
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
