"""How the cost of the group engine grows with group, prefix and completion, against the FLOP model.

    python benchmarks/rft_scaling.py [--model qwen2.5-vl-small] [--out docs/rft_scaling.png]

One axis at a time around 1300/120/4: G from 2 to 16, prefix from 100 to 2000, completion from 30 to 400.
At each point, taking turns: one forward and backward of the update with a shared prefix and features
known, the same with one row per completion and the tower in it, and sampling a group. Prints one JSON
object: by how many times each grows along each axis, measured and by the model, and how far the points
lie from the model's line (the model has one free constant per curve, its rate in operations per second).
Draws them on one plot, log against log.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import torch
import transformers
from rft_clock import BETA, EPSILON, Setting, reward
from rft_flops import Work, backward, forward, phases, sizes, tower
from rft_models import SHAPES, build_policy, layout, write_studies
from rft_ours import Ours

from radflow.capo import capo_loss, group_advantage
from radflow.policy import Group, completion_logprobs, sample_groups

mpl.use("Agg")
from matplotlib import pyplot as plt

MIDDLE = {"group": 4, "prefix": 1_300, "completion": 120}
POINTS = {
    "group": (2, 4, 8, 16),
    "prefix": (100, 300, 700, 1_300, 2_000),
    "completion": (30, 60, 120, 240, 400),
}
CURVES = {
    "plain": ("one row per completion: forward and backward", "C3", "s"),
    "shared": ("shared prefix: forward and backward", "C0", "o"),
    "sample": ("sampling, prefill once", "C2", "^"),
}


def operations(model: str, work: Work) -> dict[str, float]:
    """What the FLOP model says of each curve."""
    shape = SHAPES[model]
    shared, plain = sizes(work, shared=True), sizes(work, shared=False)
    pictures = work.group * tower(shape, layout(shape, work.prefix))
    steps = phases(shape, work, shared=True)
    return {
        "shared": forward(shape, *shared) + backward(shape, *shared),
        "plain": pictures + forward(shape, *plain) + backward(shape, *plain),
        "sample": steps["prefill"] + steps["decode"],
    }


def measure(model: str, work: Work, repeats: int) -> dict[str, float]:
    """Median seconds of each curve at one point."""
    setting = Setting(model=model, prefix=work.prefix, completion=work.completion, group=work.group)
    with tempfile.TemporaryDirectory() as place:
        studies = write_studies(model, work.prefix, repeats, Path(place))
        ours = Ours(build_policy(model, work.prefix), setting)
        seconds: dict[str, list[float]] = {name: [] for name in CURVES}
        for i, study in enumerate(studies):
            (group,), sampling = timed(lambda study=study, i=i: sample(ours, study, work, seed=i))
            if not i:  # the first call checks packed against plain; that is not the cost of a step
                with torch.no_grad():
                    ours.forward([group])
            _, shared = timed(lambda group=group: step(ours, group, ours.forward([group])))
            _, plain = timed(lambda group=group: step(ours, group, plain_forward(ours, group)))
            for name, value in zip(("sample", "shared", "plain"), (sampling, shared, plain), strict=True):
                seconds[name].append(value)
    return {name: median(values) for name, values in seconds.items()}


def timed(do: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()  # not the wall's: others use the machine
    result = do()
    return result, time.process_time() - start


def sample(ours: Ours, study: Any, work: Work, *, seed: int) -> list[Group]:
    return sample_groups(
        ours.policy,
        [study],
        group_size=work.group,
        max_new_tokens=work.completion,
        seeds=[seed],
    )


def plain_forward(ours: Ours, group: Group) -> tuple[torch.Tensor, torch.Tensor]:
    prompts = [ours.policy.encoder(group.study) for _ in group.completions]
    completions = [c.token_ids for c in group.completions]
    return completion_logprobs(ours.policy.model, prompts, completions, pad_id=ours.policy.pad_id)


def step(ours: Ours, group: Group, made: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Loss and backward of one inner step; reference and old ones at hand."""
    logprobs, mask = made
    advantage = group_advantage(torch.tensor([[reward(text) for text in group.texts]])).flatten()
    given = logprobs.detach()
    loss, _ = capo_loss(
        logprobs, given, given, mask, advantage, torch.full_like(advantage, EPSILON), beta=BETA
    )
    loss.backward()
    ours.policy.model.zero_grad()


def fitted(points: list[dict[str, Any]]) -> dict[str, float]:
    """Operations per second of each curve: the one free constant, by least squares on the logarithms."""
    logs = {n: [math.log(p["operations"][n] / p["seconds"][n]) for p in points] for n in CURVES}
    return {name: math.exp(sum(values) / len(values)) for name, values in logs.items()}


def draw(points: list[dict[str, Any]], rates: dict[str, float], model: str, out: Path) -> None:
    """Measured points and the model's lines, one panel an axis."""
    figure, panels = plt.subplots(1, len(POINTS), figsize=(12, 4.2), sharey=True, layout="constrained")
    for panel, (axis, values) in zip(panels, POINTS.items(), strict=True):
        mine = [p for p in points if p["axis"] == axis]
        fine = [round(values[0] * (values[-1] / values[0]) ** (k / 40)) for k in range(41)]
        for name, (label, colour, marker) in CURVES.items():
            line = [operations(model, Work(**{**MIDDLE, axis: n}))[name] / rates[name] for n in fine]
            panel.plot(fine, line, colour, linewidth=1.2)
            panel.plot(
                [p["value"] for p in mine],
                [p["seconds"][name] for p in mine],
                colour,
                marker=marker,
                linestyle="none",
                label=label,
            )
        panel.set(
            xscale="log",
            yscale="log",
            xlabel={
                "group": "completions per study (G)",
                "prefix": "prefix, tokens",
                "completion": "completion, tokens",
            }[axis],
        )
        panel.set_xticks(values, [f"{v:,}" for v in values])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds, one core")
    panels[0].legend(fontsize=8, loc="upper left")
    figure.suptitle(
        f"{model}: points measured, lines by the FLOP model (one rate a colour); "
        "other axes at prefix 1,300, completion 120, G 4",
        fontsize=10,
    )
    figure.savefig(out, dpi=130)


def growth(points: list[dict[str, Any]], axis: str, field: str) -> dict[str, float]:
    """How many times the last point of an axis costs the first."""
    mine = [p for p in points if p["axis"] == axis]
    return {name: round(mine[-1][field][name] / mine[0][field][name], 2) for name in CURVES}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--model", choices=sorted(SHAPES), default="qwen2.5-vl-small")
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--out", type=Path, default=Path("docs/rft_scaling.png"))
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    transformers.logging.set_verbosity_error()
    measure(given.model, Work(prefix=300, completion=30, group=2), 1)  # warms up
    known: dict[Work, dict[str, float]] = {}
    points = []
    for axis, values in POINTS.items():
        for value in values:
            work = Work(**{**MIDDLE, axis: value})
            if work not in known:
                known[work] = measure(given.model, work, given.repeats)
            needed = operations(given.model, work)
            points.append({"axis": axis, "value": value, "seconds": known[work], "operations": needed})
    rates = fitted(points)
    off = {
        name: max(
            max(r, 1 / r) for r in (p["seconds"][name] * rates[name] / p["operations"][name] for p in points)
        )
        for name in CURVES
    }
    draw(points, rates, given.model, given.out)
    for point in points:
        point["seconds"] = {name: round(value, 4) for name, value in point["seconds"].items()}
        point["operations"] = {name: round(value / 1e9, 3) for name, value in point["operations"].items()}
    answer = {
        "plain_over_shared": {
            f"{p['axis']} {p['value']}": {
                "measured": round(p["seconds"]["plain"] / p["seconds"]["shared"], 2),
                "model": round(p["operations"]["plain"] / p["operations"]["shared"], 2),
            }
            for p in points
        },
        "growth_measured": {axis: growth(points, axis, "seconds") for axis in POINTS},
        "growth_by_model": {axis: growth(points, axis, "operations") for axis in POINTS},
        "farthest_from_line": {name: round(value, 2) for name, value in off.items()},
        "gigaflops_a_second": {name: round(value / 1e9, 1) for name, value in rates.items()},
        "points": points,
        "options": {k: str(v) for k, v in vars(given).items()},
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
