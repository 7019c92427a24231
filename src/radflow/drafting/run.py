"""What ``radflow draft`` does: one study's pictures to one report, or many studies' to many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.markup import escape

from radflow.drafting.batch import draft_batch
from radflow.drafting.forms import Drafted, destinations, render, screen_text
from radflow.drafting.options import DraftOptions
from radflow.drafting.studies import Opened, Waiting, batch_of_folder, batch_of_manifest, open_pictures
from radflow.drafting.trained_on import checked, facts_of, find_model
from radflow.errors import DataError
from radflow.files import write_atomic, writing
from radflow.folders import sweep
from radflow.integrations.fhir import STUDIES, SUBJECTS, reference_to
from radflow.modality import ModalityName
from radflow.reports.draft import NOTICE
from radflow.run.named_model import look_for_model
from radflow.studies import read_manifest
from radflow.studies.manifest import Rejected
from radflow.studies.places import allowed
from radflow.workspace import Hold

_LISTED = 3


def draft_command(screen: Console, errors: Console, options: DraftOptions) -> None:
    """Draft what was asked for; files are looked at before the model is loaded.

    Raises:
        RadflowError: options that exclude each other, pictures or a model that cannot be read, a place that
            cannot be written.
    """
    if not 0 <= options.uncertain <= 1:
        raise DataError(f"--uncertain: expected a probability from 0 to 1, got {options.uncertain:g}")
    if options.frames < 1:
        raise DataError(f"--frames: expected at least 1, got {options.frames}")
    if options.samples < 2:
        raise DataError(f"--samples: expected at least 2, got {options.samples}")
    given = [bool(options.images), options.manifest is not None, options.studies is not None]
    if sum(given) != 1:
        raise DataError(
            "expected the pictures of one study, or --manifest FILE, or --studies FOLDER; got "
            + ("more than one of them" if any(given) else "none of them")
        )
    if options.images:
        _draft_one(screen, errors, options)
    else:
        _draft_many(screen, errors, options)


def _draft_one(screen: Console, errors: Console, options: DraftOptions) -> None:
    """One study, to the screen and to files."""
    places = destinations(options.forms, options.out)
    for kinds, reference in ((SUBJECTS, options.subject), (STUDIES, options.imaging_study)):
        if reference is not None:
            reference_to(kinds, reference)
    for _, path in places:
        if path is not None:
            _make_folder(path.parent)
    with TemporaryDirectory() as scratch:
        opened = open_pictures(
            options.images,
            Path(scratch),
            study_id="draft",
            indication=options.indication,
            frames=options.frames,
        )
        if opened.ignored:
            _say_ignored(errors, opened.ignored, "no pictures")
        if options.keep_patient and not opened.sources:
            raise DataError("--keep-patient: expected a DICOM file, which names a patient; got none")
        opened = _check(options)(opened, options.modality)
        for caution in opened.cautions:
            errors.print(f"[yellow]warning[/]: {escape(caution)}")
        from radflow.drafting.model import Drafter  # torch, when all else is known to be right

        drafter = Drafter(
            options.model,
            uncertain_below=options.uncertain,
            modality=options.modality,
            samples=options.samples if options.decoding == "consensus" else 0,
            own=options.decoding == "own",
        )
        [written] = drafter([opened.study])
        draft = replace(written, flags=opened.flags, cautions=opened.cautions)
        drafted = Drafted(
            draft=draft,
            pictures=opened.study.images,
            views=opened.study.views,
            sources=opened.sources if options.keep_patient else (),
            subject=options.subject,
            imaging_study=options.imaging_study,
        )
        contents = [(form, path, render(form, drafted)) for form, path in places]
    for form, path, content in contents:
        if path is not None:
            write_atomic(path, content)
        elif form == "text" and screen.is_terminal:
            screen.print(screen_text(draft))
        else:
            screen.file.write(str(content))
    if written := [str(path) for _, path, _ in contents if path is not None]:
        screen.print(f"wrote {', '.join(written)}\n{NOTICE}", markup=False)


def _draft_many(screen: Console, errors: Console, options: DraftOptions) -> None:
    """A manifest or a folder of studies, to a folder."""
    single = {
        "--indication": options.indication,
        "--subject": options.subject,
        "--imaging-study": options.imaging_study,
        "--modality": options.modality if options.manifest is not None else None,
    }
    if wrong := [name for name, value in single.items() if value is not None]:
        raise DataError(f"{wrong[0]} is said of one study; a manifest says its own for each")
    if len(options.out) != 1 or (options.out[0].suffix and not options.out[0].is_dir()):
        raise DataError("drafts of many studies go to a folder; expected one --out FOLDER")
    [out] = options.out
    waiting, unread = _waiting(errors, options)
    check = _check(options)  # before the folder is made: a misspelt model leaves nothing behind
    _make_folder(out / "drafts")
    with Hold(out):
        for folder in (out, out / "drafts"):
            sweep(folder)
        from radflow.drafting.model import Drafter

        drafter = Drafter(
            options.model,
            uncertain_below=options.uncertain,
            modality=options.modality,
            samples=options.samples if options.decoding == "consensus" else 0,
            own=options.decoding == "own",
        )
        draft_batch(screen, errors, waiting, drafter, options, check=check, unread=unread)


def _check(options: DraftOptions) -> Callable[[Opened, ModalityName | None], Opened]:
    """Compares a study with what the model was trained on."""
    folder, recipe = find_model(options.model)
    if (folder / "adapter_config.json").is_file():
        look_for_model(str(folder))  # an adapter's base may be on a hub that is away
    facts = facts_of(folder)
    return lambda opened, said: checked(opened, facts, recipe.policy, said=said or options.modality)


def _waiting(errors: Console, options: DraftOptions) -> tuple[list[Waiting], Sequence[Rejected]]:
    """The studies of the batch, and those whose line in the manifest cannot be read."""
    if options.manifest is not None:
        manifest = read_manifest(
            options.manifest,
            check_images=False,
            max_bad_share=1.0,
            needs_report=False,
            allow=allowed(options.manifest, (options.root,), knob="--root"),
        )
        return batch_of_manifest(manifest.studies, frames=options.frames), manifest.rejected
    assert options.studies is not None
    waiting, loose = batch_of_folder(options.studies, frames=options.frames)
    if loose:
        _say_ignored(errors, loose, "in no study's folder")
    return waiting, ()


def _say_ignored(errors: Console, paths: Sequence[Path], why: str) -> None:
    names = ", ".join(path.name for path in paths[:_LISTED]) + (
        f" and {len(paths) - _LISTED} more" if len(paths) > _LISTED else ""
    )
    errors.print("[yellow]warning[/]: ", end="")
    errors.print(f"passed over, {why}: {names}", markup=False)


def _make_folder(folder: Path) -> None:
    with writing(folder, "the folder cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
