"""Does a policy trained on real Open-i reports look at its pictures, and which term of SFT makes it?

For each setting: fine-tune the tiny policy on the training split, write the test reports greedily, once with
the right pictures and once with the pictures dealt among the studies, and print how far label F1 and reward
fall, with the interval of the paired fall, beside the template. Prints one JSON object.

    radflow prepare iu-xray --out iu/studies.jsonl --image-size 256
    OMP_NUM_THREADS=2 python benchmarks/iu_look.py iu/studies.jsonl --settings plain recipe --seeds 0
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from radflow.baselines import most_frequent_report
from radflow.config import load_recipe
from radflow.evaluation.evaluate import derangement
from radflow.evaluation.intervals import Interval, bootstrap_interval, paired_difference
from radflow.metrics import corpus_label_f1, score
from radflow.policy import greedy_texts, load_policy
from radflow.readers import label_vector, load
from radflow.readers.labels import CHEXPERT_OBSERVATIONS
from radflow.reports import parse_report
from radflow.run.pipeline import Pipeline
from radflow.studies import Study

RECIPE = Path(__file__).parents[1] / "recipes" / "iu-xray.toml"
NO_TERM = {"sft.label_loss": "0", "sft.label_epochs": "0", "sft.token_rarity": "0"}
SETTINGS: dict[str, dict[str, str]] = {
    "plain": NO_TERM,
    "label_loss": NO_TERM | {"sft.label_loss": "1"},
    "labels_first": NO_TERM | {"sft.label_loss": "1", "sft.label_epochs": "12"},
    "rarity": NO_TERM | {"sft.token_rarity": "0.5"},
    "recipe": {},
}
"""Changes to the shipped recipe; ``recipe`` is that itself."""
ABNORMAL = CHEXPERT_OBSERVATIONS[:-1]


def show(it: Interval) -> list[float]:
    return [round(x, 3) for x in (it.mean, it.low, it.high)]


class Scorer:
    """Label F1, reward and diversity of texts for the same studies."""

    def __init__(self, pipeline: Pipeline, studies: Sequence[Study]) -> None:
        self.studies, self.reward = studies, pipeline.reward
        self.references = [s.reference.canonical for s in studies]
        vectors = label_vector(load("chexpert-rules")(self.references))
        self.abnormal = vectors[:, : len(ABNORMAL)].any(axis=1)

    def values(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        f1 = score([parse_report(t).canonical for t in texts], self.references, ["chexpert_f1"])[
            "chexpert_f1"
        ]
        rewards = self.reward.score_many(self.studies, [[t] for t in texts])
        return {"label_f1": f1, "reward": np.array([r[0].total for r in rewards])}

    def card(self, texts: Sequence[str]) -> dict[str, Any]:
        values = self.values(texts)
        labels = load("chexpert-rules")
        micro = corpus_label_f1(labels(texts), labels(self.references), ABNORMAL).micro
        return {name: show(bootstrap_interval(v)) for name, v in values.items()} | {
            "label_f1_of_abnormal_studies": round(float(values["label_f1"][self.abnormal].mean()), 3),
            "micro_f1_of_13_abnormal_classes": round(micro, 3),
            "distinct": round(len(set(texts)) / len(texts), 3),
        }


def look(pipeline: Pipeline, cases: int | None) -> dict[str, Any]:
    """Fine-tune, and measure with the right and with the dealt pictures."""
    pipeline.prepare()
    pipeline.sft()
    policy = load_policy(pipeline.workspace.path("sft", "model"), pipeline.recipe.policy)
    test = pipeline.test_studies()[:cases]
    dealt = [replace(s, images=test[j].images) for s, j in zip(test, derangement(len(test)), strict=True)]
    scorer = Scorer(pipeline, test)
    true, shuffled = (list(greedy_texts(policy, pipeline.recipe, studies)) for studies in (test, dealt))
    first, second = scorer.values(true), scorer.values(shuffled)
    template = most_frequent_report([s.reference.canonical for s in pipeline.studies["train"]])
    return {
        "template": scorer.card([template] * len(test)),
        "true": scorer.card(true),
        "shuffled": scorer.card(shuffled),
        "fall": {name: show(paired_difference(first[name], second[name])) for name in first},
        "cases": len(test),
        "sft_seconds": round(pipeline.workspace.seconds()["sft"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("manifest", help="studies.jsonl of `radflow prepare iu-xray`")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--seeds", nargs="+", default=["0"])
    parser.add_argument("--epochs", help="of SFT; the recipe's by default")
    parser.add_argument("--cases", type=int, help="at most this many test studies")
    parser.add_argument("--out", type=Path, default=Path("runs/iu-look"))
    args = parser.parse_args()
    more = {"data.source": "manifest", "data.manifest": args.manifest}
    more |= {"sft.epochs": args.epochs} if args.epochs else {}
    found: dict[str, dict[str, Any]] = {name: {} for name in args.settings}
    for name in args.settings:
        for seed in args.seeds:
            where = {"seed": seed, "out": str(args.out / f"{name}-{seed}")}
            pipeline = Pipeline(load_recipe(RECIPE, SETTINGS[name] | more | where))
            found[name][seed] = look(pipeline, args.cases)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
