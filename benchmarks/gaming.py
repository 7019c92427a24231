"""What does a reward pay to a report that did not look, or that is wrong? Prints one JSON object.

    python benchmarks/gaming.py [--modality chest-xray carotid-us] [--studies 300] [--seed 0] > gaming.json
    python benchmarks/gaming.py --half report --rewards diagnosis --knobs '{"silence": 0.02}' > half.json
    python benchmarks/gaming.py --table gaming.json [--before older.json]      # Markdown, for docs/gaming.md

References are real reports of Open-i with both sections, and reports of carotid phantoms. Four kinds of
systems:

- ``honest``: the reference in other words (``paraphrase``), and the report of the study whose findings are
  most alike (``nearest by tags``: it sees the answer, in Open-i's MeSH tags or the phantom's truth).
- ``blind``: systems that see no picture, from the most frequent normal report to the report of the nearest
  indication. Each should earn less than ``nearest by tags``.
- ``wrong``: the reference with one fault of content. Each should earn less than ``paraphrase`` does, on the
  studies whose report the fault changes.
- ``form``: the reference padded, shuffled or without headers; a reward should pay less for it, but a metric
  of content may not mind.

``cost`` is what the honest report earns more, on the same studies; ``ordered`` that its whole 95 % interval
(bootstrap over studies) lies above 0. ``blind_over_tags`` is what the best-paid blind system earns over what
``nearest by tags`` earns. ``random_over_constant`` is what a random real report earns more than each system
that writes one report for all: where it is not above 0, a policy gains by falling silent. Every reward of
`REWARDS` and the recipe's preset ``diagnosis`` are measured whole, and each term and each metric of the
modality alone. It is the acceptance test of a new term: run it before and after. ``gaming_weights.py`` looks
for better weights of the preset on one half of the references; ``--half report --knobs`` tries them on the
other.
"""

from __future__ import annotations

import argparse
import json
import random
from functools import partial
from pathlib import Path

import numpy as np
from gaming_systems import CAROTID, CASES, CHEST, Systems, study_of, text

from radflow import config, judges, readers
from radflow.evaluation.intervals import bootstrap_interval
from radflow.metrics import METRICS, ReadOnce, score
from radflow.reports import parse_report
from radflow.rewards import PARTS, HierarchicalReward, label_prevalence, reward_of

PAPER = "paper"
FINDINGS = {"domain_metric": "finding_match", "impression_metric": "finding_match"}
REWARDS = {
    CHEST: {
        PAPER: {},
        "findings": FINDINGS,
        "findings x 2": {**FINDINGS, "domain_weight": 2.0, "gamma": 2.0},
    },
    CAROTID: {PAPER: {}, "content x 2": {"domain_weight": 2.0, "gamma": 2.0}},
}
"""Knobs of `HierarchicalReward` by name; those of a metric that this version lacks are left out."""
DIAGNOSIS = "diagnosis"
"""The recipe's preset of that name; it is told the prevalence of labels among all cases."""
CONSTANT = (
    "constant normal",
    "constant normal with hedges",
    "constant abnormal",
    "list of denials",
    "shortest normal",
    "all positive",
    "keyword soup",
    "Stable. and nothing else",
    "empty sections",
)
"""Systems that write one report for all."""
RESAMPLES = 1000
KINDS = ("blind", "wrong", "form")
HALVES = ("choose", "report")
"""Of the cases, by number: on the first the weights of `DIAGNOSIS` were chosen (``gaming_weights.py``)."""
ALONE = "alone"
"""Each metric of the modality by itself."""
EVERY = (*dict.fromkeys(name for of in REWARDS.values() for name in of), DIAGNOSIS, ALONE)
NOT_TRAINED_ON = {"bertscore"}  # of the metrics that need no weights; it needs a download
POOL = {CHEST: None, CAROTID: 3000}


# ---- measuring ---------------------------------------------------------------------------------------------


class AskedOnce:
    """A judge that answers a pair once, for all rewards."""

    def __init__(self, modality):
        judge = judges.load("rules")
        self.name = judge.name
        self._ask = judge.for_modality(modality) if hasattr(judge, "for_modality") else judge
        self._answers = {}

    def __call__(self, pairs):
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._answers]
        self._answers |= zip(new, self._ask(new), strict=True)
        return [self._answers[pair] for pair in pairs]


def half_of(pool, half):
    """The cases of one half, from which also every system writes; no patient has cases in both."""
    return [case for case in pool if half is None or case.number % 2 == HALVES.index(half)]


def measures(modality, pool, wanted, preset):
    """Name to a function (studies, texts) giving columns of numbers, NaN where a term is skipped."""
    judge, columns = AskedOnce(modality), {}
    for name, knobs in REWARDS[modality].items():
        if name not in wanted:
            continue
        if any(knob.endswith("metric") and metric not in METRICS for knob, metric in knobs.items()):
            continue
        reward = HierarchicalReward(modality=modality, judge=judge, **knobs)
        changed = [part for part in ("domain", "impression") if f"{part}_metric" in knobs]
        columns[name] = partial(_reward, reward, name, PARTS if name == PAPER else changed)
    if DIAGNOSIS in wanted:
        references = [parse_report(text(case.findings, case.impression)) for case in pool]
        diagnosis = reward_of(
            config.Reward(preset=DIAGNOSIS, **preset),
            modality,
            judge=judge,
            prevalence=label_prevalence(references, modality),
        )
        columns[DIAGNOSIS] = partial(_reward, diagnosis, DIAGNOSIS, ("domain", "impression"))
    if ALONE not in wanted:
        return list(columns.values())
    own = [
        name
        for name, metric in METRICS.items()
        if metric.modality in (None, modality) and metric.requires is None and name not in NOT_TRAINED_ON
    ]
    given = {
        name: ReadOnce(readers.load(METRICS[name].reader), size=100_000)
        for name in own
        if METRICS[name].reader
    }

    def alone(studies, texts):
        found = score(texts, [study.reference.canonical for study in studies], own, readers=given)
        return {f"metric: {name}": values for name, values in found.items()}

    return [*columns.values(), alone]


def _reward(reward, name, parts, studies, texts):
    rows = [row[0] for row in reward.score_many(studies, [[one] for one in texts])]
    columns = {f"reward: {name}": np.array([row.total for row in rows])}
    for part in parts:
        values = [np.nan if row.parts[part] is None else row.parts[part] for row in rows]
        columns[f"term: {part}" if name == PAPER else f"term: {part} ({name})"] = np.array(values)
    return columns


def interval(values, seed, digits=3):
    values = np.asarray(values, dtype=float)
    if not np.isfinite(values).any():
        return None
    found = bootstrap_interval(values, resamples=RESAMPLES, seed=seed)
    return {key: round(float(getattr(found, key)), digits) for key in ("mean", "low", "high")}


def measure(modality, pool, count, seed, wanted=EVERY, preset=None):
    """What every system earns on ``count`` cases of a pool, what it costs, which are ordered as wanted."""
    cases = random.Random(seed).sample(pool, count)
    studies = {case.number: study_of(case, modality) for case in cases}
    by_name, asked = {}, measures(modality, pool, wanted, preset or {})
    kinds = {}
    for name, (kind, write) in Systems(modality, pool, seed).of().items():
        written = {case.number: write(case) for case in cases}
        kept = [number for number, made in written.items() if made is not None]
        kinds[name] = kind
        columns = {}
        for ask in asked:
            columns |= ask([studies[number] for number in kept], [written[number] for number in kept])
        by_name[name] = {column: dict(zip(kept, values, strict=True)) for column, values in columns.items()}
    return summarise(by_name, kinds, seed)


def summarise(by_name, kinds, seed):
    earned, cost, ordered = {}, {}, {}
    columns = list(by_name["reference"])
    for name, found in by_name.items():
        earned[name] = {c: interval(list(found[c].values()), seed) for c in columns}
        earned[name]["studies"] = len(found[columns[0]])
        better = {"blind": "nearest by tags", "wrong": "paraphrase", "form": "paraphrase"}.get(kinds[name])
        if better:
            cost[name] = {
                c: interval([by_name[better][c][number] - value for number, value in found[c].items()], seed)
                for c in columns
            }
    for column in columns:
        rows = {name: found[column] for name, found in cost.items()}
        ordered[column] = {
            kind: {
                "share": round(float(np.mean([bool(r and r["low"] > 0) for r in of.values()])), 3),
                "of": len(of),
                "not": [name for name, r in of.items() if not (r and r["low"] > 0)],
            }
            for kind in KINDS
            for of in [{name: r for name, r in rows.items() if kinds[name] == kind}]
        }
    tags = {c: earned["nearest by tags"][c]["mean"] for c in columns}
    blind = [name for name, kind in kinds.items() if kind == "blind"]
    best = {c: max((earned[n][c]["mean"], n) for n in blind if earned[n][c]) for c in columns}
    paid = {
        column: {
            name: interval(
                [
                    by_name["random real report"][column][n] - value
                    for n, value in by_name[name][column].items()
                ],
                seed,
            )
            for name in CONSTANT
        }
        for column in columns
    }
    return {
        "random_over_constant": paid,
        "blind_over_tags": {
            c: {"ratio": round(best[c][0] / tags[c], 3) if tags[c] > 0 else None, "system": best[c][1]}
            for c in columns
        },
        "ordered": ordered,
        "earned": earned,
        "cost": cost,
        "kinds": kinds,
    }


# ---- the table ---------------------------------------------------------------------------------------------


def table(found, before):
    """Markdown: what each system earns; the older version only where something differs by 0.01."""
    for modality, after in found["modalities"].items():
        old = before["modalities"][modality]["earned"] if before else {}
        shown = []
        for column in after["earned"]["reference"]:
            if not column.startswith(("reward", "metric")):
                continue
            if column in old.get("reference", {}) and moved(old, after["earned"], column):
                shown.append((column, before))
            shown.append((column, found))
        heads = [c.partition(": ")[2] + (", before" if of is before else "") for c, of in shown]
        print(f"\n**{modality}**, {found['studies']} references\n")
        print(f"| system | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
        for name in after["kinds"]:
            cells = [cell(of["modalities"][modality], name, c) for c, of in shown]
            print(f"| {name} | {' | '.join(cells)} |")
        for kind in KINDS:
            shares = [f"{of['ordered'][modality][c][kind]['share']:.0%}" for c, of in shown]
            print(f"| *{kind} that earn less* | {' | '.join(shares)} |")


def moved(old, new, column):
    names = [name for name in new if name in old and old[name][column] and new[name][column]]
    return any(abs(old[name][column]["mean"] - new[name][column]["mean"]) >= 0.01 for name in names)


def cell(measured, name, column):
    """What a system earns, with a cross where it does not earn surely less than the honest one."""
    earned, cost = measured["earned"][name][column], measured["cost"].get(name, {}).get(column)
    is_ordered = measured["kinds"][name] == "honest" or (cost and cost["low"] > 0)
    return f"{earned['mean']:.2f}{'' if is_ordered else ' ✗'}" if earned else ""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--modality", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--half", choices=HALVES, help="of the cases; all when not given")
    parser.add_argument("--rewards", nargs="+", choices=EVERY, default=EVERY, help="those to measure")
    parser.add_argument("--knobs", type=json.loads, help="of the preset, in the place of its own, as JSON")
    parser.add_argument("--table", type=Path, help="what this command printed: print its Markdown table")
    parser.add_argument("--before", type=Path, help="the same of an older version, beside it")
    options = parser.parse_args()
    if options.table:
        before = json.loads(options.before.read_text(encoding="utf-8")) if options.before else None
        return table(json.loads(options.table.read_text(encoding="utf-8")), before)
    found = {
        modality: measure(
            modality,
            half_of(CASES[modality](POOL[modality]), options.half),
            options.studies,
            options.seed,
            options.rewards,
            options.knobs,
        )
        for modality in options.modality
    }
    head = {
        key: {modality: part.pop(key) for modality, part in found.items()}
        for key in ("blind_over_tags", "random_over_constant", "ordered")
    }
    print(
        json.dumps(
            {
                **head,
                "modalities": found,
                "studies": options.studies,
                "half": options.half,
                "knobs": options.knobs,
                "seed": options.seed,
            },
            indent=1,
        )
    )
    return None


if __name__ == "__main__":
    main()
