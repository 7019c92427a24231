"""Measure chexpert-rules on Open-i, and the speed of every rule reader. Prints one JSON object.

    python benchmarks/readers.py [--repeat 3] [--resamples 2000]
    python benchmarks/readers.py --disagreements 20     # development reports to read, never held-out ones

The reference is Open-i's MeSH ``major`` tags: what an indexer found worth tagging, positives only.
``held_out`` is the R2Gen test split: nobody looked at its text while writing rules; ``development`` is the
rest. A tag has no "uncertain", so labels are read in three ways:

- ``strict``, the one to quote: positive where the reader says 1. A tag is a positive, and so is a 1.
- ``decided``: a report that the reader calls uncertain is left out, observation by observation.
- ``lenient``: 1 and uncertain are both positive, as in the F1 that radflow trains and scores with.

Open-i's indexer tags a calcified nodule as a nodule, so the reader is asked for those too
(``chexpert_labeler(calcified=True)``); ``lung lesion by default`` is without them.

Intervals are 95 %, from resampling reports; several observations have two held-out cases.

``open_i_disagreements.csv`` holds 200 strict disagreements, drawn at random from the 353 that an earlier
state of the rules had on development reports, and what each turned out to be when it was read: ``reader``
(the reader's fault), ``tag`` (the tag is missing, or the text does not support it), ``definition`` (doubtful
words, or a tag that means something else), ``text`` (mistyped, or the word that decides is masked).
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radflow.readers import load
from radflow.readers.chexpert import chexpert_labeler, chexpert_rules
from radflow.reports import Report, render_report
from radflow.studies.sources.openi import OpenIReport, open_i_reports, r2gen_split

LABELER = chexpert_labeler(calcified=True)
RULES = ("chexpert-rules", "radgraph-rules", "criticality-rules", "carotid-terms", "carotid-labels")
DISAGREEMENTS = Path(__file__).with_name("open_i_disagreements.csv")
READINGS = ("strict", "decided", "lenient")


def _is(tag: str, *names: str) -> bool:
    return any(tag == name or tag.startswith(name + "/") for name in names)


def _round_in_lung(tag: str) -> bool:
    """Open-i's way to say "nodular opacity": ``Opacity/lung/upper lobe/left/round``."""
    parts = tag.split("/")
    return parts[0] in ("Opacity", "Density") and "round" in parts and "lung" in parts


TAGGED: dict[str, Callable[[str], bool]] = {
    "Cardiomegaly": lambda tag: _is(tag, "Cardiomegaly", "Cardiac Shadow/enlarged"),
    "Lung Lesion": lambda tag: _is(tag, "Nodule", "Mass") or _round_in_lung(tag),
    "Edema": lambda tag: _is(tag, "Pulmonary Edema", "Pulmonary Congestion", "Heart Failure"),
    "Consolidation": lambda tag: _is(tag, "Consolidation"),
    "Pneumonia": lambda tag: _is(tag, "Pneumonia"),
    "Atelectasis": lambda tag: _is(tag, "Pulmonary Atelectasis"),
    "Pneumothorax": lambda tag: _is(tag, "Pneumothorax", "Hydropneumothorax", "Hemopneumothorax"),
    "Pleural Effusion": lambda tag: _is(
        tag, "Pleural Effusion", "Hydropneumothorax", "Hemopneumothorax", "Hemothorax"
    ),
    "Fracture": lambda tag: _is(tag, "Fractures, Bone"),
    "Support Devices": lambda tag: _is(
        tag, "Catheters, Indwelling", "Implanted Medical Device", "Surgical Instruments", "Tube, Inserted",
        "Medical Device", "Stents", "Sutures", "Spinal Fusion", "Breast Implants",
    ),
}  # fmt: skip
"""Observation -> whether a tag means it. Lung Opacity, Pleural Other and the mediastinum have no such tag."""


def text_of(report: OpenIReport) -> str:
    """The canonical text of a report; a missing section is left empty."""
    return render_report(report.findings or "", report.impression or "")


def states(reports: Sequence[OpenIReport]) -> np.ndarray:
    """What the reader says, ``(reports, observations of TAGGED)``: 1, 0 (denied or not mentioned), -1."""
    labels = LABELER([text_of(report) for report in reports])
    return np.array([[label[observation] or 0 for observation in TAGGED] for label in labels])


def truths(reports: Sequence[OpenIReport]) -> np.ndarray:
    """What the tags say, ``(reports, observations of TAGGED)``, booleans."""
    return np.array([[any(map(tagged, report.mesh)) for tagged in TAGGED.values()] for report in reports])


def lung_lesion_by_default(reports: Sequence[OpenIReport]) -> float:
    """Strict F1 of Lung Lesion where calcified nodules are no lesions."""
    labels = chexpert_rules([text_of(report) for report in reports])
    said = np.array([[label["Lung Lesion"] or 0] for label in labels])
    true = truths(reports)[:, [list(TAGGED).index("Lung Lesion")]]
    return _round(f1(hits(said, true, "strict").sum(axis=1))[0])


def hits(said: np.ndarray, true: np.ndarray, reading: str) -> np.ndarray:
    """True positives, false positives and misses of each report, ``(3, reports, observations)``."""
    positive = said == 1 if reading != "lenient" else said != 0
    counted = said != -1 if reading == "decided" else np.ones_like(true)
    return np.stack([positive & true, positive & ~true, ~positive & true]) & counted


def f1(counts: np.ndarray) -> np.ndarray:
    """F1 of each observation from ``(3, ..., observations)`` counts; ``nan`` where nothing is there."""
    right, false, missed = counts
    total = 2 * right + false + missed
    return np.where(total > 0, 2 * right / np.maximum(total, 1), np.nan)


def agreement(reports: Sequence[OpenIReport], resamples: int) -> dict[str, Any]:
    """F1 against the tags in every reading, macro with an interval."""
    said, true = states(reports), truths(reports)
    draws = np.random.default_rng(0).multinomial(len(reports), [1 / len(reports)] * len(reports), resamples)
    result: dict[str, Any] = {"reports": len(reports)}
    for reading in READINGS:
        per_report = hits(said, true, reading)
        counts = per_report.sum(axis=1)
        resampled = np.nanmean(f1(np.stack([draws @ kind for kind in per_report.astype(int)])), axis=-1)
        low, high = np.percentile(resampled, [2.5, 97.5])
        result[reading] = {"macro": _round(f1(counts).mean()), "interval": [_round(low), _round(high)]}
        for number, observation in enumerate(TAGGED):
            right, false, missed = counts[:, number].tolist()
            result[reading][observation] = {
                "f1": _round(f1(counts)[number]), "right": right, "false": false, "missed": missed
            }  # fmt: skip
    return result


def disagreements(reports: Sequence[OpenIReport]) -> dict[str, Any]:
    """What the 200 turned out to be, and how many the reader still has.

    Raises:
        ValueError: a row is not about a disagreement of the kind it states.
    """
    said, true = states(reports), truths(reports)
    row_of = {report.number: number for number, report in enumerate(reports)}
    found, mended = Counter[str](), Counter[str]()
    with DISAGREEMENTS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            at = row_of[int(row["report"])], list(TAGGED).index(row["observation"])
            tagged = row["tagged"] == "yes"
            if tagged != true[at] or tagged == (row["read"] == "stated"):
                raise ValueError(f"Expected a strict disagreement with the tags of Open-i, got {row}.")
            found[row["verdict"]] += 1
            mended[row["verdict"]] += int((said[at] == 1) == tagged)
    now = hits(said, true, "strict")[1:].sum()
    return {"read": dict(found), "no longer": dict(mended), "all strict disagreements now": int(now)}


def speed(texts: Sequence[str], repeat: int) -> dict[str, dict[str, float]]:
    """Reports per second of processor time, and how seconds per KB grow with the length of one text."""
    result = {}
    for name in RULES:
        per_second = len(texts) / _seconds(name, texts, repeat)
        long = " ".join(texts[:400])
        each = [_seconds(name, [long[: size * 1000]] * (100 // size), repeat) / 100 for size in (1, 10, 100)]
        result[name] = {
            "reports per second": round(per_second),
            **{
                f"ms per KB at {size} KB": round(1e3 * cost, 3)
                for size, cost in zip((1, 10, 100), each, strict=True)
            },
            "a KB at 100 KB over a KB at 1 KB": round(each[2] / each[0], 2),
        }
    return result


def _seconds(name: str, texts: Sequence[str], repeat: int) -> float:
    """Processor seconds, best of ``repeat``."""
    reports = [Report(text=text, findings=None, impression=None) for text in texts]
    given = reports if name == "criticality-rules" else texts
    read = load(name)
    read(given[:10])  # compiles the lexicon
    times = []
    for _ in range(repeat):
        start = time.process_time()
        read(given)
        times.append(time.process_time() - start)
    return min(times)


def parts() -> tuple[list[OpenIReport], list[OpenIReport]]:
    """Held-out and development reports."""
    test = {number for number, split in r2gen_split().items() if split == "test"}
    held_out, development = [], []
    for report in open_i_reports():
        (held_out if report.number in test else development).append(report)
    return held_out, development


def show_disagreements(count: int) -> None:
    """Print development reports (never held-out ones) that are strict disagreements, drawn at random."""
    _, development = parts()
    said, true = states(development), truths(development)
    at = np.argwhere((said == 1) != true)
    for report, observation in np.random.default_rng(0).permutation(at)[:count]:
        name, state = list(TAGGED)[observation], said[report, observation]
        print(f"{development[report].number} {name}: read {state}, tags {development[report].mesh}")
        print(f"  {text_of(development[report])}")


def _round(value: float) -> float:
    return round(float(value), 3)


def measure(repeat: int, resamples: int) -> dict[str, Any]:
    """Everything this benchmark prints."""
    held_out, development = parts()
    return {
        "held_out": agreement(held_out, resamples),
        "development": agreement(development, resamples),
        "lung lesion by default": {
            "held_out": lung_lesion_by_default(held_out),
            "development": lung_lesion_by_default(development),
        },
        "disagreements": disagreements(development),
        "speed": speed([text_of(report) for report in development], repeat),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--disagreements", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.disagreements:
        show_disagreements(arguments.disagreements)
    else:
        print(json.dumps(measure(arguments.repeat, arguments.resamples), indent=1))
