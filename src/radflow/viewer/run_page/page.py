"""A run as one self-contained page.

Everything is inside the file: styles, script, charts as SVG, images as data URIs. The page's own security
policy forbids any request, and any script but the one it came with, so text from a report can do nothing.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

from radflow.files import write_atomic
from radflow.viewer.cases import case_views, counts, observed, template_report
from radflow.viewer.evidence import by_study
from radflow.viewer.records import Results
from radflow.viewer.run_page.curves import rft_panels, sft_panels
from radflow.viewer.run_page.downloads import downloads
from radflow.viewer.run_page.explored import exploration_view
from radflow.viewer.run_page.facts import recipe_facts, run_facts, seconds_table, subject, tiles
from radflow.viewer.run_page.run_files import RunFiles, read_run
from radflow.viewer.tables import controls_table, drift_table, result_table, shuffled_table, unmoved
from radflow.viewer.templating import render
from radflow.viewer.verdict import verdict


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
    results, cases = files.results or Results(), files.cases or ()
    best_step = files.rft.best_step if files.rft else None
    title = results.name or files.folder.resolve().name
    views = case_views(cases, files.folder)
    return render(
        "run.jinja",
        scripts=("page.js", "zoom.js"),
        title=title,
        date=_date(files),
        drawn=results.images == "drawn",
        facts=run_facts(files),
        recipe_facts=recipe_facts(files.recipe),
        recipe=files.recipe,
        subject=subject(files),
        downloads=downloads(files, title),
        # of results.json
        results=files.results,
        verdict=verdict(results) if files.results else "",
        warnings=results.warnings,
        tiles=tiles(results),
        table=result_table(results) if results.systems else None,
        controls=controls_table(results) if len(results.gain_over) > 1 or len(results.falls) > 1 else None,
        drift=drift_table(results) if results.drift else None,
        shuffled=shuffled_table(results) if results.shuffled else None,
        blind=unmoved(results),
        seconds=seconds_table(results.seconds),
        # of training
        best_step=best_step,
        sft_panels=sft_panels(files.log) if files.log else [],
        rft_panels=rft_panels(files.log, best_step) if files.log else [],
        exploration=exploration_view(files.exploration, files.rft.rounds if files.rft else ())
        if files.exploration
        else None,
        # of the cases
        cases=views,
        filters=counts(views),
        observations=observed(cases),
        template_report=template_report(cases),
        evidence=by_study(files.evidence or ()),
    )


def _date(files: RunFiles) -> str:
    """Return the run's own date, or the day on which the newest of its files was written."""
    if files.results and files.results.date:
        return files.results.date
    known = [files.folder / name for name in ("results.json", "metrics.jsonl")]
    newest = max((path.stat().st_mtime for path in known if path.is_file()), default=math.nan)
    return f"{datetime.fromtimestamp(newest, UTC):%Y-%m-%d}" if math.isfinite(newest) else ""
