"""A report's labels, and the words that each label rests on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from radflow.viewer.highlight import Highlight, Segment, segments
from radflow.viewer.records import Evidence, ReadReport, State
from radflow.viewer.templating import render
from radflow.viewer.wording import system_name

_WORD: Mapping[State, str] = {1: "stated", -1: "uncertain", 0: "denied", None: "set aside"}
SUMMARIES = ("No Finding", "normal")
_KIND: Mapping[State, str] = {1: "stated", -1: "uncertain", 0: "denied", None: "aside"}
_ORDER: Sequence[State] = (1, -1, 0, None)


@dataclass(frozen=True, kw_only=True)
class EvidenceRow:
    """What some words of a report say: the state they give, to which labels, and by which rule.

    ``phrase`` is ``""`` where the rule quotes the words itself.
    """

    state: str
    names: tuple[str, ...]
    phrase: str
    rule: str


@dataclass(frozen=True, kw_only=True)
class EvidenceView:
    """One report as printed; ``stated`` names the labels that it states or hedges."""

    study_id: str
    system: str
    stated: tuple[str, ...]
    segments: tuple[Segment, ...]
    rows: tuple[EvidenceRow, ...]


def evidence_view(report: ReadReport) -> EvidenceView:
    """Highlight a report and list what its words say: what is stated first, what did not count last.

    >>> found = Evidence(name="Edema", state=0, spans=((3, 8),), cue=(0, 2), rule="'No' before it denies")
    >>> report = ReadReport(study_id="1", text="No edema.", labels={"Edema": 0}, evidence=(found,))
    >>> [(segment.text, segment.kind) for segment in evidence_view(report).segments]
    [('No', 'cue'), (' ', ''), ('edema', 'denied'), ('.', '')]
    >>> evidence_view(report).rows
    (EvidenceRow(state='denied', names=('Edema',), phrase='edema', rule="'No' before it denies"),)
    """
    return EvidenceView(
        study_id=report.study_id,
        system=system_name(report.system),
        stated=tuple(
            name if state == 1 else f"{name}?" for name, state in report.labels.items() if state in (1, -1)
        ),
        segments=segments(report.text, _marks(report.evidence)),
        rows=(*_whole(report), *_rows(report)),
    )


def _whole(report: ReadReport) -> Iterable[EvidenceRow]:
    """Labels that no words of their own give, such as No Finding."""
    pointed_at = {found.name for found in report.evidence}
    for name, state in report.labels.items():
        if state is not None and name in SUMMARIES and name not in pointed_at:
            yield EvidenceRow(state=_WORD[state], names=(name,), phrase="", rule="from the report as a whole")


def _rows(report: ReadReport) -> Iterable[EvidenceRow]:
    """One row for statements that share state, words and rule."""
    groups: dict[tuple[Any, ...], list[Evidence]] = defaultdict(list)
    for found in sorted(report.evidence, key=lambda f: (not f.decisive, _ORDER.index(f.state))):
        groups[found.state, found.decisive, found.spans, found.rule].append(found)
    for (state, decisive, spans, rule), alike in groups.items():
        overruled = "" if decisive or state is None else ", overruled"
        yield EvidenceRow(
            state=_WORD[state] + overruled,
            names=tuple(dict.fromkeys(found.name for found in alike)),
            phrase=" ".join(report.text[slice(*spans[0])].split()) if len(spans) == 1 else "",
            rule=rule,
        )


def _marks(evidence: Sequence[Evidence]) -> list[Highlight]:
    """One mark per span: where several statements share their words, the strongest gives it its colour."""
    by_span: dict[tuple[int, int], list[Evidence]] = defaultdict(list)
    cues: dict[tuple[int, int], str] = {}
    for found in evidence:
        for span in found.spans:
            by_span[span].append(found)
        if found.cue is not None:
            cues.setdefault(found.cue, found.rule)
    marks = [
        Highlight(start=start, end=end, kind="cue", note=rule)
        for (start, end), rule in cues.items()
        if (start, end) not in by_span
    ]
    for (start, end), shared in by_span.items():
        shared.sort(key=lambda found: (not found.decisive, _ORDER.index(found.state)))
        note = "; ".join(dict.fromkeys(f"{f.name}: {_WORD[f.state]} ({f.rule})" for f in shared))
        marks.append(Highlight(start=start, end=end, kind=_KIND[shared[0].state], note=note))
    return marks


def by_study(reports: Iterable[ReadReport]) -> Mapping[str, list[EvidenceView]]:
    """Views of all reports, by study."""
    views: dict[str, list[EvidenceView]] = defaultdict(list)
    for report in reports:
        views[report.study_id].append(evidence_view(report))
    return dict(views)


def render_labels(reports: Sequence[ReadReport], *, title: str, note: str) -> str:
    """Return a page of reports with the words highlighted that their labels rest on.

    Args:
        reports: what to show.
        title: of the page, such as the name of the file that the reports are from.
        note: which reader labelled them, and how many of them are shown.
    """
    return render("labels.jinja", title=title, note=note, views=[evidence_view(report) for report in reports])
