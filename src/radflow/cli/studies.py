"""From a data source to the manifest of a run: prepare, annotate criticality, give the account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from radflow import judges
from radflow.config import Recipe
from radflow.errors import MissingFileError, RecipeError, did_you_mean
from radflow.evaluation.evidence import TRIAGE
from radflow.judges.base import CriticalityJudge
from radflow.studies import Study
from radflow.studies.manifest import read_manifest, write_manifest
from radflow.studies.prepare import PREPARERS, PrepareAccount
from radflow.workspace import Workspace

_ASKED_AT_ONCE = 512


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


def prepare_studies(workspace: Workspace, recipe: Recipe, judge: CriticalityJudge) -> None:
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
    with workspace.track("Critical or not", len(manifest.studies)) as advance:
        studies = triage(manifest.studies, judge, advance=advance)
    write_manifest(workspace.path("prepare", "studies.jsonl"), studies)
    critical = sum(bool(s.critical) for s in studies)
    workspace.say(f"prepare: {len(studies)} studies, {critical / len(studies):.0%} critical")


def triage(
    studies: Sequence[Study],
    judge: CriticalityJudge | None = None,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Study]:
    """Annotate the studies that nobody has annotated, from their reference reports (Eq. 9).

    Args:
        studies: those with an annotation keep it.
        judge: who is asked; the rules when not given.
        advance: called with how many more are done.

    Raises:
        RewardError: the judge failed. What it has answered is in its store.
    """
    judge = judges.load("rules") if judge is None else judge
    said_by = TRIAGE if judge.name == "rules" else judge.name
    annotated: list[Study] = []
    for start in range(0, len(studies), _ASKED_AT_ONCE):
        some = studies[start : start + _ASKED_AT_ONCE]
        flags = iter(judge.criticality([s.reference for s in some if s.critical is None]))
        annotated += [
            s if s.critical is not None else replace(s, critical=next(flags), critical_by=said_by)
            for s in some
        ]
        advance(len(some))
    return annotated


def _steps(advance: Callable[[int], None]) -> Callable[[int, int], None]:
    """Turn ``(done, total)`` into the advances that a progress bar wants."""
    last = 0

    def progress(done: int, total: int) -> None:
        nonlocal last
        advance(done - last)
        last = done

    return progress
