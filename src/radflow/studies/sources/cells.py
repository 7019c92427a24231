"""The report of two sections, which reports are wanted, and paths beside their views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from radflow.errors import DataError
from radflow.reports import Report, render_report

Sections = Literal["both", "any"]


def report_of(findings: str | None, impression: str | None) -> Report | None:
    """The reference report of two sections, as ReXrank scores it; of one section, that section's words.

    >>> report_of("Clear.", "Normal.").text, report_of(None, "Normal.").text, report_of(None, None)
    ('Findings: Clear. Impression: Normal.', 'Normal.', None)
    """
    if findings is None and impression is None:
        return None
    both = findings is not None and impression is not None
    text = render_report(findings, impression) if both else findings or impression or ""
    return Report(text=text, findings=findings, impression=impression)


def wanted(report: Report | None, sections: Sections) -> Report:
    """The report, if it is one to keep.

    Args:
        report: as `report_of` gives it.
        sections: ``both`` leaves out reports that lack Findings or Impression; ``any`` keeps those with one.

    Raises:
        DataError: it is to be left out; the message is the reason of a `Rejected`.

    >>> wanted(report_of(None, "Normal."), "any").impression
    'Normal.'
    >>> wanted(report_of(None, "Normal."), "both")
    Traceback (most recent call last):
    ...
    radflow.errors.DataError: report with impression only
    """
    if report is not None and (sections == "any" or report.sectioned):
        return report
    has = [name for name in ("findings", "impression") if getattr(report, name, None)]
    raise DataError(f"report with {has[0]} only" if has else "report with neither section")


def check_sections(sections: Sections) -> None:
    """Raise `DataError` unless it is one that `wanted` takes."""
    if sections not in ("both", "any"):
        raise DataError(f"sections: expected both or any, got {sections!r}")


def paired(paths: Sequence[str], views: Sequence[str]) -> list[tuple[str, str | None]]:
    """Each path with its view; ``None`` for all where there are fewer views than paths.

    ReXrank's file of IU X-Ray has 23 such studies, and 45 with more views than paths. Held against Kaggle's
    table, the first views of a longer list belong to the paths in their order; a shorter one may begin
    anywhere.

    >>> paired(["a", "b"], ["PA", "LL", "LL"]), paired(["a", "b"], ["PA"])
    ([('a', 'PA'), ('b', 'LL')], [('a', None), ('b', None)])
    """
    if len(views) < len(paths):
        return [(path, None) for path in paths]
    return list(zip(paths, views, strict=False))
