"""Measure the rule readers on Open-i and print one JSON object.

    python benchmarks/readers.py [--repeat 3] [--disagreements N]

The reference is Open-i's MeSH ``major`` tags: what an indexer found worth tagging, positives only.
``held_out`` is the R2Gen test split: nobody looked at its text while writing rules; ``development`` is the
rest.

F1 is given three ways, because a tag has no "uncertain": ``decided`` leaves out, per observation, the reports
that the reader calls uncertain; ``uncertain_positive`` and ``uncertain_negative`` count them as 1 and as 0.
``--disagreements`` prints development reports (never held-out ones) where reader and tags differ.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from radflow.readers import load
from radflow.reports import Report, render_report
from radflow.studies.openi import OpenIReport, open_i_reports, r2gen_split


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


def text_of(report: OpenIReport) -> str:
    """The canonical text of a report; a missing section is left empty."""
    return render_report(report.findings or "", report.impression or "")


def f1_by_observation(reports: Sequence[OpenIReport], *, uncertain_as: bool | None) -> dict[str, Any]:
    """F1 against the tags; ``uncertain_as=None`` leaves uncertain reports out."""
    labels = load("chexpert-rules")([text_of(report) for report in reports])
    rows: dict[str, Any] = {}
    for observation, tagged in TAGGED.items():
        counts = {"tp": 0, "fp": 0, "fn": 0}
        for report, label in zip(reports, labels, strict=True):
            state = label[observation]
            if state == -1 and uncertain_as is None:
                continue
            said, true = state == 1 or (state == -1 and bool(uncertain_as)), any(map(tagged, report.mesh))
            if said or true:
                counts["tp" if said and true else "fp" if said else "fn"] += 1
        f1 = 2 * counts["tp"] / max(1, 2 * counts["tp"] + counts["fp"] + counts["fn"])
        rows[observation] = {"f1": round(f1, 3), **counts}
    macro = sum(row["f1"] for row in rows.values()) / len(rows)
    return {"macro": round(macro, 3), **rows}


def criticality(reports: Sequence[OpenIReport]) -> dict[str, Any]:
    """Accuracy of the triage question against the tag ``normal``; untagged and empty reports are left out."""
    tagged = [
        report
        for report in reports
        if report.mesh and "No Indexing" not in report.mesh and (report.findings or report.impression)
    ]
    said = load("criticality-rules")(
        [Report(text="", findings=report.findings, impression=report.impression) for report in tagged]
    )
    truth = ["normal" not in report.mesh for report in tagged]
    right = sum(a == b for a, b in zip(said, truth, strict=True))
    return {
        "accuracy": round(right / len(tagged), 4),
        "reports": len(tagged),
        "called critical, tagged normal": sum(a and not b for a, b in zip(said, truth, strict=True)),
        "called normal, tagged otherwise": sum(b and not a for a, b in zip(said, truth, strict=True)),
    }


def reports_per_second(texts: Sequence[str], repeat: int) -> dict[str, int]:
    """Reports a second of processor time, best of ``repeat``."""
    speeds = {}
    for name in ("chexpert-rules", "radgraph-rules"):
        read = load(name)
        read(texts[:10])  # compiles the lexicon
        times = []
        for _ in range(repeat):
            start = time.process_time()
            read(texts)
            times.append(time.process_time() - start)
        speeds[name] = round(len(texts) / min(times))
    return speeds


def measure(repeat: int) -> dict[str, Any]:
    """Everything this benchmark prints."""
    held_out, development = _parts()
    result: dict[str, Any] = {}
    for name, reports in (("held_out", held_out), ("development", development)):
        result[name] = {
            "reports": len(reports),
            "f1": {
                "decided": f1_by_observation(reports, uncertain_as=None),
                "uncertain_positive": f1_by_observation(reports, uncertain_as=True),
                "uncertain_negative": f1_by_observation(reports, uncertain_as=False),
            },
            "criticality": criticality(reports),
        }
    result["reports_per_second"] = reports_per_second([text_of(report) for report in development], repeat)
    return result


def _parts() -> tuple[list[OpenIReport], list[OpenIReport]]:
    test = {number for number, split in r2gen_split().items() if split == "test"}
    held_out, development = [], []
    for report in open_i_reports():
        (held_out if report.number in test else development).append(report)
    return held_out, development


def show_disagreements(count: int) -> None:
    """Print development reports where labels and tags differ, with the uncertain ones left out."""
    _, development = _parts()
    labels = load("chexpert-rules")([text_of(report) for report in development])
    for report, label in zip(development, labels, strict=True):
        for observation, tagged in TAGGED.items():
            state, true = label[observation], any(map(tagged, report.mesh))
            if state != -1 and (state == 1) != true and count > 0:
                count -= 1
                print(
                    f"{report.study_id} {observation}: read {state}, tags {report.mesh}\n  {text_of(report)}"
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--disagreements", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.disagreements:
        show_disagreements(arguments.disagreements)
    else:
        print(json.dumps(measure(arguments.repeat), indent=1))
