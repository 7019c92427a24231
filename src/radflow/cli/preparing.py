"""``radflow prepare``: from a data set to a manifest, with an account of what was kept and left out."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from radflow import judges, readers
from radflow.errors import RecipeError, at_least, did_you_mean
from radflow.files import make_folder
from radflow.folders import sweep
from radflow.judges.base import critical
from radflow.readers.evidence import TRIAGE
from radflow.studies import Study
from radflow.studies.contact_sheet import contact_sheet as draw_sheet
from radflow.studies.manifest import read_manifest
from radflow.studies.phantoms.drawing import SMALLEST_IMAGE
from radflow.studies.places import note
from radflow.studies.preparing.engine import MANIFEST, Annotation, prepare_source
from radflow.studies.sources import opener_of, options_of
from radflow.workspace import Hold

_LEAST = {"count": 1, "workers": 1, "max_images": 1, "image_size": SMALLEST_IMAGE}
_LINES = 20  # of progress, in a log
_UNKNOWN_TOTAL_STEP = 10_000  # studies between such lines where nobody knows how many there are


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """What the command line says; ``None`` where it says nothing.

    ``extra`` holds the options of one data set, as texts by name; ``columns.report`` is the key ``report`` of
    its mapping ``columns``.
    """

    out: Path
    root: Path | None = None
    workers: int | None = None
    count: int | None = None
    images: Path | None = None
    seed: int | None = None
    image_size: int | None = None
    views: str | None = None
    max_images: int | None = None
    contact_sheet: Path | None = None
    extra: Mapping[str, str]


def prepare_command(screen: Console, source: str | None, options: PrepareOptions) -> None:
    """Prepare, annotate criticality, print the account, draw the contact sheet where asked.

    Raises:
        DataError: there is no such source.
        RecipeError: it does not take an option.
    """
    name = source or ""
    extra = source_options(name, options)
    for option, least in _LEAST.items():
        if (value := getattr(options, option)) is not None:
            at_least(_flag(option), value, least)
    out = options.out if options.out.suffix else options.out / MANIFEST
    if "store" in options_of(name) and options.root is None:
        make_folder(out.parent / "images")
    with _progress() as progress, _alone(out):
        account = prepare_source(
            name, options.root, out, workers=options.workers, progress=progress, annotate=annotate, **extra
        )
    note(out, (options.root, options.images))
    for line in account.lines():
        screen.print(line, markup=False)
    if sum(account.rejected.values()):
        screen.print(f"  what was left out, and why: {out.with_suffix('.rejected.jsonl')}", markup=False)
    if options.contact_sheet is not None:
        studies = read_manifest(out, check_images=False).studies
        screen.print(f"  contact sheet: {draw_sheet(studies, options.contact_sheet)}", markup=False)


@contextmanager
def _alone(manifest: Path) -> Generator[None]:
    """Be the only process that prepares a manifest; what killed ones left of it is removed."""
    with Hold(manifest, folder=False):
        folder = manifest.parent
        for place, name in ((folder, manifest.name), (folder, manifest.stem), (folder / "images", None)):
            sweep(place, name)
        yield


def annotate(studies: Sequence[Study]) -> list[Annotation]:
    """The rules' annotation of Eq. 9 and the observations of the modality that are stated present."""
    flags = critical(judges.load("rules"), studies)
    return [
        Annotation(
            critical=flag,
            critical_by=TRIAGE,
            labels=_stated(readers.labeler(study.modality)([study.reference.canonical])[0]),
        )
        for study, flag in zip(studies, flags, strict=True)
    ]


def _stated(states: Mapping[str, int | None]) -> tuple[str, ...]:
    return tuple(observation for observation, state in states.items() if state == 1)


def source_options(source: str, options: PrepareOptions) -> dict[str, Any]:
    """The options that go to a data set, each as the type that its function says.

    Raises:
        RecipeError: the data set does not take one of them, or it is of another type.
    """
    hints = typing.get_type_hints(opener_of(source))
    known = options_of(source)
    named = ("count", "images", "seed", "image_size", "views", "max_images")
    given: dict[str, Any] = {name: value for name in named if (value := getattr(options, name)) is not None}
    for name, text in options.extra.items():
        option, _, key = name.partition(".")
        if key:
            given.setdefault(option, {})[key] = text
        else:
            given[option] = _typed(name, text, hints.get(name))
    for name in given:
        if name not in known:
            words = ", ".join(_flag(option) for option in known)
            raise RecipeError(
                f"{_flag(name)}: {source} has no such option; it takes {words}.{did_you_mean(name, known)}"
            )
    return given


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _typed(name: str, text: str, hint: Any) -> Any:
    """A text as the type of the option that it is for; as it is where there is no such option."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    words = [word for kind in kinds if typing.get_origin(kind) is Literal for word in typing.get_args(kind)]
    if words and text not in words:
        raise RecipeError(f"{_flag(name)}: expected one of {', '.join(words)}, got {text!r}")
    if any(typing.get_origin(kind) in (dict, Mapping) for kind in kinds):
        raise RecipeError(f"{_flag(name)}: expected {_flag(name)}.KEY VALUE, got {text!r} for all of it")
    if bool in kinds:
        return _boolean(name, text)
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                raise RecipeError(f"{_flag(name)}: expected a number, got {text!r}") from None
    return Path(text) if Path in kinds else text


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise RecipeError(f"{_flag(name)}: expected true or false, got {text!r}")
    return text.lower() == "true"


@contextmanager
def _progress() -> Generator[Callable[[int, int], None]]:
    """A bar on a terminal, and plain lines on standard error elsewhere."""
    if not sys.stderr.isatty():
        yield _log_lines()
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        transient=True,
        console=Console(stderr=True),
    ) as bars:
        task = bars.add_task("Preparing studies", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total or None)


def _log_lines() -> Callable[[int, int], None]:
    said = 0

    def progress(done: int, total: int) -> None:
        nonlocal said
        step = max(1, total // _LINES) if total else _UNKNOWN_TOTAL_STEP
        if done // step > said:
            said = done // step
            of = f" of {total:,} ({done / total:.0%})" if total else ""
            print(f"prepare: {done:,}{of} studies", file=sys.stderr, flush=True)

    return progress
