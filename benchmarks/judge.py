"""How often the rule judge is wrong: what it catches of corrupted reports, and what it says of references.

    python benchmarks/judge.py

Open-i references are read in place from the torchxrayvision package.

``hand_made``: ``open_i_corruptions.jsonl``, written by hand beside real reports. The file holds no report:
a report's number (``uid``), the kind, and the new Impression (``corrupted_impression``), or the number of the
study whose Impression it gets (``impression_of``), or a sentence of the Findings and what replaces it
(``replace_in_findings``). A third was held out before the judge saw any of them: rows whose
``int(sha256(uid), 16) % 3`` is 0. A corruption counts as caught when the judge gives a reason that it does
not give for the report as it was.

``false_alarms``: on all references. The rules were tuned on reports with an even number; held out are the odd
ones, and so are the reports of held-out corruptions.

``generated``: the same by a program, in larger numbers and worse English. A corruption is made only where it
changes what is asserted; "always normal" is kept although a reader cannot always object: many real reports
say "no acute abnormality" over something old or slight.

``carotid_phantom``: drawn studies whose Impression is written again for another truth.
"""

import json
import random
import re
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from radflow import readers
from radflow.judges import load
from radflow.judges.agreement import wilson
from radflow.metrics import positives
from radflow.sru import GRADES
from radflow.studies.phantoms.carotid import draw_carotid_text
from radflow.studies.phantoms.carotid.report import write_report
from radflow.studies.sources.openi import open_i_reports

CORRUPTIONS = Path(__file__).parent / "open_i_corruptions.jsonl"
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
GRADE = re.compile(
    r"stenosis (?:below|less than) 50%|(?:moderate )?(?:stenosis of )?50-69%(?: stenosis)?"
    r"|(?:severe )?stenosis of 70% or more"
)
OTHER_PERCENTAGE = {"<50%": "60% stenosis", "50-69%": "85% stenosis", ">=70%": "40% stenosis"}

label = readers.load("chexpert-rules")


def share(caught, of):
    interval = wilson(caught, of)
    return {
        "rate": round(interval.value, 4),
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
        "of": of,
    }


# Written by hand -------------------------------------------------------------------------------------------


def hand_made_corruptions(reports):
    """Yield (row, original pair, corrupted pair); ``reports`` by number."""
    for line in CORRUPTIONS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        report = reports[row["uid"]]
        findings, impression = report.findings, report.impression
        if "impression_of" in row:
            impression = reports[row["impression_of"]].impression
        elif "corrupted_impression" in row:
            impression = row["corrupted_impression"]
        else:
            findings = findings.replace(*row["replace_in_findings"])
        yield row, (report.findings, report.impression), (findings, impression)


def hand_made(judge, reports):
    caught = {"held_out": defaultdict(list), "tuned_on": defaultdict(list)}
    for row, original, corrupted in hand_made_corruptions(reports):
        new = set(judge.explain(*corrupted).reasons) - set(judge.explain(*original).reasons)
        for kind in (row["kind"], "all"):
            caught["held_out" if row["held_out"] else "tuned_on"][kind].append(bool(new))
    return {
        part: {kind: share(sum(answers), len(answers)) for kind, answers in kinds.items()}
        for part, kinds in caught.items()
    }


def false_alarms(judge, reports):
    parts = {"all": reports}
    parts |= {
        name: [r for r in reports if r.number % 2 == odd] for odd, name in enumerate(("tuned_on", "held_out"))
    }
    return {
        name: share(sum(not judge.explain(r.findings, r.impression).consistent for r in part), len(part))
        for name, part in parts.items()
    }


# Made by a program -----------------------------------------------------------------------------------------


def found(text):
    return positives(label([text])[0]) - ASIDE


def exchange(findings, impression, ours, theirs):
    """Put one word for the other, where the Impression has one of the two and the Findings have it too."""
    words = {word.lower() for word in re.findall(rf"\b(?:{ours}|{theirs})\b", impression, re.IGNORECASE)}
    if len(words) != 1 or min(words) not in findings.lower() or not found(impression):
        return None
    word = min(words)
    return re.sub(rf"\b{word}\b", theirs if word == ours else ours, impression, flags=re.IGNORECASE)


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


def generated_corruptions(reports, generator):
    """Kind to pairs of Findings and an Impression that does not follow from them."""
    kinds = defaultdict(list)
    for report in reports:
        here, other = report.impression, generator.choice(reports).impression
        said, premise = found(here), found(report.findings)
        name = generator.choice(list(INVENTED))
        made = {
            "swapped between studies": other if found(other) != said else None,
            "finding invented": f"{here} {INVENTED[name]}" if name not in said | premise else None,
            "side swapped": exchange(report.findings, here, "left", "right"),
            "site swapped": exchange(report.findings, here, "upper", "lower"),
            "finding denied": deny(here),
            "degree raised": SLIGHT.sub("large", here) if said and SLIGHT.search(here) else None,
            "critical finding dropped": drop_critical(here),
            "called a normal chest": "Normal chest." if said else None,
            "always normal": NORMAL if said else None,
        }
        for kind, impression in made.items():
            if impression is not None:
                kinds[kind].append((report.findings, impression))
    return kinds


def generated(judge, reports):
    parts = {
        name: generated_corruptions([r for r in reports if r.number % 2 == odd], random.Random(0))
        for odd, name in enumerate(("tuned_on", "held_out"))
    }
    return {
        part: {kind: share(judge(pairs).count(False), len(pairs)) for kind, pairs in kinds.items()}
        for part, kinds in parts.items()
    }


def carotid_corruptions(study, words):
    """Yield (kind, Impression) for every way in which a phantom's Impression can be made wrong.

    ``words``: seed of the new Impression's wording.
    """
    truth = study.truth

    def written(side, **changed):
        other = {**truth, side: {**truth[side], **changed}}
        return write_report(other, np.random.default_rng(words))[1]

    right, left = truth["right"], truth["left"]
    if _conclusion(right) != _conclusion(left):
        swapped = {**truth, "right": left, "left": right}
        yield "side swapped", write_report(swapped, np.random.default_rng(words))[1]
    if study.critical:
        yield "normal over abnormal", "Both carotid arteries are normal."
    for side in ("right", "left"):
        here = truth[side]
        thick = here["imt_mm"] >= 1.0
        yield (
            "thickening " + ("dropped" if thick else "invented"),
            written(side, imt_mm=0.6 if thick else 1.3),
        )
        if not here["plaques"]:
            continue
        rank = GRADES.index(here["grade"])
        if rank + 1 < len(GRADES):
            yield "class raised", written(side, grade=GRADES[rank + 1])
        if rank > 1:
            yield "class lowered", written(side, grade=GRADES[rank - 1])
        rest = here["plaques"][1:]
        yield "plaque dropped", written(side, plaques=rest, grade=here["grade"] if rest else "normal")
        if here["grade"] in OTHER_PERCENTAGE:
            blocks = re.split(r"(?=\b(?:Right|Left)\b)", written(side))
            wrong = OTHER_PERCENTAGE[here["grade"]]
            yield (
                "percentage contradicted",
                "".join(GRADE.sub(wrong, b) if b.lower().startswith(side) else b for b in blocks),
            )


def _conclusion(side):
    segments = sorted(plaque["segment"] for plaque in side["plaques"])
    return segments, side["grade"] if segments else None, side["imt_mm"] >= 1.0


def carotid(judge, count):
    studies = [draw_carotid_text(index, seed=0) for index in range(count)]
    answers = judge([(study.findings, study.impression) for study in studies])
    kinds = defaultdict(list)
    for index, study in enumerate(studies):
        for kind, impression in carotid_corruptions(study, index):
            kinds[kind].append((study.findings, impression))
    return {
        "false_alarms": share(answers.count(False), count),
        "corruptions": {kind: share(judge(pairs).count(False), len(pairs)) for kind, pairs in kinds.items()},
    }


def pairs_per_second(pairs):
    """A new judge's rate on one core, in its own CPU time."""
    judge = load("rules")
    start = time.process_time()
    judge(pairs)
    return round(len(pairs) / (time.process_time() - start))


def main():
    judge = load("rules")
    everything = {report.number: report for report in open_i_reports()}
    reports = [report for report in everything.values() if report.findings and report.impression]
    phantoms = [draw_carotid_text(index, seed=1) for index in range(2000)]
    print(
        json.dumps(
            {
                "judge": judge.name,
                "hand_made": hand_made(judge, everything),
                "false_alarms": false_alarms(judge, reports),
                "generated": generated(judge, reports),
                "carotid_phantom": carotid(judge, 3000),
                "pairs_per_second": {
                    "open_i": pairs_per_second([(r.findings, r.impression) for r in reports]),
                    "carotid_phantom": pairs_per_second([(p.findings, p.impression) for p in phantoms]),
                },
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
