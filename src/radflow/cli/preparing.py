"""``radflow prepare``: a data set to a manifest, with the account of what became of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from radflow.cli.studies import prepare_source, triage
from radflow.errors import RecipeError
from radflow.studies.contact_sheet import contact_sheet as draw_sheet
from radflow.studies.manifest import read_manifest, write_manifest


def prepare_command(
    screen: Console,
    source: str,
    out: Path,
    count: int | None,
    images: Path | None,
    seed: int,
    image_size: int | None,
    contact_sheet: Path | None,
) -> None:
    """Prepare, annotate criticality, print the account, draw the contact sheet where asked."""
    options: dict[str, Any] = {"seed": seed}
    if image_size is not None:
        options["image_size"] = image_size
    if source == "open-i":
        options |= {"images": images, "limit": count}
    elif images is not None:
        raise RecipeError(f"--images: {source} draws its images; only open-i takes real ones")
    elif count is not None:
        options["count"] = count
    folder = out.parent if out.suffix else out
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task("Preparing studies", total=None)
        account = prepare_source(
            source,
            folder,
            progress=lambda done, total: bars.update(task, completed=done, total=total),
            **options,
        )
    manifest = read_manifest(account.manifest)
    studies = triage(manifest.studies)
    target = out if out.suffix else account.manifest
    write_manifest(target, studies)
    if target != account.manifest:
        account.manifest.unlink()
    for line in account.lines():
        screen.print(line.replace(str(account.manifest), str(target)))
    critical = sum(bool(s.critical) for s in studies)
    screen.print(f"  critical: {critical:,} ({critical / len(studies):.0%})")
    if contact_sheet is not None:
        screen.print(f"  contact sheet: {draw_sheet(studies, contact_sheet)}")
