"""A run as one self-contained page.

Everything is inside the file: styles, script, charts as SVG, images as data URIs. The page's own security
policy forbids any request, and any script but the one it came with, so text from a report can do nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from radflow.files import write_atomic
from radflow.viewer.cases import blocks, case_views, counts, observed, template_report
from radflow.viewer.evidence import by_study, evidence_view
from radflow.viewer.records import ReadReport, Results
from radflow.viewer.run_page.curves import rft_panels, sft_panels
from radflow.viewer.run_page.downloads import downloads
from radflow.viewer.run_page.explored import exploration_view
from radflow.viewer.run_page.facts import recipe_facts, run_facts, seconds_table, subject, tiles
from radflow.viewer.run_page.run_files import RunFiles, read_run
from radflow.viewer.tables import drift_table, result_table, shuffled_table, unmoved
from radflow.viewer.templating import asset, csp_hash, environment
from radflow.viewer.verdict import verdict

__all__ = ["render_labels", "render_page", "write_page"]


def write_page(run: Path) -> Path:
    """Write ``report.html`` into a run's folder and return its path.

    The same files give the same page, byte for byte.

    Args:
        run: the folder of a run. A section whose file is missing says so.

    Raises:
        MissingFileError: there is no such folder, or nothing in it that a page could show.
        DataError: a file of the run is broken; the message names the file and the place.
        NotWritableError: the page cannot be written.
    """
    page = run / "report.html"
    content = render_page(read_run(run))
    write_atomic(page, content, what="cannot write the page")
    return page


def render_page(files: RunFiles) -> str:
    """Return the page of a run as HTML."""
    style, script = asset("page.css"), asset("page.js") + asset("zoom.js")
    template = _environment().get_template("page.jinja")
    return template.render(
        style=style,
        script=script,
        style_hash=csp_hash(style),
        script_hash=csp_hash(script),
        title=_title(files),
        date=_date(files),
        drawn=files.results is not None and files.results.images == "drawn",
        facts=run_facts(files),
        recipe_facts=recipe_facts(files.recipe),
        recipe=files.recipe,
        subject=subject(files),
        downloads=downloads(files),
        **_measured(files.results),
        **_trained(files),
        **_shown(files),
    )


def render_labels(reports: Sequence[ReadReport], *, title: str, note: str) -> str:
    """Return a page of reports with the words highlighted that their labels rest on.

    Args:
        reports: what to show.
        title: of the page, such as the name of the file that the reports are from.
        note: which reader labelled them, and how many of them are shown.
    """
    style = asset("page.css")
    return (
        _environment()
        .get_template("labels.jinja")
        .render(
            style=style,
            style_hash=csp_hash(style),
            title=title,
            note=note,
            views=[evidence_view(report) for report in reports],
        )
    )


def _measured(results: Results | None) -> Mapping[str, Any]:
    """Return what sections 1 to 3 and the last one print from ``results.json``."""
    known = results or Results()
    return {
        "results": results,
        "verdict": verdict(known) if results else "",
        "warnings": known.warnings,
        "tiles": tiles(known),
        "table": result_table(known) if known.systems else None,
        "drift": drift_table(known) if known.drift else None,
        "shuffled": shuffled_table(known) if known.shuffled else None,
        "blind": unmoved(known),
        "seconds": seconds_table(known.seconds),
    }


def _trained(files: RunFiles) -> Mapping[str, Any]:
    """Return what sections 4 and 5 print."""
    best = files.rft.best_step if files.rft else None
    return {
        "best_step": best,
        "sft_panels": sft_panels(files.log) if files.log else [],
        "rft_panels": rft_panels(files.log, best) if files.log else [],
        "exploration": exploration_view(files.exploration) if files.exploration else None,
    }


def _shown(files: RunFiles) -> Mapping[str, Any]:
    """Return what section 6 prints."""
    views = case_views(files.cases or (), files.folder)
    return {
        "cases": views,
        "filters": counts(views),
        "observations": observed(files.cases or ()),
        "template_report": template_report(files.cases or ()),
        "evidence": by_study(files.evidence or ()),
    }


def _title(files: RunFiles) -> str:
    return (files.results.name if files.results else None) or files.folder.resolve().name


def _date(files: RunFiles) -> str:
    """Return the run's own date, or the day on which the newest of its files was written."""
    if files.results and files.results.date:
        return files.results.date
    known = [files.folder / name for name in ("results.json", "metrics.jsonl")]
    newest = max((path.stat().st_mtime for path in known if path.is_file()), default=math.nan)
    return f"{datetime.fromtimestamp(newest, UTC):%Y-%m-%d}" if math.isfinite(newest) else ""


def _environment() -> jinja2.Environment:
    made = environment()
    made.filters["blocks"] = blocks
    made.filters["filename"] = lambda title: re.sub(r"[^\w.-]+", "-", title).strip("-").lower()
    return made
