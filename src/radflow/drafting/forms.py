"""The forms of a draft, text, JSON, HTML, FHIR and DICOM SR, and which file gets which."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from radflow import __version__
from radflow.drafting.options import Form
from radflow.errors import DataError
from radflow.integrations.dicom_sr import basic_text_sr
from radflow.integrations.fhir import diagnostic_report
from radflow.reports.draft import NOTICE, Draft, passages_of, stretches
from radflow.viewer.draft import render_draft

SUFFIXES: dict[Form, str] = {
    "text": ".txt",
    "fhir": ".fhir.json",
    "json": ".json",
    "html": ".html",
    "sr": ".dcm",
}
"""How the file of each form ends. ``.fhir.json`` stands before ``.json``, which it ends in too."""


@dataclass(frozen=True, kw_only=True)
class Drafted:
    """A draft with what some of its forms need beside it.

    Attributes:
        draft: the draft.
        pictures: PNG or JPEG files for the page.
        views: one word per picture, or none.
        sources: DICOM files whose patient is kept in a structured report; none keeps nobody.
        subject: FHIR reference to whom it is about, or ``None``.
        imaging_study: FHIR reference to the study, or ``None``.
    """

    draft: Draft
    pictures: tuple[Path, ...] = ()
    views: tuple[str, ...] = ()
    sources: tuple[Path, ...] = ()
    subject: str | None = None
    imaging_study: str | None = None


def destinations(forms: Sequence[Form], outs: Sequence[Path]) -> list[tuple[Form, Path | None]]:
    """Which form goes where; ``None`` is standard output.

    A file's ending tells its form unless one form is asked for by name. A path without an ending, or a
    folder, gets one file per form, JSON if none is asked for.

    Raises:
        DataError: an ending that is no form's, or several forms for one place.

    >>> destinations([], [Path("a.html"), Path("a.fhir.json")])
    [('html', PosixPath('a.html')), ('fhir', PosixPath('a.fhir.json'))]
    >>> destinations(["fhir", "sr"], [Path("drafts")])
    [('fhir', PosixPath('drafts/draft.fhir.json')), ('sr', PosixPath('drafts/draft.dcm'))]
    >>> destinations([], [])
    [('text', None)]
    """
    if not outs:
        if len(forms) > 1 or "sr" in forms:
            raise DataError(
                f"--format {' '.join(forms)}: expected --out too, a file for one form or a folder"
            )
        return [(forms[0] if forms else "text", None)]
    placed: list[tuple[Form, Path | None]] = []
    for out in outs:
        if out.is_dir() or not out.suffix:
            placed += [(form, out / f"draft{SUFFIXES[form]}") for form in forms or ("json",)]
        elif len(forms) == 1 and len(outs) == 1:
            placed.append((forms[0], out))
        elif forms:
            raise DataError(
                f"--out {out}: expected a folder for several forms, or the endings alone to tell them"
            )
        else:
            placed.append((_form_of(out), out))
    return placed


def _form_of(out: Path) -> Form:
    for form, suffix in SUFFIXES.items():
        if out.name.lower().endswith(suffix):
            return form
    raise DataError(
        f"--out {out}: expected an ending among {', '.join(sorted(SUFFIXES.values()))}, or a folder"
    )


def render(form: Form, drafted: Drafted) -> str | bytes:
    """Return a draft in one form."""
    draft = drafted.draft
    match form:
        case "text":
            return plain_text(draft)
        case "json":
            return json.dumps(record(draft), ensure_ascii=False) + "\n"
        case "html":
            return render_draft(draft, drafted.pictures, drafted.views)
        case "fhir":
            page = render_draft(draft)  # without the pictures, which the study has
            report = diagnostic_report(
                draft, page=page, subject=drafted.subject, imaging_study=drafted.imaging_study
            )
            return json.dumps(report, ensure_ascii=False, indent=1) + "\n"
        case "sr":
            return basic_text_sr(draft, sources=drafted.sources)


def record(draft: Draft) -> dict[str, Any]:
    """Return a draft as JSON has it; ``words`` holds every word with its place in ``text``."""
    report = draft.report
    return {
        "notice": NOTICE,
        "study_id": draft.study_id,
        "findings": report.findings,
        "impression": report.impression,
        "text": report.text,
        "consistent": draft.consistent,
        "inconsistent_because": list(draft.reasons),
        "critical": draft.critical,
        "critical_because": list(draft.because),
        "finished": draft.finished,
        "uncertain_below": draft.uncertain_below,
        "uncertain": [report.text[word.start : word.end] for word in draft.uncertain],
        "words": [
            {
                "word": report.text[word.start : word.end],
                "start": word.start,
                "end": word.end,
                "p": round(word.probability, 4),
            }
            for word in draft.words
        ],
        "indication": draft.indication,
        "drawn": draft.drawn,
        "picture_flags": list(draft.flags),
        "cautions": list(draft.cautions),
        "model": draft.model,
        "created": draft.created,
        "radflow": __version__,
    }


def plain_text(draft: Draft) -> str:
    """Return a draft as text, its uncertain words ``_between_`` underscores."""
    return (
        "\n".join("".join(f"_{text}_" if marked else text for text, marked in line) for line in _lines(draft))
        + "\n"
    )


def screen_text(draft: Draft) -> Text:
    """Return a draft for a terminal, its uncertain words underlined."""
    lines = []
    for pieces in _lines(draft):
        line = Text()
        for text, marked in pieces:
            line.append(text, style="underline yellow" if marked else "bold yellow" if text == NOTICE else "")
        lines.append(line)
    return Text("\n").join(lines)


def _lines(draft: Draft) -> list[list[tuple[str, bool]]]:
    """The lines of the text, in pieces that are marked or not; the notice is first and last."""
    lines = [[(NOTICE, False)], []]
    for passage in passages_of(draft.report):
        pieces = [(text, word is not None) for text, word in stretches(draft, passage)]
        lines.append([(f"{passage.title:<12}", False), *pieces] if passage.title else pieces)
    sentences = [draft.verdict, *(f"  {reason}" for reason in draft.reasons), draft.flag, *draft.remarks]
    lines += [[], *([(sentence, False)] for sentence in sentences)]
    if draft.uncertain:
        lines.append([(draft.uncertainty, False)])
    return [*lines, [], [(NOTICE, False)]]
