"""One reinforcement step, radflow against stock TRL: same model, data, tokens, reward and optimiser.

    python benchmarks/rft_step.py [--models qwen2.5-vl-small llava-small] [--settings 1300/120/4 ...]
    python benchmarks/rft_step.py --settings 1300/120/4 1300/200/4 300/120/4 1300/120/8
    python benchmarks/rft_step.py --device cuda --models qwen2.5-vl-3b --checkpointing [--peak-tflops 989]

Needs ``pip install trl==1.16.0``. Prints one JSON object, ratios first: stock seconds over ours for each
phase and the whole step (medians), our peak memory over theirs, the ceiling that the FLOP model allows,
and how far the two sides' losses and gradients are apart on the same completions at the same weights. A
setting is prefix/completion/group. The sides take turns, step by step; every step is on a study that
neither has seen. Peak memory is that of a process of its own for each side, above what it held before its
first step.

``--head stock`` leaves TRL's output head as it runs on a CPU, on all positions; by default it gets what
it has on a GPU, completion positions alone, which is the faster. On a GPU there is no difference.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import subprocess
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers
from rft_clock import PHASES, Memory, Setting
from rft_flops import Work, ceilings, phases
from rft_models import SHAPES, build_policy, write_studies
from rft_ours import Ours
from rft_parity import parity
from rft_stock import Stock

EASYR1_MFU = 0.081
"""Qwen2.5-VL-3B on 8 H100s, as EasyR1 publishes it; the whole of its training, all weights trained."""


def compare(setting: Setting, repeats: int, head: str) -> dict[str, Any]:
    """Both sides in one process, taking turns; the first step of each warms up and is not counted."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        studies = write_studies(setting.model, setting.prefix, repeats + 1, folder)
        ours = Ours(policy_of(setting), setting)
        stock = Stock(
            policy_of(setting),
            studies,
            setting,
            folder=folder / "trl",
            compact_head=head == "completions",
            after_step=lambda i: ours.step(studies[i], seed=i),
        )
        stock.run()
        times = {"stock": stock.clock.steps[1:], "ours": ours.clock.steps[1:]}
        same = parity(ours, stock, studies[-1])
    del ours, stock
    if setting.device == "cuda":  # room for the processes that measure memory
        gc.collect()
        torch.cuda.empty_cache()
    seconds = {side: summary(steps) for side, steps in times.items()}
    ratios = {
        k: seconds["stock"][k] / seconds["ours"][k]
        for k in (*PHASES, "old+ref", "whole")
        if seconds["ours"][k]
    }
    return {"ratio": ratios, "same": same, "seconds": seconds}


def summary(steps: list[dict[str, float]]) -> dict[str, float]:
    """Median seconds of each phase."""
    both = [{**step, "old+ref": step["old"] + step["ref"]} for step in steps]
    return {name: median(step[name] for step in both) for name in both[0]}


def policy_of(setting: Setting) -> Any:
    return build_policy(setting.model, setting.prefix, device=setting.device, dtype=setting.dtype)


def peak_memory(setting: Setting, side: str, head: str) -> int:
    """Bytes that one step of a side takes at most, above what the process held before."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        studies = write_studies(setting.model, setting.prefix, 1, folder)
        if side == "ours":
            ours = Ours(policy_of(setting), setting)
            memory = Memory(setting.device)
            ours.step(studies[0], seed=0)
        else:
            stock = Stock(
                policy_of(setting),
                studies,
                setting,
                folder=folder / "trl",
                compact_head=head == "completions",
                after_step=lambda i: None,
            )
            memory = Memory(setting.device)
            stock.run()
        return memory.peak()


def in_child(given: argparse.Namespace, setting: Setting, side: str) -> int:
    """`peak_memory` in a process of its own: a process cannot tell whose memory it once held."""
    text = f"{setting.prefix}/{setting.completion}/{setting.group}"
    command = [
        sys.executable,
        __file__,
        "--models",
        setting.model,
        "--settings",
        text,
        "--memory-of",
        side,
        "--head",
        given.head,
        "--inner",
        str(setting.inner),
        "--device",
        setting.device,
        "--threads",
        str(given.threads),
    ]
    command += ["--checkpointing"] if setting.checkpointing else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(json.loads(done.stdout)["peak_bytes"])


def roofline(setting: Setting, seconds: dict[str, dict[str, float]], peak: float | None) -> dict[str, Any]:
    """What the FLOP model allows, what each side reaches of the arithmetic it needs, and the utilisation."""
    shape = SHAPES[setting.model]
    work = Work(
        prefix=setting.prefix,
        completion=setting.completion,
        group=setting.group,
        inner=setting.inner,
        checkpointing=setting.checkpointing,
    )
    needed = {"stock": phases(shape, work, shared=False), "ours": phases(shape, work, shared=True)}
    rate = {side: needed[side]["update"] / seconds[side]["update"] for side in needed}
    found: dict[str, Any] = {
        "ceiling": ceilings(shape, work),
        "update_gigaflops_a_second": {side: value / 1e9 for side, value in rate.items()},
    }
    if peak is not None:
        once = replace_checkpointing(shape, work)
        found["update_mfu"] = {side: once[side] / seconds[side]["update"] / (peak * 1e12) for side in rate}
        found["mfu_published_by_easyr1"] = EASYR1_MFU
        found["peak_tflops"] = peak
    return found


def replace_checkpointing(shape: Any, work: Work) -> dict[str, float]:
    """Operations of the update without those that checkpointing repeats: they are not the model's."""
    bare = replace(work, checkpointing=False)
    return {side: phases(shape, bare, shared=side == "ours")["update"] for side in ("stock", "ours")}


def rounded(value: Any, digits: int = 4) -> Any:
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v, digits) for v in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--models", nargs="+", choices=sorted(SHAPES), default=["qwen2.5-vl-small", "llava-small"]
    )
    options.add_argument("--settings", nargs="+", default=["1300/120/4"], metavar="PREFIX/COMPLETION/GROUP")
    options.add_argument("--inner", type=int, default=2, help="optimiser steps on each group")
    options.add_argument("--repeats", type=int, default=3, help="steps of each side that count")
    options.add_argument("--checkpointing", action="store_true")
    options.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--head", choices=["completions", "stock"], default="completions")
    options.add_argument(
        "--peak-tflops", type=float, help="of the device, dense; 989 for bf16 on H100 SXM and H200"
    )
    options.add_argument("--no-memory", action="store_true")
    options.add_argument("--memory-of", choices=["ours", "stock"], help=argparse.SUPPRESS)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    warnings.filterwarnings("ignore", category=FutureWarning)
    transformers.logging.set_verbosity_error()
    settings = []
    for model in given.models:
        for text in given.settings:
            prefix, completion, group = map(int, text.split("/"))
            settings.append(
                Setting(
                    model=model,
                    prefix=prefix,
                    completion=completion,
                    group=group,
                    inner=given.inner,
                    checkpointing=given.checkpointing,
                    device=given.device,
                )
            )
    if given.memory_of:
        with contextlib.redirect_stdout(sys.stderr):
            peak = peak_memory(settings[0], given.memory_of, given.head)
        print(json.dumps({"peak_bytes": peak}))
        return
    runs = []
    for setting in settings:
        with contextlib.redirect_stdout(sys.stderr):
            found = compare(setting, given.repeats, given.head)
            print(json.dumps({"measured so far": rounded(found)}))
            if not given.no_memory:
                peaks = {side: in_child(given, setting, side) for side in ("stock", "ours")}
                found["ratio"]["memory"] = peaks["ours"] / peaks["stock"]
                found["peak_megabytes"] = {side: value / 1e6 for side, value in peaks.items()}
        on_gpu = given.device == "cuda"
        found["roofline"] = roofline(
            setting, found["seconds"], given.peak_tflops or (989.0 if on_gpu else None)
        )
        name = f"{setting.model} {setting.prefix}/{setting.completion}/{setting.group}"
        runs.append({"run": name, **found})
    machine = torch.cuda.get_device_name() if given.device == "cuda" else f"CPU, {given.threads} thread(s)"
    answer = {"runs": rounded(runs), "machine": machine, "torch": torch.__version__, "options": vars(given)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
