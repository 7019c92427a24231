"""How well do the rule readers agree with NegBio's labels of Open-i? Prints one JSON object.

    git clone https://github.com/ncbi-nlp/NegBio
    python benchmarks/negbio.py --data NegBio [--resamples 1000] [--seed 0]

NegBio (Peng et al. 2018, AMIA Informatics Summit) has a standard for the 14 findings of ChestX-ray14 on
3,851 reports of Open-i (``examples/openi_gld_std14.csv``), and names those of its test set
(``examples/openi-testset.txt``). The reports are Open-i's own, Findings and Impression together. The labels
were made from the manual MeSH codes, so a finding that a report names and no code does counts as missing
there. "Infiltration" is left out: the MeSH code stands for airspace disease under any name.
``chexpert-rules`` is compared where it has the observation, ``chest-facts`` everywhere: a finding counts as
there if it is stated or hedged as CheXpert's "uncertain" counts (``lenient``), or stated (``strict``).
Intervals are 95 %, from resampling reports.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from radpref import interval

from radflow.readers import load
from radflow.studies.sources.openi import open_i_reports

OBSERVATION = {
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Effusion": "Pleural Effusion",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
}
"""NegBio's finding to CheXpert's, where they mean the same."""
WORDS = {
    "Mass": ("mass",),
    "Nodule": ("nodul",),
    "Emphysema": ("emphysem",),
    "Fibrosis": ("fibro",),
    "Pleural_Thickening": ("thickening",),
    "Hernia": ("hernia",),
}
"""NegBio's finding to how words of a fact begin: its own, or its kind."""


def facts_state(facts, name):
    """1 stated, -1 hedged, 0 neither."""
    states = set()
    for fact in facts:
        if name in OBSERVATION:
            is_meant = fact.finding == OBSERVATION[name]
        else:
            said = (fact.finding.lower(), *fact.words.split(), *fact.values("kind"))
            is_meant = any(word.startswith(WORDS[name]) for word in said) and (
                name != "Pleural_Thickening" or fact.finding == "Pleural Other"
            )
        states |= {fact.state} if is_meant else set()
    return 1 if 1 in states else -1 if -1 in states else 0


def f1(ours, theirs):
    total = ours.sum() + theirs.sum()
    return 2 * (ours & theirs).sum() / total if total else np.nan


def table(states, gold, resamples, seed):
    rows = {}
    for name, state in states.items():
        theirs, row = gold[name], {"positive": int(gold[name].sum())}
        if not theirs.any():
            continue
        for reading, ours in (("strict", state == 1), ("lenient", state != 0)):
            hits = int((ours & theirs).sum())
            row[reading] = {
                "f1": interval(lambda i, o=ours, t=theirs: f1(o[i], t[i]), len(theirs), resamples, seed),
                "precision": round(hits / max(int(ours.sum()), 1), 4),
                "recall": round(hits / max(int(theirs.sum()), 1), 4),
            }
        rows[name] = row
    return rows


def macro(rows):
    return {
        reading: round(float(np.nanmean([row[reading]["f1"]["value"] for row in rows.values()])), 4)
        for reading in ("strict", "lenient")
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a checkout of ncbi-nlp/NegBio")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all", action="store_true", help="all reports, not the test set alone")
    options = parser.parse_args()
    folder = options.data / "examples"
    with (folder / "openi_gld_std14.csv").open(encoding="utf-8", newline="") as file:
        standard = {row["filename"]: row for row in csv.DictReader(file)}
    wanted = (
        set(standard)
        if options.all
        else set((folder / "openi-testset.txt").read_text(encoding="utf-8").split())
    )
    reports = [
        r for r in open_i_reports() if r.study_id in wanted & set(standard) and (r.findings or r.impression)
    ]
    texts = [" ".join(filter(None, (report.findings, report.impression))) for report in reports]
    gold = {
        name: np.array([standard[report.study_id][name] == "1" for report in reports])
        for name in (*OBSERVATION, *WORDS)
    }
    labels, facts = load("chexpert-rules")(texts), load("chest-facts")(texts)
    states = {
        "chexpert-rules": {
            name: np.array([one[observation] or 0 for one in labels])
            for name, observation in OBSERVATION.items()
        },
        "chest-facts": {
            name: np.array([facts_state(one, name) for one in facts]) for name in (*OBSERVATION, *WORDS)
        },
    }
    found = {reader: table(of, gold, options.resamples, options.seed) for reader, of in states.items()}
    print(
        json.dumps(
            {
                "macro_f1": {reader: macro(rows) for reader, rows in found.items()},
                "by_finding": found,
                "reports": len(reports),
                "part": "all" if options.all else "test set",
                "seed": options.seed,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
