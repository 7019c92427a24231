"""The words of the carotid phantoms: from the truth of a study to Findings, Impression and indication.

The report has a standard format: a block per side, right first, or one block for both sides where both are
normal. :data:`PHRASES` is every phrase it is made of, the usual wording first. What a reader can
rely on:

* a block opens with one of the ``block`` phrases and holds for that side (or both) until the next one;
* in each block of the Findings: intima-media thickness, plaque or its absence, velocity and flow;
* plaque words are adjectives of the noun "plaque" and stay in its sentence, one sentence per plaque;
* numbers: intima-media thickness to 0.1 mm, plaque thickness to 0.5 mm, velocity to 10 cm/s;
* the Impression of a side follows from its Findings by the consensus criteria of
  `radflow.sru`; it names every graded stenosis, each plaque's segment,
  thickening, or says that the side is normal;
* :func:`truth_terms` gives the facts that every report states. ``ratio`` sentences are optional, and
  length, EDV and percentage are never stated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from radflow.studies.phantoms.carotid.anatomy import THICKENED_MM

PHRASES: dict[str, tuple[str, ...]] = {
    # Findings -----------------------------------------------------------------------------------------
    "block": ("{Side}:", "{Side} side:", "{Side} carotid:"),
    "block both": ("Both sides:", "Bilateral:"),
    "imt normal": (
        "IMT {imt} mm, not thickened.",
        "IMT {imt} mm, normal.",
        "Intima-media not thickened, IMT {imt} mm.",
    ),
    "imt thickened": (
        "IMT {imt} mm, thickened.",
        "IMT increased to {imt} mm.",
        "Intima-media thickened, IMT {imt} mm.",
    ),
    "no plaque": ("No plaque.", "No plaque is seen.", "Plaque is not seen."),
    "plaque": (
        "{Kind} plaque with {surface} surface on the {wall} wall of the {segment}, {mm} mm thick.",
        "{Kind}, {surface} plaque on the {wall} {segment} wall, {mm} mm thick.",
        "On the {wall} wall of the {segment} a {kind} plaque, {surface}, {mm} mm thick.",
    ),
    "plaque occluding": (
        "{Kind} plaque fills the lumen of the {segment}.",
        "The {segment} lumen is filled by {kind} plaque.",
    ),
    "lumen string": ("String-like residual lumen.", "Residual lumen is string-like."),
    "flow normal": (
        "PSV {psv} cm/s, normal flow.",
        "PSV {psv} cm/s with normal flow.",
        "Flow is normal, PSV {psv} cm/s.",
    ),
    "flow accelerated": (
        "PSV {psv} cm/s, accelerated flow.",
        "PSV {psv} cm/s with accelerated flow.",
        "Flow is accelerated, PSV {psv} cm/s.",
    ),
    "flow turbulent": (
        "PSV {psv} cm/s, turbulent flow.",
        "PSV {psv} cm/s with turbulent flow.",
        "Flow is turbulent, PSV {psv} cm/s.",
    ),
    "flow trickle": (
        "PSV {psv} cm/s, trickle flow.",
        "PSV {psv} cm/s with trickle flow.",
        "Trickle flow only, PSV {psv} cm/s.",
    ),
    "flow absent": ("No flow detected.", "No flow on Doppler.", "Flow is absent."),
    "ratio": ("ICA/CCA ratio {ratio}.",),  # optional, and only from 50% on
    # Findings of two normal sides in one block: {imt} and {psv} are the right side's, then the left's
    "imt normal both": (
        "IMT {imt} mm right and {imt2} mm left, not thickened.",
        "IMT not thickened, {imt} mm right and {imt2} mm left.",
    ),
    "no plaque both": ("No plaque.", "No plaque is seen.", "No plaque on either side."),
    "flow normal both": (
        "PSV {psv} cm/s right and {psv2} cm/s left, normal flow.",
        "Flow is normal, PSV {psv} cm/s right and {psv2} cm/s left.",
    ),
    # Impression: one sentence per side, or one for both ------------------------------------------------
    "conclude": ("{Side}: {what}.", "{Side} side: {what}.", "{Side} carotid: {what}."),
    "conclude both": ("Both sides: {what}.", "Bilateral: {what}."),
    "normal": ("normal", "no abnormality", "normal carotid artery"),
    "normal both": (
        "Normal carotid arteries on both sides.",
        "Both carotid arteries are normal.",
        "No abnormality of the carotid arteries on either side.",
    ),
    "thickening": ("intima-media thickening", "thickened intima-media"),
    "plaque only": ("{segments} plaque", "plaque of the {segments}"),
    "grade <50%": ("stenosis below 50%", "stenosis less than 50%"),
    "grade 50-69%": ("50-69% stenosis", "moderate stenosis of 50-69%"),
    "grade >=70%": ("stenosis of 70% or more", "severe stenosis of 70% or more"),
    "grade near occlusion": ("near occlusion", "near occlusion of the lumen"),
    "grade occlusion": ("total occlusion", "complete occlusion"),
}
"""Key -> phrasings. The first is the most usual one; each is chosen on its own. A slot that begins with a
capital (``{Side}``, ``{Kind}``) is the same word capitalised; ``{segments}`` joins two segments by "and"."""

INDICATIONS: tuple[str, ...] = (
    "Stroke risk assessment.",
    "Hypertension.",
    "Dizziness.",
    "Diabetes, cardiovascular risk assessment.",
    "Hyperlipidemia.",
    "Transient ischemic attack.",
    "Routine health check.",
    "Neck bruit.",
    "Before cardiac surgery.",
    "Headache.",
)
FOLLOW_UPS: tuple[str, ...] = ("Follow-up.", "Follow-up after one year.", "Annual follow-up.")

_FREQUENCY = {1: (1.0,), 2: (0.65, 0.35), 3: (0.6, 0.25, 0.15)}


def truth_terms(truth: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the facts that the report of ``truth`` states, in the words a reader should normalise to.

    Returns:
        ``{"right": facts, "left": facts}``; facts are ``thickened`` (bool), ``imt_mm`` (0.1 mm), ``plaques``
        (a list of ``kind``, ``surface``, ``segment``, ``wall``, ``thickness_mm`` to 0.5 mm; surface, wall and
        thickness are ``None`` for an occluding plaque), ``psv`` (cm/s; ``None`` without flow), ``flow`` and
        ``grade``. In the Impression: ``grade``, and of each plaque its segment.
    """
    return {side: _facts(truth[side]) for side in ("right", "left")}


def _facts(side: Mapping[str, Any]) -> dict[str, Any]:
    plaques = [
        {
            **{key: plaque[key] for key in ("kind", "surface", "segment", "wall")},
            "thickness_mm": None if plaque["wall"] is None else half_mm(plaque["thickness_mm"]),
        }
        for plaque in side["plaques"]
    ]
    return {
        "thickened": side["imt_mm"] >= THICKENED_MM,
        "imt_mm": side["imt_mm"],
        "plaques": plaques,
        "psv": side["psv"] or None,
        "flow": side["flow"],
        "grade": side["grade"],
    }


def half_mm(mm: float) -> float:
    """Round to 0.5 mm, as plaque thickness is reported.

    >>> half_mm(2.3), half_mm(2.2)
    (2.5, 2.0)
    """
    return round(2 * mm) / 2


def write_report(truth: Mapping[str, Any], rng: np.random.Generator) -> tuple[str, str]:
    """Return Findings and Impression of a study; ``rng`` chooses among the phrasings only.

    Args:
        truth: as :meth:`~radflow.studies.phantoms.carotid.anatomy.Anatomy.truth` gives it.
    """
    facts = truth_terms(truth)
    clean = [not side["thickened"] and not side["plaques"] for side in facts.values()]
    if all(clean) and rng.random() < 0.6:
        findings = _both_normal(facts, rng)
    else:
        findings = " ".join(_side_findings(name, facts[name], truth[name]["ratio"], rng) for name in facts)
    return findings, _impression(facts, all(clean), rng)


def write_indication(visit: int, rng: np.random.Generator) -> str:
    """Return why the study was asked for. It knows the visit, not the disease: the picture must tell that."""
    choices = FOLLOW_UPS if visit and rng.random() < 0.7 else INDICATIONS
    return choices[int(rng.integers(len(choices)))]


def _say(rng: np.random.Generator, key: str, **slots: object) -> str:
    phrasings = PHRASES[key]
    chosen = phrasings[int(rng.choice(len(phrasings), p=_FREQUENCY[len(phrasings)]))]
    capital = {name.capitalize(): str(value).capitalize() for name, value in slots.items()}
    return chosen.format(**slots, **capital)


def _both_normal(facts: Mapping[str, Any], rng: np.random.Generator) -> str:
    right, left = facts["right"], facts["left"]
    return " ".join(
        (
            _say(rng, "block both"),
            _say(rng, "imt normal both", imt=right["imt_mm"], imt2=left["imt_mm"]),
            _say(rng, "no plaque both"),
            _say(rng, "flow normal both", psv=right["psv"], psv2=left["psv"]),
        )
    )


def _side_findings(name: str, facts: Mapping[str, Any], ratio: float | None, rng: np.random.Generator) -> str:
    said = [
        _say(rng, "block", side=name),
        _say(rng, "imt thickened" if facts["thickened"] else "imt normal", imt=facts["imt_mm"]),
    ]
    for plaque in facts["plaques"]:
        key = "plaque occluding" if plaque["wall"] is None else "plaque"
        said.append(_say(rng, key, **{**plaque, "mm": plaque["thickness_mm"]}))
    if not facts["plaques"]:
        said.append(_say(rng, "no plaque"))
    if facts["grade"] == "near occlusion":
        said.append(_say(rng, "lumen string"))
    said.append(_say(rng, f"flow {facts['flow']}", psv=facts["psv"]))
    if facts["grade"] in ("50-69%", ">=70%") and ratio is not None and rng.random() < 0.25:
        said.append(_say(rng, "ratio", ratio=ratio))
    return " ".join(said)


def _impression(facts: Mapping[str, Any], normal: bool, rng: np.random.Generator) -> str:
    if normal:
        return _say(rng, "normal both")
    return " ".join(
        _say(rng, "conclude", side=name, what=_conclusion(side, rng)) for name, side in facts.items()
    )


def _conclusion(facts: Mapping[str, Any], rng: np.random.Generator) -> str:
    parts = []
    if facts["plaques"]:
        segments = " and ".join(plaque["segment"] for plaque in facts["plaques"])
        parts.append(
            f"{_say(rng, 'plaque only', segments=segments)} with {_say(rng, 'grade ' + facts['grade'])}"
        )
    if facts["thickened"]:
        parts.append(_say(rng, "thickening"))
    return ", ".join(parts) or _say(rng, "normal")
