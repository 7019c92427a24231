"""What running rewards beside the model saves, when a judge answers slowly.

    python benchmarks/rft_overlap.py [--waits 0 1 2 4] [--steps 6]

Real steps of RFT on the tiny policy (random weights, 16 studies, G 4, two inner steps), with a reward that
waits for a while, as a judge behind a network does. Three ways, the same reward calls: ``in_turn`` waits for
the rewards before anything else; ``on_policy`` runs the reference pass meanwhile; ``one_stale`` also samples
the next rollout and takes the update before. Prints one JSON object: by how many times each is quicker than
``in_turn``, and seconds a step (median, the first and the last left out).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image

from radflow.config import Recipe, Tiny, make_recipe
from radflow.policy import FeatureStore, GroupForward, PromptEncoder, build_tiny, load_policy
from radflow.reports import parse_report
from radflow.rewards import PARTS, Reward
from radflow.studies import Study
from radflow.training.rft_step import Stepper
from radflow.training.rollout import Pending, Roller
from radflow.workspace import derive_seed

TEXT = "Findings: Clear lungs, normal heart. Impression: Normal chest."
WAYS = ("in_turn", "on_policy", "one_stale")


class Slow:
    """A reward that thinks about each call for ``wait`` seconds, without using the processor."""

    def __init__(self, wait: float) -> None:
        self.wait = wait

    def score_many(self, studies: Sequence[Study], texts: Sequence[Sequence[str]]) -> list[list[Reward]]:
        time.sleep(self.wait)
        parts = dict.fromkeys(PARTS)
        return [[Reward(total=float(sum(map(ord, t)) % 97), parts=parts) for t in group] for group in texts]


class InTurn(Roller):
    """Waits for the rewards at once."""

    def start(self, step: int) -> Pending:
        pending = super().start(step)
        pending.rewards.result()
        return pending


def write_studies(folder: Path, count: int) -> list[Study]:
    studies = []
    for i in range(count):
        path = folder / f"{i}.png"
        pixels = np.random.default_rng(i).integers(0, 255, (96, 96), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        studies.append(
            Study(
                study_id=f"s{i}",
                patient_id=f"p{i}",
                images=(path,),
                reference=parse_report(TEXT),
                critical=i % 2 == 0,
            )
        )
    return studies


def seconds_a_step(folder: Path, studies: list[Study], way: str, wait: float, steps: int) -> float:
    recipe: Recipe = make_recipe(
        {
            "rft": {
                "steps": steps,
                "studies_per_step": len(studies),
                "stale_updates": int(way == "one_stale"),
                "exact_shift_every": 0,
            },
            "policy": {"max_new_tokens": 60},
        }
    )
    torch.manual_seed(0)
    policy = load_policy(folder, recipe.policy, adapter="fresh")
    encoder = PromptEncoder(policy, instruction=recipe.policy.prompt)
    features = FeatureStore(policy.model, max_bytes=2**30)
    accelerator = Accelerator(cpu=True)
    optimizer = torch.optim.AdamW([p for p in policy.model.parameters() if p.requires_grad], lr=1e-3)
    kind = InTurn if way == "in_turn" else Roller
    order = [list(range(len(studies)))] * steps
    roller = kind(
        policy,
        encoder,
        features,
        studies,
        order,
        Slow(wait),
        recipe,
        lambda *names: derive_seed(0, *names),
    )
    forward = GroupForward(policy, encoder, features=features)
    stepper = Stepper(policy, policy.model, forward, roller, optimizer, accelerator, recipe)
    taken = []
    for step in range(steps):
        begun = time.perf_counter()
        stepper(step)
        taken.append(time.perf_counter() - begun)
    roller.close()
    # One update stale, the first step samples twice and the last not at all.
    return median(taken[1:-1])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--waits", type=float, nargs="+", default=[0.0, 1.0, 2.0, 4.0])
    options.add_argument("--steps", type=int, default=6)
    options.add_argument("--studies", type=int, default=16)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    answer: dict[str, Any] = {"speed": {}, "seconds": {}, "options": vars(given)}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        studies = write_studies(folder, given.studies)
        texts = [TEXT] * 4 + [" ".join(f"word{i}" for i in range(900))] * 3
        build_tiny(Tiny(), folder, texts=texts, images=[s.images[0] for s in studies], seed=0)
        for wait in given.waits:
            taken = {w: seconds_a_step(folder, studies, w, wait, given.steps) for w in WAYS}
            answer["seconds"][f"{wait:g}"] = {w: round(s, 2) for w, s in taken.items()}
            answer["speed"][f"{wait:g}"] = {w: round(taken["in_turn"] / s, 2) for w, s in taken.items()}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
