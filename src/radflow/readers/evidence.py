"""What the labels of a report rest on, as records that a page can show and a table can hold.

Rules can say why; a network cannot. So a report that CheXbert labels is not explained here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from radflow.modality import MODALITIES, attribute, modality_of
from radflow.readers import carotid, labeler
from radflow.readers.criticality import why
from radflow.readers.explain import explain
from radflow.studies import Study

TRIAGE = "criticality-rules"

_STATES = {"no:": 0, "possible:": -1, "past:": None}
"""Prefix of a carotid term to its state."""


def explain_report(text: str, modality: str, *, lexicon: Path | None = None) -> dict[str, Any]:
    """Label one report by rules and say what each label rests on.

    Args:
        text: the report. Every position counts its characters.
        modality: decides who explains; one whose record names nobody gets its labels alone.
        lexicon: phrases of your own for chest reports.

    Returns:
        ``{"labels": {name: state}, "evidence": [...]}``; each piece of evidence has ``name``, ``state``,
        ``spans``, ``cue``, ``rule``, ``source`` and ``decisive``. On ultrasound the evidence is about key
        terms, from which the labels follow.

    >>> record = explain_report("No edema.", "chest-xray")
    >>> record["evidence"][0]["name"], record["evidence"][0]["spans"], record["evidence"][0]["cue"]
    ('Edema', [[3, 8]], [0, 2])
    """
    if (evidence := modality_of(modality).evidence) is not None:
        return attribute(evidence)(text, lexicon)
    return {"labels": labeler(modality)([text])[0], "evidence": []}


def deciding_spans(text: str, modality: str) -> list[tuple[int, int]]:
    """The characters that decide labels: what is named, what is said of it, what denies or hedges it.

    A statement that a stronger one overrules elsewhere counts: it decides the label of its own section. One
    that is set aside ("history of") decides none.

    >>> text = "No edema. Heart is enlarged. History of pneumonia."
    >>> [text[slice(*span)] for span in deciding_spans(text, "chest-xray")]
    ['No', 'edema', 'Heart', 'enlarged']
    """
    found: set[tuple[int, int]] = set()
    for one in explain_report(text, modality)["evidence"]:
        if one["state"] is not None:
            found.update(
                (start, end) for start, end in (*one["spans"], *([one["cue"]] if one["cue"] else []))
            )
    return sorted(found)


def chest_evidence(text: str, lexicon: Path | None = None) -> dict[str, Any]:
    """The 14 CheXpert observations of a report and what each rests on."""
    found = explain(text, lexicon)
    evidence = [
        {
            "name": one.observation,
            "state": one.state,
            "spans": [list(span) for span in (one.phrase, one.quality) if span is not None],
            "cue": None if one.cue is None else list(one.cue),
            "rule": one.rule,
            "source": one.source,
            "decisive": one.decisive,
        }
        for one in found.evidence
    ]
    return {"labels": dict(found.labels), "evidence": evidence}


def carotid_evidence(text: str, lexicon: Path | None = None) -> dict[str, Any]:
    """The labels of a report, and the key terms from which they follow."""
    return {"labels": labeler("carotid-us")([text])[0], "evidence": list(_carotid(text))}


def _carotid(text: str) -> Iterator[dict[str, Any]]:
    for term, phrase, rule, cue in carotid.explain(text):
        prefix = next((prefix for prefix in _STATES if term.startswith(prefix)), "")
        yield {
            "name": term.removeprefix(prefix),
            "state": _STATES.get(prefix, 1),
            "spans": [list(phrase)],
            "cue": None if cue is None else list(cue),
            "rule": rule,
            "source": "carotid.toml",
            "decisive": True,
        }


def critical_because(study: Study) -> list[str]:
    """The phrases that made the rules call a study critical; empty where somebody else annotated it."""
    if study.critical_by != TRIAGE or MODALITIES[study.modality].criticality != TRIAGE:
        return []
    return list(dict.fromkeys(reason.phrase or reason.entry for reason in why(study.reference)))
