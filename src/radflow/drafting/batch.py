"""Drafts of many studies: one file each, drafted again only if something changed, bad studies set aside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import quote

from rich.console import Console

from radflow import __version__
from radflow.drafting.forms import SUFFIXES, Drafted, record, render
from radflow.drafting.options import DraftOptions, Form
from radflow.drafting.studies import Opened, Waiting
from radflow.errors import DataError, RadflowError
from radflow.files import write_atomic, write_json, write_jsonl
from radflow.modality import ModalityName
from radflow.reports.draft import Draft
from radflow.studies.manifest import Rejected
from radflow.workspace import bar, fingerprint

if TYPE_CHECKING:
    from radflow.drafting.model import Drafter

_LONGEST_NAME = 120  # characters of a file's name; file systems hold 255 bytes
SHOWN = 5


def draft_batch(
    screen: Console,
    errors: Console,
    waiting: Sequence[Waiting],
    drafter: Drafter,
    options: DraftOptions,
    *,
    check: Callable[[Opened, ModalityName | None], Opened],
    unread: Sequence[Rejected] = (),
) -> None:
    """Draft every study that is not drafted yet, and write ``drafts.jsonl`` and ``rejected.jsonl``.

    A draft counts as done when its file says that it was made by the same model in the same way from files of
    the same names, sizes and times.

    Args:
        screen: for the account.
        errors: for the bar.
        waiting: the studies.
        drafter: writes them.
        options: with one folder as ``out``; its ``forms`` are made beside JSON, which every study gets.
        check: compares a study, and its modality where it is known, with what the model was trained on.
        unread: studies that were set aside before; they are counted with the others.

    Raises:
        DataError: not one study could be drafted.
        NotWritableError: a file cannot be written.
    """
    [out] = options.out
    model = [
        __version__,
        _files(sorted(drafter.folder.rglob("*"))),
        drafter.prompt,
        drafter.uncertain_below,
        drafter.samples,
        *(["own"] if drafter.own else []),
    ]
    keys = {study.study_id: _key(study, model, options) for study in waiting}
    left = [study for study in waiting if not _done(study.study_id, keys[study.study_id], out)]
    rejected = list(unread)
    with bar("draft", len(left), errors) as advance:
        for start in range(0, len(left), drafter.batch_size):
            some = left[start : start + drafter.batch_size]
            with TemporaryDirectory() as scratch:
                opened = list(_open(some, Path(scratch), drafter, check, rejected))
                drafts = drafter([one.study for one in opened]) if opened else []
                for one, draft in zip(opened, drafts, strict=True):
                    _write(one, draft, keys[draft.study_id], options)
            advance(len(some))
    bad = {item.study for item in rejected[len(unread) :]}
    good = [study for study in waiting if study.study_id not in bad]
    write_jsonl(out / "drafts.jsonl", (_row(study, out) for study in good))
    _account(screen, out, drafted=len(left) - len(bad), before=len(waiting) - len(left), rejected=rejected)


def draft_path(out: Path, study_id: str, form: Form = "json") -> Path:
    """Where the draft of a study lies; any id makes one plain name, and no two the same.

    >>> draft_path(Path("out"), "p10/s5").as_posix(), draft_path(Path("out"), "..", "html").as_posix()
    ('out/drafts/p10%2Fs5.json', 'out/drafts/%2E%2E.html')
    """
    name = (
        quote(study_id, safe=" ").replace(".", "%2E")
        if study_id.startswith(".")
        else quote(study_id, safe=" ")
    )
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}-{fingerprint(study_id)}"
    return out / "drafts" / f"{name}{SUFFIXES[form]}"


def _open(
    some: Sequence[Waiting],
    scratch: Path,
    drafter: Drafter,
    check: Callable[[Opened, ModalityName | None], Opened],
    rejected: list[Rejected],
) -> Iterator[Opened]:
    """The studies that can be drafted; the others are set aside with the reason."""
    for number, waiting in enumerate(some):
        place = scratch / str(number)
        place.mkdir()
        try:
            opened = check(waiting.open(place), waiting.known.modality if waiting.known else None)
            drafter.encode(opened.study)
        except RadflowError as error:
            rejected.append(Rejected(waiting.study_id, str(error)))
            continue
        yield opened


def _write(opened: Opened, draft: Draft, key: str, options: DraftOptions) -> None:
    """All forms of a draft; JSON comes last, because its presence marks the study as done."""
    draft = replace(draft, flags=opened.flags, cautions=opened.cautions)
    [out], sources = options.out, opened.sources if options.keep_patient else ()
    drafted = Drafted(draft=draft, pictures=opened.study.images, views=opened.study.views, sources=sources)
    for form in options.forms:
        if form != "json":
            write_atomic(draft_path(out, draft.study_id, form), render(form, drafted))
    write_json(draft_path(out, draft.study_id), {**record(draft), "inputs": key})


def _key(study: Waiting, model: object, options: DraftOptions) -> str:
    """Stands for everything that a draft depends on."""
    known = study.known
    said = (
        None
        if known is None
        else [known.indication, known.comparison, list(known.views), known.drawn, known.prior_report]
    )
    return fingerprint([model, _files(study.files), said, sorted(options.forms), options.keep_patient])


def _files(paths: Sequence[Path]) -> list[tuple[str, int, int]]:
    """Names, sizes and times of files that are there."""
    facts = ((path, path.stat()) for path in paths if path.is_file())
    return [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in facts]


def _done(study_id: str, key: str, out: Path) -> bool:
    try:
        return json.loads(draft_path(out, study_id).read_text(encoding="utf-8")).get("inputs") == key
    except (OSError, ValueError):
        return False


def _row(study: Waiting, out: Path) -> dict[str, object]:
    """A line that ``radflow score`` reads; the reference stands in it where the manifest has one."""
    draft = json.loads(draft_path(out, study.study_id).read_text(encoding="utf-8"))
    row: dict[str, object] = {"study_id": study.study_id, "prediction": draft["text"]}
    if (known := study.known) is not None:
        row |= {"patient_id": known.patient_id, "split": known.split}
        row |= {"reference": known.reference.canonical} if known.reference.text else {}
        row |= {"indication": known.indication} if known.indication else {}
    row |= {name: draft[name] for name in ("consistent", "critical", "uncertain", "cautions", "notice")}
    return row


def _account(screen: Console, out: Path, *, drafted: int, before: int, rejected: list[Rejected]) -> None:
    """What was done, on the screen; which studies were set aside and why, also in a file."""
    place = out / "rejected.jsonl"
    if rejected:
        write_jsonl(place, (item._asdict() for item in rejected))
    else:
        place.unlink(missing_ok=True)
    if rejected and not drafted and not before:
        raise DataError(
            f"not one of {len(rejected)} studies could be drafted; {place} says why. The first: "
            f"{rejected[0].study}: {rejected[0].reason}"
        )
    already = f", {before:,} were there already" if before else ""
    aside = f", {len(rejected):,} set aside" if rejected else ""
    screen.print(f"{drafted:,} studies drafted{already}{aside}; wrote {out / 'drafts.jsonl'}", markup=False)
    for item in rejected[:SHOWN]:
        screen.print(f"  {item.study}: {item.reason}", markup=False)
    if len(rejected) > SHOWN:
        screen.print(f"  and {len(rejected) - SHOWN:,} more, all in {place}", markup=False)
