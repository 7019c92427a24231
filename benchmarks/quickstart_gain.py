"""Does RFT help on studies it never saw? The quickstart for several seeds, RadFlow minus SFT, paired.

    python benchmarks/quickstart_gain.py [--seeds 0 1 2] [--out runs/gain] [-- --rft.steps 30 ...]

Prints one JSON object: the gain in total reward and in label F1 for each seed and pooled over all of them
(bootstrap over patients of all seeds), what the shuffled images cost, and the clip fractions. Each seed
draws its own patients. Anything after ``--`` goes to the recipe. A run that is finished is not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from radflow.evaluation import bootstrap_interval, read_results
from radflow.files import read_jsonl

METRICS = (
    "reward",
    "carotid_f1",
    "reward/impression",
    "reward/consistency",
    "reward/domain",
    "reward/syntax",
)


def rows(run: Path, system: str) -> list[dict]:
    return list(read_jsonl(run / "evaluation" / "scores" / f"{system}.jsonl"))


def differences(run: Path, metric: str) -> tuple[list[float], list[str]]:
    """RadFlow minus SFT for each test study, and its patient."""
    patients = {r["study_id"]: r["patient_id"] for r in read_jsonl(run / "prepare" / "studies.jsonl")}
    tuned, sft = rows(run, "radflow"), rows(run, "sft")
    kept = [(a[metric] - b[metric], patients[a["study_id"]]) for a, b in zip(tuned, sft, strict=True)
            if a[metric] is not None and b[metric] is not None]  # fmt: skip
    return [d for d, _ in kept], [p for _, p in kept]


def interval(values: list[float], patients: list) -> dict[str, float]:
    found = bootstrap_interval(values, clusters=patients, resamples=2000)
    return {"mean": round(found.mean, 4), "low": round(found.low, 4), "high": round(found.high, 4)}


def clip_fractions(run: Path) -> dict[str, float]:
    log = [r for r in read_jsonl(run / "metrics.jsonl") if r["stage"] == "rft" and r["step"] > 0]
    kinds = ("clip_fraction_critical", "clip_fraction_normal")
    return {k: round(float(np.mean([r[k] for r in log if r[k] is not None])), 5) for k in kinds}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--out", type=Path, default=Path("runs/gain"))
    options.add_argument("overrides", nargs="*")
    given = options.parse_args()
    answer: dict = {"pooled": {}, "seeds": {}, "overrides": given.overrides}
    pooled: dict[str, tuple[list[float], list]] = {metric: ([], []) for metric in METRICS}
    for seed in given.seeds:
        run = given.out / f"seed{seed}"
        command = [sys.executable, "-m", "radflow", "quickstart", "--out", str(run), "--seed", str(seed)]
        subprocess.run([*command, *given.overrides], check=True, stdout=sys.stderr)
        results = read_results(run / "results.json")
        found = {}
        for metric in METRICS:
            values, patients = differences(run, metric)
            found[metric] = interval(values, patients)
            pooled[metric][0].extend(values)
            pooled[metric][1].extend((seed, patient) for patient in patients)
        answer["seeds"][seed] = {
            "gain": found,
            "sft": {m: round(results.systems["sft"][m].mean, 4) for m in METRICS},
            "template": {m: round(results.systems["template"][m].mean, 4) for m in METRICS},
            "fall_when_shuffled": {m: round(f.fall.mean, 4) for m, f in results.shuffled.items()},
            "step_kept": json.loads((run / "rft" / "summary.json").read_text())["best_step"],
            "clip": clip_fractions(run),
            "cases": results.cases,
            "seconds": round(sum(results.seconds.values())),
        }
    answer["pooled"] = {metric: interval(*pooled[metric]) for metric in METRICS}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
