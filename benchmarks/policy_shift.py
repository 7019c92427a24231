"""How far the policy moves on critical and on normal cases, and what the guard changes (docs/theory.md).

    python benchmarks/policy_shift.py RUN [RUN ...] [--figure shift.png]
    python benchmarks/policy_shift.py --train runs/shift [--figure shift.png] [-- --rft.steps 30 ...]

Reads the ``metrics.jsonl`` of finished runs. With ``--train`` it makes two first: ``carotid-easy`` up to RFT
with the guard, and its RFT again without it, from the same SFT policy and the same explored studies. Prints
one JSON object, one entry per run, and draws the shift of every rollout beside its epsilon. Anything
after ``--`` goes to the recipe.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from radflow.config import load_recipe
from radflow.files import read_jsonl

CLASSES = ("critical", "normal")
STAGES = ("sft", "explore", "rft")


def train(out: Path, overrides: list[str]) -> list[Path]:
    """The two runs: with the guard, and without it from the same start."""
    runs = [out / "guard-on", out / "guard-off"]
    recipe = Path(__file__).parents[1] / "recipes" / "carotid-easy.toml"
    for run, guard in zip(runs, ("stop", "off"), strict=True):
        if guard == "off" and not run.exists():
            shutil.copytree(runs[0], run, ignore=shutil.ignore_patterns("rft", "rft*.json"))
        for stage in STAGES:
            command = [sys.executable, "-m", "radflow", stage, str(recipe), "--out", str(run)]
            subprocess.run([*command, "--rft.shift_guard", guard, *overrides], check=True, stdout=sys.stderr)
    return runs


def epsilons(run: Path) -> dict[str, float]:
    knobs = load_recipe(run / "recipe.toml").rft
    return {"critical": knobs.epsilon / knobs.divisor, "normal": knobs.epsilon}


def columns(run: Path) -> dict[str, np.ndarray]:
    """Every figure of RFT's log by rollout; NaN where a rollout does not have it."""
    log = [row for row in read_jsonl(run / "metrics.jsonl") if row["stage"] == "rft" and row["step"] > 0]
    names = {name for row in log for name, value in row.items() if isinstance(value, int | float)}
    return {n: np.array([np.nan if row.get(n) is None else row[n] for row in log], float) for n in names}


def known(log: dict[str, np.ndarray], name: str) -> np.ndarray:
    values = log.get(name, np.array([]))
    return values[np.isfinite(values)]


def mean(log: dict[str, np.ndarray], name: str) -> float | None:
    values = known(log, name)
    return round(float(values.mean()), 5) if values.size else None


def describe(run: Path) -> dict[str, object]:
    """The ratio of the classes first, then each class."""
    log, bound = columns(run), epsilons(run)
    after = {c: mean(log, f"exact_shift_{c}") for c in CLASSES}
    answer: dict[str, object] = {"critical_to_normal": None, "guard_stopped": mean(log, "guard_stopped")}
    if after["critical"] is not None and after["normal"]:
        answer["critical_to_normal"] = round(after["critical"] / after["normal"], 3)
    for c in CLASSES:
        exact = known(log, f"exact_shift_{c}")
        answer[c] = {
            "epsilon": bound[c],
            "exact_shift": after[c],
            "exact_shift_max": round(float(exact.max()), 5) if exact.size else None,
            "rollouts_past_epsilon": round(float((exact > bound[c]).mean()), 3) if exact.size else None,
            "shift_after": mean(log, f"shift_after_{c}"),
            "shift_before_last_step": mean(log, f"shift_{c}"),
            "clip_fraction": mean(log, f"clip_fraction_{c}"),
            "ratio_max": round(float(known(log, f"ratio_max_{c}").max()), 3),
        }
    return answer | {"rollouts": len(log["step"])}


def draw(axes: Axes, name: str, log: dict[str, np.ndarray], bound: float) -> None:
    for c, colour in zip(CLASSES, ("tab:red", "tab:blue"), strict=True):
        exact = log.get(f"exact_shift_{c}", np.full(len(log["step"]), np.nan))
        measured = np.isfinite(exact)
        axes.plot(log["step"], log[f"shift_{c}"], colour, lw=1, label=f"{c}, sampled, before the last step")
        axes.plot(
            log["step"][measured], exact[measured], "o", color=colour, ms=4, label=f"{c}, exact, at the end"
        )
        axes.axhline(bound[c], color=colour, ls=":", lw=1, label=f"epsilon, {c}")
    axes.set(title=name, xlabel="rollout", ylim=(0, None))


def figure(runs: list[Path], path: Path) -> None:
    _, row = plt.subplots(
        1, len(runs), figsize=(5 * len(runs), 3.6), sharey=True, squeeze=False, layout="tight"
    )
    for run, axes in zip(runs, row[0], strict=True):
        draw(axes, run.name, columns(run), epsilons(run))
    row[0][0].set_ylabel("L1 policy shift")
    row[0][0].legend(fontsize=7)
    plt.savefig(path, dpi=150)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--train", type=Path, metavar="DIR")
    options.add_argument("--figure", type=Path)
    options.add_argument("arguments", nargs="*", help="runs, or after -- what goes to the recipe")
    given = options.parse_args()
    runs = train(given.train, given.arguments) if given.train else [Path(run) for run in given.arguments]
    print(json.dumps({str(run): describe(run) for run in runs}))
    if given.figure:
        figure(runs, given.figure)


if __name__ == "__main__":
    main()
