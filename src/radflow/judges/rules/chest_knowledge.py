"""What the rule judge knows of chest reports: what carries, hints at and stands for what.

Tuned on the references of Open-i with an even number, where nearly every report is consistent: what is common
there cannot be a fault.
"""

from __future__ import annotations

import re

PARENCHYMA = {"Lung Opacity", "Consolidation", "Atelectasis", "Pneumonia"}
CARRIED_BY: dict[str, frozenset[str]] = {
    "Enlarged Cardiomediastinum": frozenset({"Cardiomegaly", "Lung Lesion"}),
    "Cardiomegaly": frozenset({"Enlarged Cardiomediastinum"}),
    "Lung Lesion": frozenset({"Lung Opacity", "Consolidation"}),
    "Lung Opacity": frozenset({*PARENCHYMA, "Edema", "Lung Lesion", "Pleural Effusion", "Pleural Other"}),
    "Edema": frozenset({"Lung Opacity", "Cardiomegaly", "Enlarged Cardiomediastinum"}),
    "Consolidation": frozenset(PARENCHYMA),
    "Pneumonia": frozenset({*PARENCHYMA, "Edema", "Lung Lesion"}),
    "Atelectasis": frozenset({*PARENCHYMA, "Pleural Effusion"}),
    "Pleural Effusion": frozenset({"Pleural Other"}),
    "Pleural Other": frozenset({"Pleural Effusion", "Lung Opacity"}),
}
"""What an Impression asserts -> which Findings carry it besides itself."""

STANDS_FOR: dict[str, frozenset[str]] = {
    **CARRIED_BY,
    "Edema": frozenset({"Lung Opacity"}),
}
"""What the Findings assert -> which Impressions mention it in other words. As above, but a large heart does
not say that there is edema."""

HINTED_BY: dict[str, re.Pattern[str]] = {
    name: re.compile(words, re.IGNORECASE)
    for name, words in {
        "Cardiomegaly": r"top.normal|upper limits|borderline|heart\b.{0,30}\b(?:large|enlarged|prominent)",
        "Enlarged Cardiomediastinum": r"mediastin.{0,40}(?:prominen|wide)|(?:prominen|wide).{0,40}mediastin",
        "Lung Lesion": r"nodul|mass|\bround|densit|calcif|lucen",
        "Lung Opacity": r"densit|markings|interstiti|scar|obscur",
        "Atelectasis": r"densit|scar|volume|elevat|markings|hypo(?:inflat|ventilat)|crowding|collaps",
        "Edema": r"(?<!broncho)vascular|congest|interstiti|markings",
        "Pneumonia": r"densit|interstiti|markings|indistinct|silhouetting",
        "Pleural Effusion": r"blunt|obscur|costophrenic|pleural (?:fluid|reaction|thicken)|fissur",
        "Pleural Other": r"blunt|scar|costophrenic|apical|pleural",
        "Fracture": r"deformit|wedg|compress|lucen|irregular|\bloss\b",
    }.items()
}
"""What carries an observation in words that are not its name."""

HINTS_OVER_DENIALS = frozenset({"Cardiomegaly", "Fracture"})
"""Denied and hinted at in one report: "heart size upper limits of normal", "no acute bony abnormality" beside
a wedged vertebra. The hint decides."""

CRITICAL = frozenset({"Pneumothorax", "Edema", "Consolidation", "Pneumonia", "Pleural Effusion"})
"""What an Impression may not leave out."""

CRITICAL_IN_DOUBT = CRITICAL - {"Edema"}
"""What an Impression may not leave out even where the Findings hedge it; prominent vessels are often hedged
edema and mean little."""

WEIGHTY = CRITICAL | {"Lung Lesion", "Cardiomegaly", "Atelectasis", "Fracture", "Lung Opacity"}
"""What contradicts an Impression that calls the whole study normal."""

NOTABLE = frozenset({"Lung Opacity", "Lung Lesion", "Atelectasis", "Fracture", "Cardiomegaly"})
"""What an Impression without any positive may not pass over, unless the Findings themselves play it down."""

SITED = frozenset({*PARENCHYMA, "Lung Lesion"})
"""What is said to be in a zone of the lung."""

MIDLINE = frozenset({"Cardiomegaly", "Enlarged Cardiomediastinum"})
"""What has no side."""

CHRONIC_LUNG = re.compile(
    r"chronic|fibro|emphysem|interstiti|markings|airways|bronch|COPD|(?<!granulomatous )infect", re.IGNORECASE
)
"""Words without a label of their own that mention an opacity of the Findings."""

ALL_NORMAL = re.compile(
    r"\b(?:normal|unremarkable|negative)\s+(?:\w+\s+){0,2}(?:chest|exam\w*|study|radiographs?|x-?rays?|films?)\b"
    r"|\bno\s+(?:significant\s+|radiographic\s+)?abnormalit(?:y|ies)\b"
    r"|^\W*(?:normal|negative|unremarkable)\W*$",
    re.IGNORECASE,
)
UNCHANGED = re.compile(
    r"\bstable\b|\bunchanged\b|\bno (?:\w+ ){0,3}changes?\b|\bunaltered\b|\bsimilar\b", re.IGNORECASE
)
"""An Impression that says no more than this stands where nothing needs to be said."""

ASKED_ABOUT = re.compile(
    r"not (?:\w+ )?excluded|cannot (?:be )?(?:\w+ )?exclud|rule[- ]out|recommend|correlat"
    r"|\bif (?:clinically|indicated|there)",
    re.IGNORECASE,
)
"""Beside what is only asked about."""

PARTIAL = re.compile(r"\b(?:suspicious|overt|frank|worrisome)\b", re.IGNORECASE)
"""A denial of a part: "no suspicious nodule" is said beside a granuloma."""

RESERVED = re.compile(
    r"\b(?:large|significant|definite|si[sz]e?able|gross|overt|frank|substantial)\b", re.IGNORECASE
)
"""Beside a denial that leaves room for a little of it."""

NAMED_EDEMA = re.compile(r"edema|failure|overload", re.IGNORECASE)

BARELY_NORMAL = re.compile(r"top.normal|upper limits?|high.normal|borderline", re.IGNORECASE)
"""Of a heart: neither normal nor enlarged."""

SLIGHT = re.compile(
    r"\b(?:mild\w*|slight\w*|minimal\w*|borderline|upper|top|small|early|low|prominent|subtle)\b",
    re.IGNORECASE,
)
"""Of a little of a finding."""

DENYING = re.compile(r"\b(?:no|not|without|negative|normal|unremarkable|clear|free)\b", re.IGNORECASE)

SIDED: dict[str, re.Pattern[str]] = {
    name: re.compile(words, re.IGNORECASE)
    for name, words in {
        "hemidiaphragm": r"hemidiaphragm",
        "clavicle": r"clavic",
        "shoulder": r"shoulder|humer",
        "hilum": r"\bhil(?:um|a|ar)\b",
        "breast": r"breast",
        "rib": r"\bribs?\b",
    }.items()
}
"""What has a side and no label."""
