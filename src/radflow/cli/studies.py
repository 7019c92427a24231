"""From a data source to the manifest of a run: prepare, annotate criticality, give the account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from radflow import readers
from radflow.config import Recipe
from radflow.errors import MissingFileError, RecipeError, did_you_mean
from radflow.evaluation.evidence import TRIAGE
from radflow.studies import Study
from radflow.studies.manifest import read_manifest, write_manifest
from radflow.studies.prepare import PREPARERS, PrepareAccount
from radflow.workspace import Workspace


def prepare_source(source: str, out: Path, **options: Any) -> PrepareAccount:
    """Prepare a data set by its name in `PREPARERS`.

    Raises:
        RecipeError: there is no such source.
    """
    if source not in PREPARERS:
        raise RecipeError(
            f"expected a source among {', '.join(PREPARERS)}, got {source!r}."
            + did_you_mean(source, PREPARERS)
        )
    module, attribute = PREPARERS[source].split(":")
    return getattr(import_module(module), attribute)(out, **options)


def prepare_studies(workspace: Workspace, recipe: Recipe) -> None:
    """Write ``prepare/studies.jsonl``: the studies of the recipe, each annotated critical or not."""
    data = recipe.data
    if data.source == "manifest":
        assert data.manifest is not None
        if not data.manifest.exists():
            raise MissingFileError(f"{data.manifest}: no such manifest; `radflow prepare` writes one")
        source = data.manifest
    else:
        options: dict[str, Any] = {"seed": recipe.seed, "image_size": data.image_size}
        if data.source == "open-i":
            options |= {"images": data.images, "limit": data.count}
        else:
            options["count"] = data.count
        with workspace.track("Preparing studies", data.count) as advance:
            account = prepare_source(
                data.source, workspace.path("prepare", "source"), progress=_steps(advance), **options
            )
        for line in account.lines(most_common=5):
            workspace.say(f"prepare: {line}")
        source = account.manifest
    manifest = read_manifest(
        source, max_bad_share=data.max_bad_share, rejected=workspace.path("prepare", "rejected.jsonl")
    )
    if manifest.rejected:
        workspace.say(f"prepare: set {len(manifest.rejected)} studies aside, see prepare/rejected.jsonl")
    studies = triage(manifest.studies)
    write_manifest(workspace.path("prepare", "studies.jsonl"), studies)
    critical = sum(bool(s.critical) for s in studies)
    workspace.say(f"prepare: {len(studies)} studies, {critical / len(studies):.0%} critical")


def triage(studies: tuple[Study, ...] | list[Study]) -> list[Study]:
    """Annotate the studies that nobody has annotated, by rules on their reference reports (Eq. 9)."""
    open_ones = [s for s in studies if s.critical is None]
    flags = iter(readers.load(TRIAGE)([s.reference for s in open_ones]))
    return [
        s if s.critical is not None else replace(s, critical=next(flags), critical_by=TRIAGE) for s in studies
    ]


def _steps(advance: Callable[[int], None]) -> Callable[[int, int], None]:
    """Turn ``(done, total)`` into the advances that a progress bar wants."""
    last = 0

    def progress(done: int, total: int) -> None:
        nonlocal last
        advance(done - last)
        last = done

    return progress
