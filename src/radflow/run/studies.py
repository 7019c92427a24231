"""From a data source to the manifest of a run: prepare, annotate criticality, report what was kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from radflow import judges
from radflow.config import Recipe
from radflow.errors import DataError, MissingFileError, RecipeError, did_you_mean
from radflow.evaluation.evidence import TRIAGE
from radflow.judges.base import CriticalityJudge, critical
from radflow.reports.language import LanguageCount
from radflow.studies import Study
from radflow.studies.manifest import read_manifest, write_manifest
from radflow.studies.places import allowed
from radflow.studies.prepare import MANIFEST, PREPARERS, PrepareAccount
from radflow.studies.stream import ADAPTERS, options_of, prepare_adapter
from radflow.workspace import Workspace

_ASKED_AT_ONCE = 512
_NOT_OF_ADAPTERS = ("source", "manifest", "root", "max_bad_share", "triage", "image_size", "any_language")
_NOT_WANTED = ("report with", "empty report", "no frontal image", "no lateral image", "over the limit")
"""How a reason begins if a study was left out on purpose."""


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
    data, allow = recipe.data, None
    if data.source == "manifest":
        assert data.manifest is not None
        if not data.manifest.exists():
            raise MissingFileError(f"{data.manifest}: no such manifest; `radflow prepare` writes one")
        source = data.manifest
        allow = allowed(source, (data.root, data.images), knob="data.root")
    else:
        account = _from_disk(workspace, recipe) if data.source in ADAPTERS else _drawn(workspace, recipe)
        for line in account.lines(most_common=5):
            workspace.say(f"prepare: {line}")
        source = account.manifest
    with ExitStack() as bars:
        manifest = read_manifest(
            source,
            check_images=data.source == "manifest",  # a preparation has looked at what it wrote
            max_bad_share=data.max_bad_share,
            rejected=workspace.path("prepare", "rejected.jsonl"),
            allow=allow,
            workers=None,
            progress=_late_bar(workspace, bars, "Looking at images"),
        )
    if manifest.rejected:
        workspace.say(f"prepare: set {len(manifest.rejected)} studies aside, see prepare/rejected.jsonl")
    if said := check_language(recipe, manifest.studies):
        workspace.say(f"prepare: warning: {said}; rewards and metrics by readers are wrong for them")
    with workspace.track("Critical or not", len(manifest.studies)) as advance:
        studies = triage(manifest.studies, judge, advance=advance)
    write_manifest(workspace.path("prepare", "studies.jsonl"), studies)
    critical = sum(bool(s.critical) for s in studies)
    workspace.say(f"prepare: {len(studies)} studies, {critical / len(studies):.0%} critical")


def _drawn(workspace: Workspace, recipe: Recipe) -> PrepareAccount:
    """Draw a phantom set, or read Open-i from its package."""
    data = recipe.data
    options: dict[str, Any] = {"seed": recipe.seed, "image_size": data.image_size}
    if data.source == "open-i":
        options |= {"images": data.images, "limit": data.count}
    else:
        options["count"] = data.count
    with ExitStack() as bars:
        return prepare_source(
            data.source,
            workspace.path("prepare", "source"),
            progress=_late_bar(workspace, bars),
            **options,
        )


def _from_disk(workspace: Workspace, recipe: Recipe) -> PrepareAccount:
    """Read a data set on disk through its adapter."""
    assert recipe.data.root is not None
    with ExitStack() as bars:
        account = prepare_adapter(
            recipe.data.source,
            recipe.data.root,
            workspace.path("prepare", "source", MANIFEST),
            progress=_late_bar(workspace, bars),
            **adapter_knobs(recipe),
        )
    _expect_few_bad(account, recipe.data.max_bad_share)
    return account


def adapter_knobs(recipe: Recipe) -> dict[str, Any]:
    """The knobs of ``data`` that a recipe sets and that go to its adapter.

    Raises:
        RecipeError: the adapter does not take one of them.
    """
    takes = {*options_of(recipe.data.source)} & {*type(recipe.data).model_fields, "seed"}
    default = type(recipe.data)()
    knobs = {
        name: value
        for name, value in recipe.data
        if value != getattr(default, name) and name not in _NOT_OF_ADAPTERS
    }
    for name in knobs:
        if name not in takes:
            known = ", ".join(sorted(takes - {"seed"}))
            raise RecipeError(
                f"data.{name}: {recipe.data.source} has no such knob; it takes {known}."
                f"{did_you_mean(name, takes)}"
            )
    if "columns" in knobs:
        columns = recipe.data.columns
        knobs["columns"] = {part: said for part, said in columns if said}
    return knobs | ({"seed": recipe.seed} if "seed" in takes else {})


def _expect_few_bad(account: PrepareAccount, allowed: float) -> None:
    """Stop when too many studies of a data set cannot be used; one that is not wanted is not bad."""
    bad = sum(n for reason, n in account.rejected.items() if not reason.startswith(_NOT_WANTED))
    if bad > allowed * account.found:
        raise DataError(
            f"{account.source}: {bad:,} of {account.found:,} studies cannot be used, more than the allowed "
            f"{allowed:.0%}; see {account.manifest.with_suffix('.rejected.jsonl')}, mend the data set, or "
            "raise data.max_bad_share"
        )


def check_language(recipe: Recipe, studies: Sequence[Study]) -> str | None:
    """What to say about reports in languages other than English, if anything.

    Raises:
        DataError: most are, and the recipe does not allow it.
    """
    found = LanguageCount().add_all((study.study_id, study.reference.text) for study in studies)
    if not recipe.data.any_language:
        where = str(recipe.data.manifest or recipe.data.root or recipe.data.source)
        remedy = "Set data.any_language = true to go on; rewards and metrics by readers will be wrong."
        found.expect_english(where, remedy=remedy)
    return found.said


def read_splits(path: Path) -> dict[str, list[Study]]:
    """The studies of a run's manifest by split.

    Raises:
        DataError: a split has too few, or they are of more than one modality.
    """
    manifest = read_manifest(path, check_images=False)
    splits: dict[str, list[Study]] = {"train": [], "validate": [], "test": []}
    for study in manifest.studies:
        splits[study.split].append(study)
    for name, studies in splits.items():
        least = 2 if name == "test" else 1  # the shuffled control exchanges pictures between two
        if len(studies) < least:
            raise DataError(
                f"expected at least {least} studies in the {name} split, got {len(studies)}; give more "
                "studies (data.count) or other splits"
            )
    found = sorted({s.modality for s in manifest.studies})
    if len(found) > 1:
        raise DataError(f"expected studies of one modality in a run, got {' and '.join(found)}")
    return splits


def triage(
    studies: Sequence[Study],
    judge: CriticalityJudge | None = None,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Study]:
    """Annotate the studies that nobody has annotated, from their reference reports (Eq. 9).

    Args:
        studies: those with an annotation keep it; but a judge that is not the rules goes before them, since
            ``radflow prepare`` has asked the rules about every study.
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
        is_open = [s.critical is None or (s.critical_by == TRIAGE != said_by) for s in some]
        flags = iter(critical(judge, [s for s, asks in zip(some, is_open, strict=True) if asks]))
        annotated += [
            replace(s, critical=next(flags), critical_by=said_by) if asks else s
            for s, asks in zip(some, is_open, strict=True)
        ]
        advance(len(some))
    return annotated


def _late_bar(
    workspace: Workspace, bars: ExitStack, title: str = "Preparing studies"
) -> Callable[[int, int], None]:
    """A progress bar that appears with the first report of a total; none where nobody knows the total."""
    steps: Callable[[int, int], None] | None = None

    def progress(done: int, total: int) -> None:
        nonlocal steps
        if steps is None and total:
            steps = _steps(bars.enter_context(workspace.track(title, total)))
        if steps is not None:
            steps(done, total)

    return progress


def _steps(advance: Callable[[int], None]) -> Callable[[int, int], None]:
    """Turn ``(done, total)`` into the advances that a progress bar wants."""
    last = 0

    def progress(done: int, total: int) -> None:
        nonlocal last
        advance(done - last)
        last = done

    return progress
