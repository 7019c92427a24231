"""Can a small network see each finding in the drawn chest films? Prints one JSON object: AUC per finding.

Draws Open-i reports (read in place from the installed torchxrayvision package), trains a small convolutional
network (or a linear probe) to tell which findings a film shows, and scores it on reports it never saw. An AUC
near 0.5 means that a policy which sees pictures of this size cannot learn the finding from the picture.

    python benchmarks/chest_phantom_probe.py --count 1500 --size 96 --model cnn
"""

from __future__ import annotations

import argparse
import json
import re
import time
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch import nn

from radflow.studies.phantoms.chest import draw_chest
from radflow.studies.sources.openi import open_i_reports

FINDINGS = {
    "cardiomegaly": r"^cardiomegaly|^cardiac shadow/enlarged",
    "effusion": r"^pleural effusion|^costophrenic angle",
    "opacity": r"^(opacity|airspace disease|infiltrate|consolidation|pneumonia)",
    "atelectasis": r"^pulmonary atelectasis",
    "granuloma or nodule": r"granuloma(?!tous)|^nodule|^mass",
    "calcium": r"^calcinosis|^atherosclerosis",
    "hyperinflation": r"hyperdistention|emphysema|chronic obstructive",
    "hypoinflation": r"hypoinflation",
    "congestion or oedema": r"^pulmonary (congestion|edema)",
    "interstitial markings": r"interstitial",
    "tortuous aorta": r"^aorta.*tortuous",
    "scoliosis": r"^scoliosis",
    "degenerative spine": r"^(thoracic vertebrae|spine).*degenerative|^osteophyte|^spondylosis",
    "fracture": r"^fractures",
    "catheter": r"^catheters",
    "implant": r"^implanted",
    "clips or wires": r"^surgical instruments",
}


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve, by ranks."""
    ranks = scores.argsort().argsort() + 1.0
    positive = int(labels.sum())
    return float(
        (ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * (len(labels) - positive))
    )


class Cnn(nn.Module):
    """Four convolutions, three strided; a coarse grid, so that place matters, beside the film's maximum."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        widths = (1, 24, 48, 96, 96)
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(a, b, 3, stride=2 if i < 3 else 1, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.grid = nn.Sequential(nn.AdaptiveAvgPool2d(6), nn.Flatten(), nn.Dropout(0.3))
        self.head = nn.Linear(96 * 36 + 96, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.features(x)
        return self.head(torch.cat([self.grid(maps), maps.amax((2, 3))], dim=1))


def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int, rate: float) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, epochs * len(range(0, len(x), 32)))
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(32):
            loss = nn.functional.binary_cross_entropy_with_logits(model(x[batch]), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1500, help="reports, 70%% of them to train on")
    parser.add_argument("--size", type=int, default=96, help="pixels per side that the probe sees")
    parser.add_argument("--model", choices=("cnn", "linear"), default="cnn")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    reports = list(open_i_reports())
    order = np.random.default_rng(args.seed).permutation(len(reports))[: args.count]
    begun = time.perf_counter()
    drawings = [draw_chest(reports[i].mesh, study_id=reports[i].study_id) for i in order]
    drawing_ms = round(1000 * (time.perf_counter() - begun) / len(order), 1)
    films = [Image.fromarray(d.image).resize((args.size,) * 2, Image.Resampling.BOX) for d in drawings]
    pixels = np.stack([np.asarray(film, np.float32) for film in films])
    hits = [re.compile(p, re.I) for p in FINDINGS.values()]
    truth = np.array([[any(map(p.search, reports[i].mesh)) for p in hits] for i in order])
    cut = int(0.7 * len(order))
    x = torch.from_numpy((pixels - pixels[:cut].mean(0)) / (pixels[:cut].std(0) + 5))[:, None]
    cnn = args.model == "cnn"
    model = Cnn(len(FINDINGS)) if cnn else nn.Sequential(nn.Flatten(), nn.LazyLinear(len(FINDINGS)))
    train(model, x[:cut], torch.from_numpy(truth[:cut]).float(), args.epochs, 2e-3 if cnn else 3e-4)
    model.eval()
    with torch.no_grad():
        scores = torch.cat([model(part) for part in x[cut:].split(64)]).numpy()
    table = {}
    for name, score, held in zip(FINDINGS, scores.T, truth[cut:].T, strict=True):
        if held.any():
            table[name] = {"auc": round(auc(score, held), 3), "positives": int(held.sum())}
    print(json.dumps({"findings": table, **vars(args), "drawing_ms": drawing_ms, "images": "drawn"}))


if __name__ == "__main__":
    main()
