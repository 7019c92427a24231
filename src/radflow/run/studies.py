"""From a data source to the manifest of a run: prepare, annotate criticality, report what was kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from radflow import judges
from radflow.config import Recipe
from radflow.errors import DataError, MissingFileError, RecipeError, did_you_mean
from radflow.judges.base import CriticalityJudge, critical
from radflow.readers.evidence import TRIAGE
from radflow.reports.language import LanguageCount
from radflow.studies import Study
from radflow.studies.manifest import read_manifest, write_manifest
from radflow.studies.places import allowed, note
from radflow.studies.preparing.account import PrepareAccount
from radflow.studies.preparing.engine import MANIFEST, Annotation, prepare_source
from radflow.studies.sources import options_of
from radflow.workspace import Workspace

_ASKED_AT_ONCE = 512
_NOT_OPTIONS = ("source", "manifest", "root", "max_bad_share", "triage", "any_language")
_OF_DRAWINGS = ("count", "image_size", "difficulty")
_NOT_WANTED = ("report with", "empty report", "no frontal image", "no lateral image", "over the limit")
_NOT_WANTED += ("no image in", "only lateral images")
"""How a reason begins if a study was left out on purpose."""


def prepare_studies(workspace: Workspace, recipe: Recipe, judge: CriticalityJudge) -> None:
    """Write ``prepare/studies.jsonl``: the studies of the recipe, each annotated critical or not."""
    out = workspace.path("prepare", MANIFEST)
    if recipe.data.source == "manifest":
        count, of = _annotate(workspace, _of_manifest(workspace, recipe), out, judge)
    else:
        account = _from_source(workspace, recipe, out, by_rules=judge.name == "rules")
        note(out, (recipe.data.root, recipe.data.images))
        for line in account.lines(most_common=5):
            workspace.say(f"prepare: {line}")
        _expect_few_bad(account, recipe.data.max_bad_share)
        _warn_of_languages(workspace, recipe, account.languages)
        if judge.name == "rules":
            count, of = account.critical or 0, account.kept
        else:
            count, of = _annotate(workspace, read_manifest(out, check_images=False).studies, out, judge)
    workspace.say(f"prepare: {of} studies, {count / of:.0%} critical")


def _of_manifest(workspace: Workspace, recipe: Recipe) -> Sequence[Study]:
    """The studies of the recipe's manifest, their images looked at."""
    data = recipe.data
    assert data.manifest is not None
    if not data.manifest.exists():
        raise MissingFileError(f"{data.manifest}: no such manifest; `radflow prepare` writes one")
    with ExitStack() as bars:
        manifest = read_manifest(
            data.manifest,
            max_bad_share=data.max_bad_share,
            rejected=workspace.path("prepare", "rejected.jsonl"),
            allow=allowed(data.manifest, (data.root, data.images), knob="data.root"),
            workers=None,
            progress=_late_bar(workspace, bars, "Looking at images"),
        )
    if manifest.rejected:
        workspace.say(f"prepare: set {len(manifest.rejected)} studies aside, see prepare/rejected.jsonl")
    _warn_of_languages(workspace, recipe, languages(manifest.studies))
    return manifest.studies


def _from_source(workspace: Workspace, recipe: Recipe, out: Path, *, by_rules: bool) -> PrepareAccount:
    """Prepare the recipe's data set; pictures that it draws or holds itself go to ``prepare/source``."""
    with ExitStack() as bars:
        return prepare_source(
            recipe.data.source,
            recipe.data.root,
            out,
            pictures=workspace.path("prepare", "source", "images"),
            progress=_late_bar(workspace, bars),
            annotate=_critical_by_rules if by_rules else None,
            **source_options(recipe),
        )


def _critical_by_rules(studies: Sequence[Study]) -> list[Annotation]:
    flags = critical(judges.load("rules"), studies)
    return [Annotation(critical=flag, critical_by=TRIAGE) for flag in flags]


def _annotate(
    workspace: Workspace, studies: Sequence[Study], out: Path, judge: CriticalityJudge
) -> tuple[int, int]:
    """Write the studies, each critical or not; how many are, of how many."""
    with workspace.track("Critical or not", len(studies)) as advance:
        studies = triage(studies, judge, advance=advance)
    write_manifest(out, studies)
    return sum(bool(study.critical) for study in studies), len(studies)


def source_options(recipe: Recipe) -> dict[str, Any]:
    """The knobs of ``data`` that a recipe sets and that go to its data set.

    Raises:
        RecipeError: the data set does not take one of them.
    """
    data = recipe.data
    takes = {*options_of(data.source)} & {*type(data).model_fields, "seed"}
    if data.root is not None:
        takes -= {*_OF_DRAWINGS}
    default = type(data)()
    knobs = {
        name: value
        for name, value in data
        if name not in _NOT_OPTIONS and (value != getattr(default, name) or name in takes & {*_OF_DRAWINGS})
    }
    if "image_size" not in takes:
        knobs.pop("image_size", None)
    for name in knobs:
        if name not in takes:
            known = ", ".join(sorted(takes - {"seed"}))
            raise RecipeError(
                f"data.{name}: {data.source} has no such knob; it takes {known}.{did_you_mean(name, takes)}"
            )
    if "columns" in knobs:
        knobs["columns"] = {part: said for part, said in data.columns if said}
    return knobs | ({"seed": recipe.seed} if "seed" in takes else {})


def is_wanted(reason: str) -> bool:
    """Whether a study that was left out for this reason is one that should have been usable."""
    return not reason.startswith(_NOT_WANTED)


def _expect_few_bad(account: PrepareAccount, allowed: float) -> None:
    """Stop when too many studies of a data set cannot be used; one that is not wanted is not bad."""
    bad = sum(n for reason, n in account.rejected.items() if is_wanted(reason))
    if bad > allowed * account.found:
        raise DataError(
            f"{account.source}: {bad:,} of {account.found:,} studies cannot be used, more than the allowed "
            f"{allowed:.0%}; see {account.manifest.with_suffix('.rejected.jsonl')}, mend the data set, or "
            "raise data.max_bad_share"
        )


def languages(studies: Sequence[Study]) -> LanguageCount:
    """The languages of reference reports."""
    return LanguageCount().add_all((study.study_id, study.reference.text) for study in studies)


def _warn_of_languages(workspace: Workspace, recipe: Recipe, found: LanguageCount) -> None:
    if said := check_language(recipe, found):
        workspace.say(f"prepare: warning: {said}; rewards and metrics by readers are wrong for them")


def check_language(recipe: Recipe, found: LanguageCount) -> str | None:
    """What to say about reports in languages other than English, if anything.

    Raises:
        DataError: most are, and the recipe does not allow it.
    """
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
    advance: Callable[[int], None] | None = None
    last = 0

    def progress(done: int, total: int) -> None:
        nonlocal advance, last
        if advance is None and total:
            advance = bars.enter_context(workspace.track(title, total))
        if advance is not None:
            advance(done - last)
            last = done

    return progress
