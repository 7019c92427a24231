"""A run that looks like a real one: every file the page reads, with plausible numbers and drawn discs."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

LABELS = {
    "reward": "Total reward",
    "reward/consistency": "Consistency term (rules)",
    "carotid_f1": "Carotid label F1 (rules)",
    "radgraph_f1": "RadGraph F1 (rules)",
    "bertscore": "BERTScore (MiniLM)",
    "keyword_match": "KeyWordMatch (rules)",
}
NASTY = "<script>alert('x')</script> & \"quotes\""
REFERENCE = (
    "Findings: The right intima-media thickness is 1.2 mm. A hard plaque of 12.4 x 2.1 mm lies on the "
    "posterior wall of the right bulb, with acoustic shadowing. Peak systolic velocity is 84 cm/s on the "
    "right and 148 cm/s on the left. A soft plaque narrows the left internal carotid artery. "
    "Impression: Right carotid hard plaque. Left internal carotid stenosis of 50-69%."
)
SFT = (
    "Findings: The right intima-media thickness is 1.1 mm. No plaque is seen on the right. Peak systolic "
    "velocity is 82 cm/s on the right and 139 cm/s on the left. A soft plaque narrows the left internal "
    "carotid artery. Impression: Left internal carotid stenosis below 50%. Thickened intima."
)
RADFLOW = (
    "Findings: The right intima-media thickness is 1.2 mm. A hard plaque of 11.8 x 2.0 mm lies on the "
    "posterior wall of the right bulb. Peak systolic velocity is 86 cm/s on the right and 151 cm/s on the "
    "left. A mixed plaque narrows the left internal carotid artery. "
    "Impression: Right carotid hard plaque. Left internal carotid stenosis of 50-69%."
)
RECIPE = """name = "Carotid quickstart"
seed = 0

[policy]
model = "tiny"
lora_rank = 8

[sft]
epochs = 8.0
batch_size = 16
learning_rate = 0.002

[rft]
steps = 14
studies_per_step = 16
group_size = 4
inner_steps = 2
epsilon = 0.2
divisor = 4.0
beta = 0.04
"""


def interval(mean: float, half: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - half, "high": mean + half}


def marks(text: str, *found: tuple[str, str]) -> list[dict[str, Any]]:
    return [
        {"start": text.index(part), "end": text.index(part) + len(part), "kind": kind} for part, kind in found
    ]


def results() -> dict[str, Any]:
    means = {
        "carotid_f1": (0.367, 0.726, 0.741),
        "radgraph_f1": (0.412, 0.588, 0.629),
        "keyword_match": (0.391, 0.664, 0.671),
        "reward": (1.982, 2.788, 2.882),
        "reward/syntax": (0.398, 0.571, 0.569),
        "reward/domain": (0.391, 0.664, 0.671),
        "reward/consistency": (0.994, 0.812, 0.857),
        "reward/impression": (0.199, 0.741, 0.785),
        "bleu2": (0.381, 0.552, 0.549),
        "bleu4": (0.264, 0.421, 0.416),
        "rouge_l": (0.455, 0.611, 0.609),
        "bertscore": (0.702, 0.811, 0.812),
    }
    half = {name: 0.032 if name.startswith("reward") else 0.014 for name in means}
    return {
        "name": "Carotid quickstart",
        "date": "2026-11-21",
        "modality": "carotid-us",
        "split": "test",
        "seed": 0,
        "systems": {
            system: {name: interval(values[index], half[name]) for name, values in means.items()}
            for index, system in enumerate(("template", "sft", "radflow"))
        },
        "gain": {
            name: interval(values[2] - values[1], 0.036 if name.startswith("reward") else 0.012)
            for name, values in means.items()
        },
        "cases": 600,
        "images": "drawn",
        "seconds": {"prepare": 9.8, "sft": 106.4, "explore": 10.2, "rft": 35.1, "evaluate": 16.4},
        "shuffled": {
            name: {"true": interval(a, 0.014), "shuffled": interval(b, 0.013), "fall": interval(a - b, 0.019)}
            for name, a, b in (
                ("carotid_f1", 0.741, 0.268),
                ("reward", 2.882, 1.704),
                ("bleu2", 0.549, 0.541),
            )
        },
        "drift": {
            "reference": {"words": 58.1, "positives": 1.42, "distinct": 0.998, "most_frequent": 0.003},
            "sft": {"words": 55.2, "positives": 1.31, "distinct": 0.71, "most_frequent": 0.05},
            "radflow": {"words": 56.9, "positives": 1.38, "distinct": 0.69, "most_frequent": 0.06},
        },
        "warnings": ["The explored set is 99% critical, the split 63%."],
        "labels": LABELS,
        "versions": {"radflow": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"},
    }


def log_lines(draw: random.Random) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for step in range(1, 1051):
        line: dict[str, Any] = {"stage": "sft", "step": step}
        line["loss"] = 0.55 + 5.2 * math.exp(-step / 130) + draw.gauss(0, 0.06)
        line["learning_rate"] = 2e-3 * min(1.0, step / 60, 0.55 + 0.45 * math.cos(math.pi * step / 1050))
        if step % 100 == 0:
            line["validation_loss"] = 0.62 + 5.1 * math.exp(-step / 130)
        lines.append(line)
    for step in range(15):
        line = {"stage": "rft", "step": step}
        if step % 2 == 0:
            line["validation_reward"] = (
                2.79 + 0.11 * (1 - math.exp(-step / 4)) - 0.0012 * max(0, step - 9) ** 2
            )
            line["validation_label_f1"] = 0.726 + 0.014 * (1 - math.exp(-step / 5))
        if step:
            line |= rft_line(step, draw)
        lines.append(line)
    return lines


def rft_line(step: int, draw: random.Random) -> dict[str, float | None]:
    grown = 1 - math.exp(-step / 5)
    return {
        "loss": draw.gauss(0, 0.01),
        "reward": 1.61 + 0.42 * grown + draw.gauss(0, 0.04),
        "reward_std": 0.42 - 0.06 * grown + draw.gauss(0, 0.01),
        "reward/syntax": 0.41 + 0.03 * grown + draw.gauss(0, 0.01),
        "reward/domain": 0.44 + 0.08 * grown + draw.gauss(0, 0.01),
        "reward/consistency": 0.35 + 0.25 * grown + draw.gauss(0, 0.03),
        "reward/impression": 0.41 + 0.06 * grown + draw.gauss(0, 0.02),
        "kl": 0.0004 * step**1.4,
        "clip_fraction_critical": 0.008 + draw.random() * 0.006,
        "clip_fraction_normal": 0.001 if step % 3 else None,
        "ratio_min_critical": 0.93 - 0.02 * draw.random(),
        "ratio_max_critical": 1.07 + 0.03 * draw.random(),
        "ratio_min_normal": 0.81 - 0.02 * draw.random(),
        "ratio_max_normal": 1.16 + 0.06 * draw.random(),
        "shift_critical": 0.011 + 0.004 * draw.random(),
        "shift_normal": 0.016 + 0.004 * draw.random(),
        **({"exact_shift_critical": 0.019, "exact_shift_normal": 0.024} if step % 2 else {}),
        "grad_norm": 0.4 + 0.2 * draw.random(),
        "entropy": 0.9 - 0.1 * grown,
        "dead_groups": 0.0625 if step > 11 else 0.0,
        "length": 71 + 3 * grown + draw.gauss(0, 0.5),
        "finished": 0.97 + 0.02 * grown,
        "tokens_per_second": 5200,
    }


def exploration() -> dict[str, Any]:
    edges = [round(0.05 * i, 2) for i in range(21)]
    split = [round(400 * math.exp(-(((i - 11.5) / 4.5) ** 2))) for i in range(20)]
    picked = [count if i < 5 else (split[5] // 2 if i == 5 else 0) for i, count in enumerate(split)]
    return {
        "strategy": "hardest",
        "keep_percent": 10.0,
        "threshold": 0.275,
        "split_size": sum(split),
        "picked_size": sum(picked),
        "metrics": ["bleu2", "bertscore", "radgraph_f1"],
        "scores": {"edges": edges, "split": split, "picked": picked},
        "critical_share": {"split": 0.63, "picked": 0.99},
        "words": {"split": 57.6, "picked": 68.3},
        "positives": {"split": 1.4, "picked": 2.6},
        "labels": {
            "hard plaque": {"split": 0.31, "picked": 0.72},
            "soft plaque": {"split": 0.22, "picked": 0.49},
            "mixed plaque": {"split": 0.12, "picked": 0.38},
            "stenosis 50-69%": {"split": 0.14, "picked": 0.35},
            "stenosis 70% or more": {"split": 0.08, "picked": 0.21},
            "occlusion": {"split": 0.02, "picked": 0.05},
            "thickened intima": {"split": 0.48, "picked": 0.51},
            "normal": {"split": 0.37, "picked": 0.01},
        },
        "hardest": [
            {
                "study_id": f"carotid-{index:05d}",
                "score": 0.03 + 0.011 * index,
                "bleu2": 0.11,
                "bertscore": 0.42,
                "radgraph_f1": 0.08,
                "reference": REFERENCE,
                "prediction": SFT,
            }
            for index in range(8)
        ],
    }


def case(index: int, images: list[str]) -> dict[str, Any]:
    better = index % 3 != 1
    first, second = (SFT, RADFLOW) if better else (RADFLOW, SFT)
    return {
        "study_id": f"carotid-{index:05d}",
        "critical": [True, False, None][index % 3],
        "images": images,
        "views": ["right", "left"],
        "indication": NASTY if index == 0 else "Dizziness for two weeks.",
        "reference": {"findings": None, "impression": None, "text": REFERENCE},
        "systems": {
            "radflow": system(second),
            "sft": system(first),
        },
    }


def system(text: str) -> dict[str, Any]:
    found = [
        ("A hard plaque", "agree"),
        ("No plaque is seen on the right.", "contradict"),
        ("A soft plaque narrows the left internal carotid artery.", "agree"),
        ("A mixed plaque narrows the left internal carotid artery.", "contradict"),
        ("Left internal carotid stenosis of 50-69%.", "agree"),
        ("Left internal carotid stenosis below 50%.", "contradict"),
        ("Thickened intima.", "extra"),
    ]
    good = text == RADFLOW
    parts = {"syntax": 0.61, "domain": 0.72, "consistency": 1.0 if good else -1.0, "impression": None}
    return {
        "text": text,
        "reward": 2.33 if good else 0.33,
        "parts": parts,
        "marks": marks(text, *[(part, kind) for part, kind in found if part in text]),
    }


def draw_sheet(path: Path, seed: int, height: int) -> None:
    """A grey sheet with speckle and a vessel-like band, nothing more."""
    width = height * 4 // 3
    noise = np.random.default_rng(seed).rayleigh(40, (height, width))
    middle = height / 2 + height / 28 * np.sin(6 * np.arange(width) / width)
    inside = abs(np.arange(height)[:, None] - middle[None, :]) < height / 7
    Image.fromarray(np.uint8(np.clip(np.where(inside, 0.15, 1.0) * noise, 0, 255))).save(path)


def make_run(folder: Path, *, cases: int = 3, height: int = 48) -> Path:
    """Write a whole run into ``folder`` and return it."""
    for part in ("exploration", "rft", "evaluation", "images"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    shown = []
    for index in range(cases):
        names = [f"images/{index}-{side}.png" for side in ("right", "left")]
        for side, name in enumerate(names):
            draw_sheet(folder / name, 2 * index + side, height)
        shown.append(case(index, names))
    write = {
        "results.json": results(),
        "exploration/summary.json": exploration(),
        "rft/summary.json": {"best_step": 10, "steps": 14, "validation": [{"step": 0, "reward": 2.79}]},
        "evaluation/cases.json": shown,
    }
    for name, content in write.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    lines = [json.dumps(line) for line in log_lines(random.Random(0))]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")
