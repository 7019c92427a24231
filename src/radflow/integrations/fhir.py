"""A draft as a FHIR R4 ``DiagnosticReport``: https://hl7.org/fhir/R4/diagnosticreport.html

It is ``preliminary``, names nobody unless told whom, and says that it is a draft in the three places that
systems show: the narrative, the conclusion and the presented page. No extension is needed to read it.
"""

from __future__ import annotations

import base64
import re
from html import escape
from typing import Any

from radflow.errors import DataError
from radflow.reports.draft import NOTICE, Draft, passages_of, stretches

_LOINC = "http://loinc.org"
_XHTML = "http://www.w3.org/1999/xhtml"
_REFERENCE = re.compile(r"(?:https?://\S+/)?(?P<type>[A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}")
SUBJECTS = ("Patient", "Group", "Device", "Location")
STUDIES = ("ImagingStudy",)


def diagnostic_report(
    draft: Draft, *, page: str, subject: str | None = None, imaging_study: str | None = None
) -> dict[str, Any]:
    """Return the resource as JSON has it.

    Findings, verdict and critical flag are contained Observations, since R4 has no field for them. The
    conclusion is there only where the text has an Impression.

    Args:
        draft: what to write.
        page: the draft as HTML, for ``presentedForm``.
        subject: whom it is about, such as ``Patient/123``.
        imaging_study: of which study, such as ``ImagingStudy/456``.

    Raises:
        DataError: not a reference to a resource of that kind.
    """
    results = _observations(draft)
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "text": {"status": "generated", "div": _narrative(draft)},
        "contained": results,
        "status": "preliminary",
        "category": [
            {
                "coding": [
                    _coding("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "Radiology"),
                    _coding(_LOINC, "LP29684-5", "Radiology"),
                ]
            }
        ],
        "code": {"coding": [_coding(_LOINC, "18748-4", "Diagnostic imaging study")]},
        "issued": draft.created,
        "result": [{"reference": f"#{observation['id']}"} for observation in results],
    }
    if subject is not None:
        report["subject"] = reference_to(SUBJECTS, subject)
    if imaging_study is not None:
        report["imagingStudy"] = [reference_to(STUDIES, imaging_study)]
    if draft.report.impression:
        report["conclusion"] = f"{NOTICE} {draft.report.impression}"
    report["presentedForm"] = [
        {
            "contentType": "text/html",
            "language": "en",
            "data": base64.b64encode(page.encode()).decode("ascii"),
            "title": NOTICE,
            "creation": draft.created,
        }
    ]
    return report


def _observations(draft: Draft) -> list[dict[str, Any]]:
    """What was written and what was read in it, each an Observation of its own."""
    findings = draft.report.findings or draft.report.text
    made: list[dict[str, Any]] = []
    if findings.strip():
        code = {"coding": [_coding(_LOINC, "18782-3", "Radiology Study observation (narrative)")]}
        made.append(_observation("findings", code, {"valueString": findings}))
    follows = {"text": "The impression follows from the findings (rules)"}
    if draft.consistent is None:
        reason = {"dataAbsentReason": {"text": "Findings and Impression could not be told apart"}}
        made.append(_observation("consistency", follows, reason))
    else:
        said: dict[str, Any] = {"valueBoolean": draft.consistent}
        if draft.reasons:
            said["note"] = [{"text": reason} for reason in draft.reasons]
        made.append(_observation("consistency", follows, said))
    critical: dict[str, Any] = {"valueBoolean": draft.critical}
    if draft.because:
        critical["note"] = [{"text": ", ".join(draft.because)}]
    code = {"text": "The report describes an abnormal or clinically significant finding (rules)"}
    made.append(_observation("critical", code, critical))
    return made


def _observation(name: str, code: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": name, "status": "preliminary", "code": code, **value}


def _coding(system: str, code: str, display: str) -> dict[str, str]:
    return {"system": system, "code": code, "display": display}


def reference_to(kinds: tuple[str, ...], text: str) -> dict[str, str]:
    """Return a reference to a resource of one of some kinds.

    Raises:
        DataError: it is none.

    >>> reference_to(SUBJECTS, "Patient/123")
    {'reference': 'Patient/123'}
    """
    match = _REFERENCE.fullmatch(text)
    if match is None or match["type"] not in kinds:
        raise DataError(f"expected a FHIR reference such as {kinds[0]}/123, got {text!r}")
    return {"reference": text}


def _narrative(draft: Draft) -> str:
    """The draft as XHTML, the notice first."""
    parts = [f"<p><b>{NOTICE}</b></p>"]
    for passage in passages_of(draft.report):
        title = f"<b>{passage.title}</b> " if passage.title else ""
        parts.append(f"<p>{title}{''.join(_marked(*piece) for piece in stretches(draft, passage))}</p>")
    sentences = (draft.verdict, *draft.reasons, draft.flag, *draft.remarks)
    parts += [f"<p>{escape(sentence)}</p>" for sentence in sentences]
    parts.append(f"<p>{escape(draft.uncertainty)} Model: {escape(draft.model)}.</p>")
    return f'<div xmlns="{_XHTML}">{"".join(parts)}</div>'


def _marked(text: str, word: Any) -> str:
    return escape(text) if word is None else f'<u title="p = {word.probability:.2f}">{escape(text)}</u>'
