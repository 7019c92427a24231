"""How often the rule judge is wrong: false alarms on references, and corruptions that it catches.

    python benchmarks/judge.py

Open-i references are read in place from the torchxrayvision package. The rules were tuned on the reports with
an even number; ``held_out`` is the odd ones. A corruption is counted only where it changes what is asserted;
"always normal" is kept although a reader cannot always object: many real reports say "no acute abnormality"
over something old or slight.
"""

import json
import random
import re
import time

from radflow import readers
from radflow.judges import load
from radflow.metrics import positives
from radflow.studies.openi import open_i_reports
from radflow.studies.phantoms.carotid import draw_carotid_text

NORMAL = "No acute cardiopulmonary abnormality."
INVENTED = {
    "Pneumothorax": "Large right pneumothorax.",
    "Pleural Effusion": "Moderate left pleural effusion.",
    "Edema": "Pulmonary edema.",
    "Fracture": "Acute left rib fracture.",
    "Pneumonia": "Right upper lobe pneumonia.",
    "Cardiomegaly": "Cardiomegaly.",
}
CRITICAL = {"Pneumothorax", "Edema", "Consolidation", "Pneumonia", "Pleural Effusion"}
ASIDE = {"No Finding", "Support Devices"}
SLIGHT = re.compile(r"\b(?:small|mild|minimal|trace)\b", re.IGNORECASE)

label = readers.load("chexpert-rules")


def found(text):
    return positives(label([text])[0]) - ASIDE


def swap_side(findings, impression):
    sides = {side.lower() for side in re.findall(r"\b(?:left|right)\b", impression, re.IGNORECASE)}
    if len(sides) != 1 or min(sides) not in findings.lower() or not found(impression):
        return None
    side = min(sides)
    other = "left" if side == "right" else "right"
    return re.sub(rf"\b{side}\b", other, impression, flags=re.IGNORECASE)


def drop_critical(impression):
    sentences = re.split(r"(?<=\.)\s+", impression)
    kept = [sentence for sentence in sentences if not found(sentence) & CRITICAL]
    return (" ".join(kept) or NORMAL) if len(kept) < len(sentences) else None


def deny(impression):
    for sentence in re.split(r"(?<=\.)\s+", impression):
        names = [name for name, state in label([sentence])[0].items() if state == 1 and name not in ASIDE]
        if names:
            return impression.replace(sentence, f"No {names[0].lower()}.")
    return None


def corruptions(reports, generator):
    """Kind to pairs of Findings and an Impression that does not follow from them."""
    kinds = {}
    for report in reports:
        here, other = report.impression, generator.choice(reports).impression
        said, premise = found(here), found(report.findings)
        name = generator.choice(list(INVENTED))
        made = {
            "swapped between studies": other if found(other) != said else None,
            "finding invented": f"{here} {INVENTED[name]}" if name not in said | premise else None,
            "side swapped": swap_side(report.findings, here),
            "finding denied": deny(here),
            "degree raised": SLIGHT.sub("large", here) if said and SLIGHT.search(here) else None,
            "critical finding dropped": drop_critical(here),
            "called a normal chest": "Normal chest." if said else None,
            "always normal": NORMAL if said else None,
        }
        for kind, impression in made.items():
            if impression is not None:
                kinds.setdefault(kind, []).append((report.findings, impression))
    return kinds


def caught(judge, pairs):
    return {"caught": round(sum(not answer for answer in judge(pairs)) / len(pairs), 4), "of": len(pairs)}


def chest(judge, parity):
    reports = [r for r in open_i_reports() if r.findings and r.impression and r.number % 2 == parity]
    answers = judge([(report.findings, report.impression) for report in reports])
    kinds = corruptions(reports, random.Random(0))
    return {
        "false_alarms": round(sum(not answer for answer in answers) / len(reports), 4),
        "references": len(reports),
        "corruptions": {kind: caught(judge, pairs) for kind, pairs in kinds.items()},
    }


def carotid(judge, count):
    studies = [draw_carotid_text(index, seed=0) for index in range(count)]
    answers = judge([(study.findings, study.impression) for study in studies])
    read = readers.load("carotid-terms")
    said = read([study.impression for study in studies])
    generator = random.Random(0)
    others = [generator.randrange(count) for _ in studies]
    pairs = [(studies[i].findings, studies[j].impression) for i, j in enumerate(others) if said[i] != said[j]]
    return {
        "false_alarms": round(sum(not answer for answer in answers) / count, 4),
        "references": count,
        "corruptions": {"swapped between studies": caught(judge, pairs)},
    }


def reports_per_second(judge_name):
    pairs = [(r.findings, r.impression) for r in open_i_reports() if r.findings and r.impression]
    judge = load(judge_name)
    start = time.perf_counter()
    judge(pairs)
    return round(len(pairs) / (time.perf_counter() - start))


if __name__ == "__main__":
    rules = load("rules")
    print(
        json.dumps(
            {
                "held_out": chest(rules, parity=1),
                "tuned_on": chest(rules, parity=0),
                "carotid_phantom": carotid(rules, 3000),
                "chest_reports_per_second": reports_per_second("rules"),
            },
            indent=1,
        )
    )
