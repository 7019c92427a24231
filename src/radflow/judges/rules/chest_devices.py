"""Devices in the rule judge: an Impression may not name a kind of device that the Findings do not have."""

from __future__ import annotations

import re
from collections.abc import Iterator

from radflow.judges.rules.chest_statements import Section
from radflow.judges.rules.reasons import Reason

DEVICES: dict[str, re.Pattern[str]] = {
    name: re.compile(rf"\b(?:{words})", re.IGNORECASE)
    for name, words in {
        "airway tube": r"endotracheal|ETT?\b|intubat|tracheostomy|tracheal tube",
        "enteric tube": r"nasogastric|orogastric|[NO]GT?\b|enteric|feeding tube|dobbhoff|gastrostomy|"
        r"(?:esophageal|gastric) tube",
        "chest drain": r"chest tubes?|thoracostomy|pigtail|pleural (?:drain|catheter|tube)|drain",
        "venous catheter": r"PICC?\b|central (?:venous )?(?:line|catheter)|"
        r"(?:subclavian|jugular|IJ|venous|dialysis|tunneled) |"
        r"port\b|port-?a|portacath|mediport|chest port|swan|pulmonary artery catheter|catheter",
        "pacemaker or defibrillator": r"pace\w*|pacing|A?ICD\b|defibrillator|leads?\b|generator|"
        r"cardiac device|dual",
        "heart valve": r"\w*valv\w*|annuloplasty",
        "sternal wires": r"\w*sternotomy|sternal|cerclage|CABG|bypass",
        "spinal hardware": r"harrington|spinal (?:rod|fusion|fixation)|"
        r"(?:spine|cervical|thoracic|lumbar) fusion|rods?\b|fusion|fixation|hardware|screws?|plates?",
        "stent": r"\w*stent\b",
        "shunt": r"\w*shunt",
        "joint prosthesis": r"(?:shoulder|joint) (?:prosthesis|replacement)|arthroplasty|"
        r"prosthetic (?:right|left)",
        "loop recorder": r"loop recorder|monitor",
    }.items()
}
"""Kind of device -> words for it."""

_GONE = re.compile(r"\b(?:remov|withdraw|extubat)", re.IGNORECASE)
_ASSERTED_BY_VERB = re.compile(r"\bintubated\b", re.IGNORECASE)


def device_faults(premise: Section, conclusion: Section) -> Iterator[Reason]:
    """Yield a reason for each sentence of the Impression that brings in a device.

    Without any device in the Findings every device is new. With some, a kind that they do not name is.
    """
    for claim in conclusion.statements:
        asserted = claim.labels["Support Devices"] == 1 or _ASSERTED_BY_VERB.search(claim.text)
        if asserted and not _GONE.search(claim.text):
            for kind in _new_kinds(claim.text, premise):
                what = "asserted in the Impression, absent from the Findings"
                yield Reason(about=kind, what=what, sentence=claim.text)


def _new_kinds(claim: str, premise: Section) -> list[str]:
    kinds = [kind for kind, words in DEVICES.items() if words.search(claim)]
    new = [kind for kind in kinds if not DEVICES[kind].search(premise.text)]
    if premise.asserts("Support Devices"):
        return new
    # Words for two kinds may stand for one device, which the Findings name by the other.
    return (kinds or ["Support Devices"]) if new == kinds else []
