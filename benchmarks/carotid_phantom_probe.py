"""How well can each fact of a carotid phantom be read from one side's sheet at 96 x 96 pixels?

Draws studies, halves the sheets, trains one small convolutional network with a head a fact, and prints one
JSON object: the test score of each fact beside that of a blind guess, and the label F1 of reports that state
the truth against those that readers wrote, the most any policy can expect. No patient is in both splits.

    OMP_NUM_THREADS=1 python benchmarks/carotid_phantom_probe.py [--studies 2000] [--difficulty 0.5]
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch import nn

from radflow.metrics import score
from radflow.reports import parse_report, render_report
from radflow.sru import GRADES
from radflow.studies.phantoms.carotid import draw_carotid_study, draw_carotid_text
from radflow.studies.phantoms.carotid.anatomy import (
    BLOCK,
    KINDS,
    SEGMENTS,
    SURFACES,
    THICKENED_MM,
    WALLS,
    stream,
)
from radflow.studies.phantoms.carotid.report import write_report

NAMES = {"kind": KINDS, "segment": SEGMENTS, "wall": WALLS, "surface": SURFACES}
HEADS = {"presence": 2, "thickened": 2, "grade": 6} | {key: len(NAMES[key]) for key in NAMES} | {"psv": 1}
EPOCHS = 12


def facts(side: dict) -> list[float]:
    """Class numbers in the order of HEADS; -1 where a fact does not apply or is not one (two plaques)."""
    found = [bool(side["plaques"]), side["imt_mm"] >= THICKENED_MM, GRADES.index(side["grade"])]
    only = side["plaques"][0] if len(side["plaques"]) == 1 else dict.fromkeys(NAMES)
    found += [names.index(only[key]) if only[key] else -1 for key, names in NAMES.items()]
    return [float(value) for value in (*found, side["psv"])]


def draw(studies: int, seed: int, difficulty: float) -> tuple[torch.Tensor, torch.Tensor]:
    pictures, labels = [], []
    for index in range(studies):
        study = draw_carotid_study(index, seed=seed, difficulty=difficulty)
        for name, sheet in study.images.items():
            pictures.append(np.asarray(Image.fromarray(sheet).resize((96, 96), Image.Resampling.BOX)))
            labels.append(facts(study.truth[name]))
    return torch.tensor(np.stack(pictures), dtype=torch.float32)[:, None] / 128 - 0.5, torch.tensor(labels)


def readers(studies: int, seed: int, difficulty: float) -> float:
    """Mean label F1 of the truth, worded, against the report of a reader who may differ."""
    drawn = [draw_carotid_text(index, seed=seed, difficulty=difficulty) for index in range(studies)]
    written = [parse_report(render_report(one.findings, one.impression)).canonical for one in drawn]
    sections = [write_report(one.truth, stream(seed, one.study_id, "probe")) for one in drawn]
    true = [parse_report(render_report(*pair)).canonical for pair in sections]
    return float(score(true, written, ["carotid_f1"])["carotid_f1"].mean())


def network() -> nn.Sequential:
    widths, layers = (1, 16, 32, 48, 64), list[nn.Module]()
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    head = (nn.Flatten(), nn.Linear(64 * 36, 96), nn.ReLU(), nn.Linear(96, sum(HEADS.values())))
    return nn.Sequential(*layers, *head)


def loss(output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    *classes, psv = output.split(list(HEADS.values()), 1)
    total = nn.functional.smooth_l1_loss(psv[:, 0], labels[:, -1] / 100)
    for column, logits in enumerate(classes):
        if (labels[:, column] >= 0).any():
            total = total + nn.functional.cross_entropy(logits, labels[:, column].long(), ignore_index=-1)
    return total


def measure(output: torch.Tensor, labels: torch.Tensor) -> dict[str, dict[str, float]]:
    scores = {}
    for column, (head, logits) in enumerate(zip(HEADS, output.split(list(HEADS.values()), 1), strict=True)):
        known = labels[:, column] >= 0
        true, guess = labels[known, column].numpy(), logits[known].numpy()
        if head == "psv":
            name, probe, blind = (
                "mean_error",
                np.abs(100 * guess[:, 0] - true),
                np.abs(true - np.median(true)),
            )
        elif head in ("presence", "thickened"):
            name, probe, blind = "auc", roc_auc_score(true, guess[:, 1] - guess[:, 0]), 0.5
        elif head == "grade":
            name, probe = "balanced_accuracy", balanced_accuracy_score(true, guess.argmax(1))
            blind = 1 / len(np.unique(true))
        else:
            name, probe = "accuracy", guess.argmax(1) == true
            blind = np.unique(true, return_counts=True)[1].max() / len(true)
        both = {"probe": np.mean(probe), "blind": np.mean(blind)}
        scores[f"{head}_{name}"] = {by: round(float(value), 3) for by, value in both.items()}
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--difficulty", type=float, default=0.5)
    options = parser.parse_args()
    studies = options.studies
    torch.manual_seed(0)
    begin = time.perf_counter()
    images, labels = draw(studies, seed=0, difficulty=options.difficulty)
    drawn = time.perf_counter()
    cut = 2 * (studies * 4 // 5 // BLOCK * BLOCK)  # a whole number of blocks, so of patients
    model = network()
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=EPOCHS * (cut // 32 + 1))
    for _ in range(EPOCHS):
        for batch in torch.randperm(cut).split(32):
            optimiser.zero_grad()
            loss(model(images[batch]), labels[batch]).backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        scores = measure(model.eval()(images[cut:]), labels[cut:])
    seconds = {"draw": round(drawn - begin, 1), "train": round(time.perf_counter() - drawn, 1)}
    scores["label_f1_of_truth"] = round(readers(studies, 0, options.difficulty), 3)
    about = {"studies": studies, "difficulty": options.difficulty}
    print(json.dumps({**scores, **about, "test_sides": len(labels) - cut, "seconds": seconds}))


if __name__ == "__main__":
    main()
