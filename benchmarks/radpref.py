"""Do our metrics prefer what radiologists prefer? RadPref and RadJudge of CRIMSON. Prints one JSON object.

    git clone https://github.com/rajpurkarlab/CRIMSON
    python benchmarks/radpref.py --data CRIMSON [--resamples 2000] [--seed 0]

RadPref (Baharoon et al. 2026, arXiv 2603.06183; MIT licence) has 100 chest studies with two reports each,
rated 1 to 5 by three radiologists. ``agreement``: of the pairs whose mean ratings differ, the share that a
metric orders alike; equal scores count one half, and ``ties`` says how many. ``tau``: Kendall's tau-b of
score and mean rating over all 200 reports. ``agreement_above``: of pairs whose mean ratings differ by 1 or
more.

RadJudge has rankings of short reports, each with what it tests. A ranking is right where all of its
comparisons are: "=" within 0.01, as in its own test suite; comparisons that hang on the patient's age or
indication, which no metric of ours is told, are set aside. Intervals are 95 %, from resampling studies or
rankings.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from radflow.judges.agreement import wilson
from radflow.metrics import METRICS, score
from radflow.metrics.table import default_metrics, higher_is_better

NAMES = default_metrics("chest-xray")
EQUAL = 0.01


def signed(name, generated, reference):
    """Scores of which more is better."""
    scores = score(generated, reference, [name])[name]
    return scores if higher_is_better(name) else -scores


def interval(statistic, size, resamples, seed):
    """Value with its 95 % interval from resampling."""
    generator = np.random.default_rng(seed)
    drawn = [statistic(generator.integers(0, size, size)) for _ in range(resamples)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return {
        "value": round(float(statistic(np.arange(size))), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def radpref(folder, resamples, seed):
    rows = json.loads((folder / "preference_data.json").read_text(encoding="utf-8"))
    raters = [
        json.loads(path.read_text(encoding="utf-8"))["annotations"]
        for path in sorted((folder / "radiologist_annotations").glob("user_*.json"))
    ]
    rating = np.array(
        [[np.mean([r[row["id"]][side]["rating"] for r in raters]) for side in ("C1", "C2")] for row in rows]
    )
    gap = rating[:, 0] - rating[:, 1]
    reference = [row["ground_truth_report"] for row in rows]
    result = {"agreement": {}, "agreement_above": {}, "tau": {}, "ties": {}}
    for name in NAMES:
        scores = np.stack(
            [signed(name, [row[f"{side}_report"] for row in rows], reference) for side in ("C1", "C2")],
            axis=1,
        )
        right = (np.sign(scores[:, 0] - scores[:, 1]) * np.sign(gap) + 1) / 2
        for key, kept in (("agreement", gap != 0), ("agreement_above", np.abs(gap) >= 1)):
            decided = right[kept]
            result[key][name] = interval(lambda i, d=decided: d[i].mean(), len(decided), resamples, seed)
            result[key][name]["of"] = len(decided)
        result["ties"][name] = int((right[gap != 0] == 0.5).sum())
        result["tau"][name] = interval(
            lambda i, s=scores: kendalltau(s[i].ravel(), rating[i].ravel()).statistic,
            len(rows),
            resamples // 4,
            seed,
        )
    return {"studies": len(rows), "raters": len(raters), "decided": int((gap != 0).sum()), **result}


def radjudge(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    categories = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "RANKING_TESTS"
    )
    right, aside, of = {name: defaultdict(list) for name in NAMES}, 0, 0
    for category in categories:
        for test in category["tests"]:
            candidates = test["candidates"]
            if len({c["text"] for c in candidates.values()}) < len(candidates) or any(
                "context" in c for c in candidates.values()
            ):
                aside += 1
                continue
            of += 1
            expected = test["expected_ranking"]
            for name in NAMES:
                texts = [c["text"] for c in candidates.values()]
                found = dict(
                    zip(candidates, signed(name, texts, [test["ground_truth"]] * len(texts)), strict=True)
                )
                is_right = all(
                    holds(one, found) for one in ([expected] if isinstance(expected, str) else expected)
                )
                right[name][category["category"]].append(is_right)
    return {
        "rankings": of,
        "set_aside": aside,
        "right": {name: share([x for xs in kinds.values() for x in xs]) for name, kinds in right.items()},
        "by_category": {
            name: {kind: f"{sum(xs)}/{len(xs)}" for kind, xs in kinds.items()}
            for name, kinds in right.items()
        },
    }


def holds(comparison, scores):
    sign = "=" if "=" in comparison else ">"
    first, second = (scores[part.strip()] for part in comparison.split(sign))
    return bool(abs(first - second) < EQUAL if sign == "=" else first > second)


def share(answers):
    found = wilson(sum(answers), len(answers))
    return {"value": round(found.value, 4), "low": round(found.low, 4), "high": round(found.high, 4)}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a checkout of rajpurkarlab/CRIMSON")
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    preferences = radpref(options.data / "RadPref", options.resamples, options.seed)
    rankings = radjudge(options.data / "RadJudge" / "test_cases.py")
    print(
        json.dumps(
            {
                "agreement_with_radiologists": preferences.pop("agreement"),
                "radjudge_right": rankings.pop("right"),
                "radpref": preferences,
                "radjudge": rankings,
                "metrics": {name: METRICS[name].label for name in NAMES},
                "seed": options.seed,
                "resamples": options.resamples,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
