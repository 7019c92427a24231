"""Do our metrics and the rule judge tell what follows from a report from what contradicts it? RadFact's
phrases.

    git clone https://github.com/microsoft/RadFact
    python benchmarks/radfact_nli.py --data RadFact [--resamples 2000] [--seed 0]

RadFact (Bannur et al. 2024, arXiv 2406.04449; MIT licence) has pairs of chest reports as lists of phrases,
and of each phrase whether the other report entails it, contradicts it, or neither. Prints one JSON object:

- ``auc``: per metric, the chance that an entailed phrase scores higher against the other report than a
  contradicted one; equal scores count one half. 95 % interval from resampling pairs of reports.
- ``judge``: of contradicted phrases, the share that the rule judge rejects as an Impression of the other
  report's phrases; of entailed ones, the share it rejects by mistake; of neutral ones, which it may reject
  as not founded.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from radpref import NAMES, interval, share, signed

from radflow import judges

FILES = ("src/radfact/llm_utils/nli/prompts/few_shot_examples.json", "examples/test_examples.json")
STATUSES = ("entailment", "neutral", "contradiction")


def phrases(folder):
    """(pair of reports, phrase, the other report, status)."""
    rows, pair = [], 0
    for name in FILES:
        for example in json.loads((folder / name).read_text(encoding="utf-8")):
            for side, other in ("AB", "BA"):
                premise = " ".join(example["input"][f"phrases_{other}"])
                rows += [
                    (pair, found["phrase"], premise, found["status"])
                    for found in example["output"][f"phrases_{side}_evidenced"]
                ]
            pair += 1
    return rows


def auc(higher, lower):
    if not len(higher) or not len(lower):
        return np.nan
    return float((np.sign(higher[:, None] - lower[None, :]) / 2 + 0.5).mean())


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a checkout of microsoft/RadFact")
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = phrases(options.data)
    pair = np.array([row[0] for row in rows])
    status = np.array([row[3] for row in rows])
    pairs = pair.max() + 1
    places = [np.flatnonzero(pair == one) for one in range(pairs)]

    def area(scores, drawn):
        taken = np.concatenate([places[one] for one in drawn])
        kinds, values = status[taken], scores[taken]
        return auc(values[kinds == "entailment"], values[kinds == "contradiction"])

    areas = {}
    for name in NAMES:
        scores = signed(name, [row[1] for row in rows], [row[2] for row in rows])
        areas[name] = interval(lambda drawn, s=scores: area(s, drawn), pairs, options.resamples, options.seed)
    judge = judges.load("rules").for_modality("chest-xray")
    follows = np.array(judge([(row[2], row[1]) for row in rows]))
    print(
        json.dumps(
            {
                "auc": areas,
                "judge": {
                    f"rejects {kind}": {
                        **share((~follows[status == kind]).tolist()),
                        "of": int((status == kind).sum()),
                    }
                    for kind in STATUSES
                },
                "phrases": len(rows),
                "pairs_of_reports": int(pairs),
                "seed": options.seed,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
