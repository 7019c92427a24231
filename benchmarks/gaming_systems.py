"""The systems that ``gaming.py`` measures: honest ones, those that see no picture, and reports with one
fault.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from radflow import readers
from radflow.baselines import NearestContext, most_frequent_report
from radflow.metrics import ReadOnce, positives
from radflow.reports import parse_report
from radflow.studies import Study
from radflow.studies.phantoms.carotid import draw_carotid_text
from radflow.studies.phantoms.carotid.report import write_report
from radflow.studies.sources.openi import open_i_reports

CHEST, CAROTID = "chest-xray", "carotid-us"
LABELS = {CHEST: "chexpert-rules", CAROTID: "carotid-labels"}


@dataclass(frozen=True, kw_only=True)
class Case:
    number: int
    findings: str
    impression: str
    indication: str
    tags: frozenset[str]
    truth: dict = field(default_factory=dict, hash=False)

    @property
    def is_normal(self) -> bool:
        return self.tags <= {"normal"}


def text(findings, impression):
    return f"Findings: {findings} Impression: {impression}"


def study_of(case, modality):
    """A case as a study without pictures."""
    number = str(case.number)
    reference = parse_report(text(case.findings, case.impression))
    return Study(study_id=number, patient_id=number, images=(), reference=reference, modality=modality)


# ---- cases -------------------------------------------------------------------------------------------------


def open_i_cases(_count):
    return [
        Case(
            number=r.number,
            findings=r.findings,
            impression=r.impression,
            indication=r.indication or "",
            tags=frozenset(r.mesh),
        )
        for r in open_i_reports()
        if r.findings and r.impression
    ]


def carotid_cases(count):
    cases = []
    for index in range(count):
        study = draw_carotid_text(index, seed=0)
        tags = set()
        for side in ("right", "left"):
            here = study.truth[side]
            tags |= {f"{side} thickened"} if here["imt_mm"] >= 1 else set()
            tags |= {f"{side} {plaque['segment']} {plaque['kind']}" for plaque in here["plaques"]}
            tags |= {f"{side} {here['grade']}"} if here["plaques"] else set()
        cases.append(
            Case(
                number=index,
                findings=study.findings,
                impression=study.impression,
                indication=study.indication,
                tags=frozenset(tags or {"normal"}),
                truth=study.truth,
            )
        )
    return cases


CASES = {CHEST: open_i_cases, CAROTID: carotid_cases}

# ---- words -------------------------------------------------------------------------------------------------

SYNONYMS = (
    (r"\bThere is no evidence of (.+?)\.", r"No evidence of \1 is seen."),
    (r"\bThere (?:is|are) no ([^.,]+)\.", r"No \1 is seen."),
    (r"\bNo ([^.,]+?)(?: is seen| is identified)?\.", r"There is no \1."),
    (r"\bHeart size is normal\b", "The heart is normal in size"),
    (r"\bThe heart is normal in size\b", "Heart size is normal"),
    (r"\b(?:The )?lungs are clear\b", "Clear lungs"),
    (r"\bwithin normal limits\b", "normal"),
    (r"\bunremarkable\b", "normal"),
    (r"\bis normal\b", "is within normal limits"),
    (r"\bcardiac silhouette\b", "heart"),
    (r"\bopacities\b", "opacification"),
    (r"\bsmall\b", "tiny"),
    (r"\bcardiomegaly\b", "enlarged heart"),
)
INVENTED = {
    CHEST: "Pulmonary embolism. Tuberculosis. Aortic dissection.",
    CAROTID: "Carotid dissection. Occlusion of the left ICA. Carotid body tumour.",
}
HEDGES = {
    CHEST: "Early pneumonia cannot be excluded. There may be a small effusion. Possible atelectasis.",
    CAROTID: "Mild plaque cannot be excluded. There may be stenosis. Possible thickening.",
}
FILLER = "Clinical correlation is recommended. Comparison with prior studies is advised. Please see above."
POSITIVES = {
    CHEST: "Cardiomegaly. Pulmonary edema. Bilateral pleural effusions. Bibasilar atelectasis. "
    "Consolidation. Pneumonia. Pneumothorax. Lung nodule. Rib fracture. Pleural thickening.",
    CAROTID: "Right: thickened intima-media. Mixed plaque in the bulb. Stenosis of 70% or more. "
    "Left: thickened intima-media. Mixed plaque in the bulb. Stenosis of 70% or more.",
}
SOUP = {
    CHEST: "lungs heart clear effusion pneumothorax no normal size silhouette focal consolidation acute",
    CAROTID: "right left plaque imt mm normal flow psv cm/s no stenosis intima-media bulb thickened",
}
DENIALS = {
    CHEST: "No cardiomegaly. No edema. No pleural effusion. No pneumothorax. No consolidation. No pneumonia. "
    "No atelectasis. No nodule. No mass. No fracture. Mediastinum is normal.",
    CAROTID: "Right: no thickening. No plaque. No stenosis. Left: no thickening. No plaque. No stenosis.",
}
CALM = {CHEST: "Normal chest.", CAROTID: "Both carotid arteries are normal."}
MINIMAL = {CHEST: ("Lungs are clear.", "Normal."), CAROTID: ("No plaque.", "Normal.")}
SLIGHT = re.compile(r"\b(?:small|mild|minimal|trace|tiny|mildly|minimally)\b", re.IGNORECASE)
SENTENCE = re.compile(r"(?<=[.])\s+")
OTHER = {"left": "right", "right": "left"}
DENIAL = re.compile(r"\b(?:no|without|not)\s+(?:evidence of\s+)?", re.IGNORECASE)


def sentences(words):
    return [one for one in SENTENCE.split(words) if one]


def other_words(words):
    for one, (pattern, new) in enumerate(SYNONYMS):
        marked = re.sub(pattern, lambda m, n=new: f"\0{m.expand(n)}\0", words, flags=re.IGNORECASE)
        words = marked.replace("\0", "") if one != 2 else "".join(_once(words, pattern, new))
    return words


def _once(words, pattern, new):
    """A rule that would undo the one before it: only where "is seen" is not what that one wrote."""
    for part in re.split(r"((?<=\.)\s+)", words):
        yield part if part.endswith("is seen.") else re.sub(pattern, new, part, flags=re.IGNORECASE)


def exchange_sides(words):
    def other(match):
        new = OTHER[match[0].lower()]
        return new.capitalize() if match[0][0].isupper() else new

    return re.sub(r"\b(?:left|right)\b", other, words, flags=re.IGNORECASE)


def drop_denials(words):
    return " ".join(one[:1].upper() + one[1:] for one in sentences(DENIAL.sub("", words)))


def deny(sentence):
    """ "Left: soft plaque." to "Left: no soft plaque." """
    side, colon, said = sentence.rpartition(": ")
    return f"{side}: no {said[:1].lower()}{said[1:]}" if colon else f"No {said[:1].lower()}{said[1:]}"


def larger(words):
    return re.sub(
        r"(\d+(?:\.\d+)?)(?= ?(?:mm|cm)\b)", lambda m: f"{float(m[1]) * 10:g}", SLIGHT.sub("large", words)
    )


# ---- systems -----------------------------------------------------------------------------------------------


class Systems:
    """The systems of a modality: ``of`` gives name to kind and what writes a case (None: left out)."""

    def __init__(self, modality, pool, seed):
        self.modality, self.pool, self.seed = modality, pool, seed
        self.place = {case.number: at for at, case in enumerate(pool)}
        normal = [text(case.findings, case.impression) for case in pool if case.is_normal]
        self.template = most_frequent_report(normal)
        self.calm_findings = parse_report(self.template).findings
        self.nearest = NearestContext([case.indication for case in pool])
        self.label = ReadOnce(readers.load(LABELS[modality]))
        abnormal = Counter(text(c.findings, c.impression) for c in pool if self.states(c.impression))
        self.abnormal = abnormal.most_common(1)[0][0]

    def dice(self, case):
        return random.Random(f"{self.seed}/{case.number}")

    def of(self) -> dict[str, tuple[str, Callable[[Case], str | None]]]:
        m = self.modality
        return {
            "reference": ("honest", lambda c: text(c.findings, c.impression)),
            "paraphrase": ("honest", self.paraphrase),
            "nearest by tags": ("honest", self.by_tags),
            "nearest by indication": ("blind", self.by_indication),
            "random real report": ("blind", self.any_other),
            "constant normal": ("blind", lambda c: self.template),
            "constant normal with hedges": ("blind", lambda c: self.hedged_template()),
            "constant abnormal": ("blind", lambda c: self.abnormal),
            "list of denials": ("blind", lambda c: text(DENIALS[m], CALM[m])),
            "shortest normal": ("blind", lambda c: text(*MINIMAL[m])),
            "all positive": ("blind", lambda c: text(POSITIVES[m], POSITIVES[m])),
            "keyword soup": ("blind", lambda c: text(f"{SOUP[m]}.", f"{SOUP[m]}.")),
            "Stable. and nothing else": ("blind", lambda c: text("Stable.", "Stable.")),
            "empty sections": ("blind", lambda c: "Findings: Impression:"),
            "inventions in Impression": ("wrong", self.edit(impression=lambda i: f"{i} {INVENTED[m]}")),
            "inventions in both": ("wrong", self.edit_both(lambda w: f"{w} {INVENTED[m]}")),
            "hedges in both": ("wrong", self.edit_both(lambda w: f"{w} {HEDGES[m]}")),
            "sides swapped": ("wrong", self.edit_both(exchange_sides)),
            "sides swapped in Impression": ("wrong", self.edit(impression=exchange_sides)),
            "denials dropped": ("wrong", self.edit_both(drop_denials)),
            "findings denied": ("wrong", self.edit_both(self.deny)),
            "findings left out": ("wrong", self.left_out),
            "larger": ("wrong", self.edit_both(larger)),
            "contradicted in Findings": ("wrong", self.contradicted),
            "normal Impression": ("wrong", lambda c: None if c.is_normal else text(c.findings, CALM[m])),
            "Impression: Stable.": ("wrong", self.edit(impression=lambda i: "Stable.")),
            "Impression of another": ("wrong", lambda c: text(c.findings, self.other(c).impression)),
            "Findings of another": ("wrong", lambda c: text(self.other(c).findings, c.impression)),
            "Findings as Impression": ("wrong", lambda c: text(c.findings, c.findings)),
            "said three times": (
                "form",
                self.edit_both(lambda w: " ".join(s for s in sentences(w) for _ in "123")),
            ),
            "filler": ("form", self.edit_both(lambda w: f"{w} {FILLER}")),
            "shuffled words": ("form", self.shuffled),
            "no headers": ("form", lambda c: f"{c.findings} {c.impression}"),
        }

    def edit(self, findings=lambda f: f, impression=lambda i: i):
        def edited(case):
            made = text(findings(case.findings), impression(case.impression))
            return None if made == text(case.findings, case.impression) else made

        return edited

    def edit_both(self, change):
        return self.edit(change, change)

    def paraphrase(self, case):
        if case.truth:
            return text(*write_report(case.truth, np.random.default_rng([self.seed, case.number, 1])))
        return text(other_words(case.findings), other_words(case.impression))

    def by_tags(self, case):
        def likeness(other):
            return len(case.tags & other.tags) / len(case.tags | other.tags)

        start = self.dice(case).randrange(len(self.pool))
        others = (o for o in (*self.pool[start:], *self.pool[:start]) if o.number != case.number)
        best = max(others, key=likeness)
        return text(best.findings, best.impression)

    def by_indication(self, case):
        (at,) = self.nearest.find([case.indication], [{self.place[case.number]}])
        other = self.other(case) if at is None else self.pool[at]
        return text(other.findings, other.impression)

    def other(self, case):
        return self.dice(case).choice([o for o in self.pool if o.number != case.number])

    def any_other(self, case):
        other = self.other(case)
        return text(other.findings, other.impression)

    def hedged_template(self):
        report = parse_report(self.template)
        return text(
            f"{report.findings} {HEDGES[self.modality]}", f"{report.impression} {HEDGES[self.modality]}"
        )

    def states(self, sentence):
        return bool(positives(self.label([sentence])[0]) - {"No Finding", "normal"})

    def deny(self, words):
        return " ".join(deny(s) if self.states(s) else s for s in sentences(words))

    def left_out(self, case):
        if not self.states(case.findings):
            return None
        findings = " ".join(s for s in sentences(case.findings) if not self.states(s))
        impression = " ".join(s for s in sentences(case.impression) if not self.states(s))
        return text(findings or self.calm_findings, impression or CALM[self.modality])

    def contradicted(self, case):
        return None if case.is_normal else text(f"{case.findings} {self.calm_findings}", case.impression)

    def shuffled(self, case):
        dice = self.dice(case)

        def shuffle(words):
            return " ".join(dice.sample(parts := words.split(), len(parts)))

        return text(shuffle(case.findings), shuffle(case.impression))
