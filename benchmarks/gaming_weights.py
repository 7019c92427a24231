"""Which weights let the preset ``diagnosis`` pay real reports more than constant ones? Prints JSON.

    python benchmarks/gaming_weights.py [--studies 200] [--seed 0] [--keep terms.json] > weights.json
    python benchmarks/gaming.py --half report --rewards diagnosis --knobs KNOBS > half.json   # the other half

Every term of every system of ``gaming.py`` is measured once on the half of the references that is for
choosing (``gaming.HALVES``: no patient is in both halves); ``--keep`` writes the terms, or reads what it
wrote. Then the weights, the beta and the rarity of `GRID` are tried on them. Of a setting it is asked

- ``over constants``: the least, over both modalities and all systems that write one report for all, of what a
  random real report earns more, in standard errors;
- ``ordered``: the same for what the honest report earns more than each blind, wrong or deformed one.

Chosen is the setting with the largest ``over constants`` among those whose ``ordered`` is at least `SURE`: a
fault that costs nothing is worse than a constant report that earns a little.

No reward of pairs can put a random real report above every constant one: what it earns is the mean of what
the reports it is drawn from would earn as constant ones. It can put it above those that a policy falls into.
"""

from __future__ import annotations

import argparse
import json
import random
from itertools import product
from pathlib import Path

import numpy as np
from gaming import CONSTANT, DIAGNOSIS, HALVES, POOL, AskedOnce, half_of
from gaming_systems import CASES, LABELS, Systems, study_of, text

from radflow import config, readers
from radflow.config.reward import PRESETS
from radflow.metrics import ReadOnce
from radflow.metrics.label_gain import rarity_weights, weighted_f_beta
from radflow.readers import assertions
from radflow.readers.labels import SUMMARIES
from radflow.reports import parse_report
from radflow.rewards import label_prevalence, reward_of
from radflow.rewards.diagnosis import denied_too

GRID = {
    "syntax": (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
    "domain": (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
    "consistency": (0.05, 0.1, 0.25),
    "gamma": (2.0,),  # only the proportions matter
    "beta": (1.0, 1.25, 1.5, 2.0),
    "rarity": (0.75, 0.9, 1.0),
    "silence": (0.02, 0.05, 0.1),
}
BETTER = {"blind": "nearest by tags", "wrong": "paraphrase", "form": "paraphrase"}
RANDOM = "random real report"
DRAWS = 8
"""Random real reports per case: their mean is what one of them earns, with less noise."""
SURE = 1.64
"""Standard errors: 95 % on one side."""


def measured(modality, count, seed):
    """The terms of every system on the choosing half, and what its labels assert; plain lists, for JSON."""
    pool = half_of(CASES[modality](POOL[modality]), HALVES[0])
    cases = random.Random(seed).sample(pool, count)
    prevalence = label_prevalence([parse_report(text(c.findings, c.impression)) for c in pool], modality)
    reward = reward_of(
        config.Reward(preset=DIAGNOSIS), modality, judge=AskedOnce(modality), prevalence=prevalence
    )
    read = ReadOnce(readers.load(LABELS[modality]), size=100_000)
    studies = [study_of(case, modality) for case in cases]
    wanted = read([study.reference.canonical for study in studies])

    def ask(kind, writers):
        """The terms of a system, and of each of its draws where it has several."""
        written = [[write(case) for write in writers] for case in cases]
        places = [at for at, made in enumerate(written) if made[0] is not None]
        made = [one for at in places for one in written[at]]
        rows = [
            row
            for of in reward.score_many([studies[at] for at in places], [written[at] for at in places])
            for row in of
        ]
        said = read([parse_report(one).canonical for one in made])
        of = [at for at in places for _ in writers]
        return {
            "kind": kind,
            "draws": len(writers),
            "places": places,
            "terms": [[row.parts[t] or 0.0 for t in ("syntax", "domain", "consistency")] for row in rows],
            "read": [row.parts["impression"] is not None for row in rows],
            "asserted": assertions(said).tolist(),
            "denied": denied_too(said, [wanted[at] for at in of]).tolist() if of else [],
        }

    systems = {name: ask(kind, [write]) for name, (kind, write) in Systems(modality, pool, seed).of().items()}
    draws = [Systems(modality, pool, f"{seed}/{draw}").any_other for draw in range(DRAWS)]
    systems[RANDOM] = ask("blind", draws)
    names = [name for name in wanted[0] if name not in SUMMARIES]
    return {
        "prevalence": [prevalence[name] for name in names],
        "reference": assertions(wanted).tolist(),
        "systems": systems,
    }


def compared(found, knobs):
    """Differences of terms that a setting should make positive: rows of (cases, terms), and their names.

    Only the beta, rarity and silence of ``knobs`` matter here; the weights of the terms do not.
    """
    weights = rarity_weights(np.array(found["prevalence"]), knobs["rarity"])
    reference, terms = np.array(found["reference"]), {}
    for name, system in found["systems"].items():
        table = np.full((len(reference), 4), np.nan)
        if places := system["places"]:
            asserted, denied = np.array(system["asserted"]), np.array(system["denied"])
            wanted = reference[np.repeat(places, system["draws"])]
            labels = weighted_f_beta(
                asserted, wanted, weights, beta=knobs["beta"], clean=knobs["silence"] * denied
            )
            rows = np.column_stack([system["terms"], labels * np.array(system["read"])])
            table[places] = rows.reshape(len(places), system["draws"], 4).mean(axis=1)
        terms[name] = table
    over = {name: terms[RANDOM] - terms[name] for name in CONSTANT}
    ordered = {
        name: terms[BETTER[system["kind"]]] - terms[name]
        for name, system in found["systems"].items()
        if system["kind"] in BETTER and len(system["places"]) > 1
    }
    return {"over constants": over, "ordered": ordered}


def judged(tables, knobs):
    """The least of either kind over both modalities, in standard errors, and where it is."""
    weights = np.array([knobs[name] for name in ("syntax", "domain", "consistency", "gamma")])
    least = {}
    for kind in ("over constants", "ordered"):
        found = []
        for modality, of in tables.items():
            names, values = list(of[kind]), np.stack(list(of[kind].values())) @ weights
            known = np.isfinite(values).sum(axis=1)
            spread = np.nanstd(values, axis=1, ddof=1) / np.sqrt(known)
            sure = np.nanmean(values, axis=1) / np.maximum(spread, 1e-9)
            at = int(sure.argmin())
            found.append((round(float(sure[at]), 2), f"{modality}: {names[at]}"))
        least[kind] = min(found)
    return least


def _labels(knobs):
    return knobs["beta"], knobs["rarity"], knobs["silence"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="where the terms are kept")
    options = parser.parse_args()
    if options.keep and options.keep.exists():
        found = json.loads(options.keep.read_text(encoding="utf-8"))
    else:
        found = {modality: measured(modality, options.studies, options.seed) for modality in CASES}
        if options.keep:
            options.keep.write_text(json.dumps(found), encoding="utf-8")
    now = {name: PRESETS[DIAGNOSIS].get(name, config.Reward.model_fields[name].default) for name in GRID}
    tried = [dict(zip(GRID, values, strict=True)) for values in product(*GRID.values())]
    rows, tables, of = [], {}, None
    for knobs in [now, *sorted(tried, key=_labels)]:
        if _labels(knobs) != of:
            of = _labels(knobs)
            tables = {modality: compared(part, knobs) for modality, part in found.items()}
        rows.append({"knobs": knobs, **judged(tables, knobs)})
    preset, *rows = rows
    allowed = [row for row in rows if row["ordered"][0] >= SURE] or rows
    best = sorted(allowed, key=lambda row: -row["over constants"][0])
    answer = {
        "chosen": best[0],
        "next": best[1:8],
        "preset": preset,
        "tried": len(rows),
        "with every order sure": len([row for row in rows if row["ordered"][0] >= SURE]),
        "studies": options.studies,
        "seed": options.seed,
    }
    print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
