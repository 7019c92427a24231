"""What is wanted of each study: which pictures, and which sections its report must have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from radflow.errors import DataError, at_least
from radflow.reports import Report, render_report
from radflow.studies.views import VIEWS, Picture, Views, choose, none_left

Sections = Literal["both", "any"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a data set is asked for.

    Attributes:
        views: ``frontal`` and ``lateral`` leave other pictures out, those of unknown view among them.
        max_images: at most so many pictures per study, frontal before lateral before unknown.
        sections: ``both`` leaves out reports that lack Findings or Impression; ``any`` keeps those with one.

    Raises:
        DataError: one of them is none of these.
    """

    views: Views = "all"
    max_images: int | None = None
    sections: Sections = "any"

    def __post_init__(self) -> None:
        if self.views not in VIEWS:
            raise DataError(f"views: expected one of {', '.join(VIEWS)}, got {self.views!r}")
        if self.sections not in ("both", "any"):
            raise DataError(f"sections: expected both or any, got {self.sections!r}")
        if self.max_images is not None:
            at_least("max_images", self.max_images, 1)

    def pictures(self, found: Sequence[Picture]) -> list[Picture]:
        """The pictures of a study that are wanted.

        Raises:
            DataError: none; the message is the reason of a `Rejected`.
        """
        chosen = choose(found, self.views, self.max_images)
        if not chosen:
            raise DataError(none_left(found, self.views))
        return chosen

    def report(self, report: Report | None) -> Report:
        """The report, if it is wanted.

        Raises:
            DataError: it is not; the message is the reason of a `Rejected`.

        >>> Choice(sections="any").report(report_of(None, "Normal.")).impression
        'Normal.'
        >>> Choice(sections="both").report(report_of(None, "Normal."))
        Traceback (most recent call last):
        ...
        radflow.errors.DataError: report with impression only
        """
        if report is not None and (self.sections == "any" or report.sectioned):
            return report
        has = [name for name in ("findings", "impression") if getattr(report, name, None)]
        raise DataError(f"report with {has[0]} only" if has else "report with neither section")


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
