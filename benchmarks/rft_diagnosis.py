"""Does RFT help on studies it never saw, and more than its controls? Whole runs for several seeds, compared.

    python benchmarks/rft_diagnosis.py quickstart --seeds 0,1,2 --out runs/gain
    python benchmarks/rft_diagnosis.py RECIPE --seeds 0,1,2,3,4 --out DIR \
        --evaluation.controls template,shuffled,sft-continued,sft-more,best-of-n

Prints one JSON object: RadFlow minus SFT and minus each control that the runs have, then every system, both
over all test studies and over the critical ones; then each seed. Other options go to the recipe. A run that
is finished is not run again, and one that was stopped goes on; with ``--finished`` none is started.

``low`` and ``high`` are the ends of a 95 % interval over seeds and patients
(`radflow.evaluation.over_seeds`); ``patients`` is the interval with the seeds as they are.

``paper_reward`` is Eq. 4-5 with the paper's weights and the rule judge, whatever reward the recipe trains on.
Label F1 is that of one report, where two empty reports agree (1); macro and micro F1 are of the corpus
(`radflow.metrics.corpus_f1`), where silence on an abnormal study is a miss.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from functools import cached_property
from pathlib import Path

import numpy as np

from radflow.config import Reward
from radflow.evaluation import bootstrap_interval, bootstrap_intervals, read_results
from radflow.evaluation.over_seeds import OverSeeds, SystemScores
from radflow.files import read_json, read_jsonl
from radflow.modality import modality_of
from radflow.readers import assertions, labeler
from radflow.reports import parse_report
from radflow.rewards import reward_of
from radflow.studies.manifest import read_manifest

COLUMNS = ("reward", "bleu2", "reward/consistency", "reward/impression", "reward/domain", "reward/syntax")
CONTROLS = ("sft", "sft-continued", "sft-more", "best-of-n", "template")


class Run:
    """A finished run, read from its files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results = folder, read_results(folder / "results.json")
        self.label = modality_of(self.results.modality).labels.metric
        manifest = read_manifest(folder / "prepare" / "studies.jsonl", check_images=False)
        by_id = {study.study_id: study for study in manifest.studies}
        self.paper_reward = reward_of(Reward(), self.results.modality)
        self.studies = [by_id[row["study_id"]] for row in read_jsonl(self._reports("sft"))]
        self.patients = [study.patient_id for study in self.studies]
        self.critical = np.array([bool(study.critical) for study in self.studies])
        self.truth = self._asserted([study.reference.canonical for study in self.studies])

    @cached_property
    def systems(self) -> dict[str, SystemScores]:
        """By name; those on other images are left out."""
        found = {}
        for name in self.results.systems:
            rows = list(read_jsonl(self.folder / "evaluation" / "scores" / f"{name}.jsonl"))
            columns: dict[str, np.ndarray] = {
                printed: np.array([math.nan if row[metric] is None else row[metric] for row in rows])
                for printed, metric in [("label_f1", self.label), *((m, m) for m in COLUMNS)]
            }
            texts = [row["text"] for row in read_jsonl(self._reports(name))]
            scored = self.paper_reward.score_many(self.studies, [[text] for text in texts])
            columns["paper_reward"] = np.array([rewards[0].total for rewards in scored])
            asserts = self._asserted([parse_report(text).canonical for text in texts])
            found[name] = SystemScores(columns=columns, asserts=asserts, truth=self.truth)
        return found

    def facts(self) -> dict:
        """What is said of this seed alone."""
        patients = {"clusters": self.patients, "resamples": 2000}
        ours, sft = self.systems["radflow"].columns, self.systems["sft"].columns
        log = [r for r in read_jsonl(self.folder / "metrics.jsonl") if r["stage"] == "rft" and r["step"] > 0]
        kinds = ("clip_fraction_critical", "clip_fraction_normal")
        summaries = {"rft": "rft", **{n: f"controls/{n}" for n in self.systems if n in CONTROLS[1:4]}}
        said = {n: read_json(self.folder / place / "summary.json") for n, place in summaries.items()}
        whole = np.ones((1, len(self.studies)))
        return {
            "gain": {
                m: _rounded(found)
                for m, found in bootstrap_intervals({m: ours[m] - sft[m] for m in ours}, **patients).items()
            },
            "systems": {
                n: {m: _number(v[0]) for m, v in _means(s, whole).items()} for n, s in self.systems.items()
            },
            "fall_when_shuffled": {m: round(f.fall.mean, 4) for m, f in self.results.shuffled.items()},
            "kept": {n: [s["best_step"], s["steps"]] for n, s in said.items()},
            "compute": {n: s["compute"] for n, s in said.items()},
            "clip": {
                k: _number(np.mean([r[k] for r in log if r[k] is not None] or [math.nan])) for k in kinds
            },
            "cases": self.results.cases,
            "seconds": {stage: round(s) for stage, s in self.results.seconds.items()},
        }

    def _reports(self, system: str) -> Path:
        return self.folder / "generate" / f"{system}.jsonl"

    def _asserted(self, texts: list[str]) -> np.ndarray:
        return assertions(labeler(self.results.modality)(texts))


class Compared:
    """The systems of all runs; resamples of patients are the same for all systems and figures.

    Args:
        runs: one per seed.
        resamples: how many.
    """

    def __init__(self, runs: list[Run], resamples: int) -> None:
        references = [[(s.study_id, s.reference.canonical) for s in run.studies] for run in runs]
        self.runs, self.crossed = runs, all(found == references[0] for found in references)
        patients = [run.patients for run in runs]
        self._seeds = OverSeeds(patients, crossed=self.crossed, resamples=resamples)

    def means(self, system: str, *, critical: bool) -> dict[str, float]:
        """Of each figure, over seeds."""
        found = self._intervals(lambda run, w: _means(run.systems[system], w), critical=critical)
        return {name: one.mean for name, one in found.items()}

    def difference(self, control: str, *, critical: bool) -> dict[str, dict]:
        """RadFlow minus a control."""

        def minus(run: Run, weights: np.ndarray) -> dict[str, np.ndarray]:
            ours, theirs = (_means(run.systems[name], weights) for name in ("radflow", control))
            return {name: ours[name] - theirs[name] for name in ours}

        found = {}
        for name, one in self._intervals(minus, critical=critical).items():
            found[name] = _rounded(one)
            if name in self.runs[0].systems["sft"].columns:
                found[name]["patients"] = self._with_seeds_as_they_are(control, name, critical=critical)
        return found

    def _intervals(self, of, *, critical: bool) -> dict:
        some = [run.critical if critical else np.ones(len(run.studies), bool) for run in self.runs]
        return self._seeds.intervals(lambda seed, weights: of(self.runs[seed], weights * some[seed]))

    def _with_seeds_as_they_are(
        self, control: str, metric: str, *, critical: bool
    ) -> dict[str, float] | None:
        values, patients = [], []
        for seed, run in enumerate(self.runs):
            change = run.systems["radflow"].columns[metric] - run.systems[control].columns[metric]
            kept = run.critical if critical else slice(None)
            values.append(change[kept])
            names = np.array([p if self.crossed else f"{seed} {p}" for p in run.patients], dtype=object)
            patients.extend(names[kept])
        together = np.concatenate(values)
        if np.isnan(together).all():
            return None
        return _rounded(bootstrap_interval(together, clusters=patients, resamples=2000))


def _means(system: SystemScores, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Its figures by the names that are printed."""
    return {name.removeprefix("corpus_"): found for name, found in system.means(weights).items()}


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def _rounded(found) -> dict[str, float | None]:
    return {"mean": _number(found.mean), "low": _number(found.low), "high": _number(found.high)}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    options.add_argument("recipe", help="a TOML file, or the name of a shipped recipe")
    options.add_argument("--seeds", type=lambda text: [int(n) for n in text.split(",")], default=[0, 1, 2])
    options.add_argument("--out", type=Path, default=Path("runs/diagnosis"))
    options.add_argument("--resamples", type=int, default=2000)
    options.add_argument("--finished", action="store_true", help="read the runs that are there, start none")
    given, overrides = options.parse_known_args()
    folders = {seed: given.out / f"seed{seed}" for seed in given.seeds}
    for seed, folder in () if given.finished else folders.items():
        command = [sys.executable, "-m", "radflow", "run", given.recipe, "--out", folder, "--seed", seed]
        ran = subprocess.run([*map(str, command), *overrides], stdout=sys.stderr, check=False)
        if ran.returncode:
            sys.exit(f"seed {seed}: the run ended with status {ran.returncode}; the same command goes on")
    runs = {seed: Run(folder) for seed, folder in folders.items()}
    compared = Compared(list(runs.values()), given.resamples)
    subsets = {"all": False, "critical": True}
    systems = [s for s in runs[given.seeds[0]].systems if all(s in run.systems for run in runs.values())]
    answer = {
        "differences": {
            f"radflow - {control}": {
                subset: compared.difference(control, critical=critical)
                for subset, critical in subsets.items()
            }
            for control in CONTROLS
            if control in systems
        },
        "systems": {
            system: {
                subset: {m: _number(v) for m, v in compared.means(system, critical=critical).items()}
                for subset, critical in subsets.items()
            }
            for system in systems
        },
        "positives_of_references": _number(np.mean([run.truth.sum(axis=1).mean() for run in runs.values()])),
        "patients": "the same for all seeds" if compared.crossed else "each seed its own",
        "recipe": given.recipe,
        "overrides": overrides,
        "seeds": {seed: run.facts() for seed, run in runs.items()},
    }
    print(json.dumps(answer, allow_nan=False))


if __name__ == "__main__":
    main()
