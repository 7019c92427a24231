"""Preparing a data set of any size: the source yields studies, this engine looks at, counts and writes them.

Each study's images are looked at, or drawn, in worker processes, and what came of it is one line of a journal
beside the manifest. At the end the journal becomes the manifest, the list of what was left out, and the
account. Killed and started again, a preparation goes on after the journal's last whole line and ends with the
same bytes. Memory holds the studies in flight, and a few bytes for each study, patient and image seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from radflow import __version__
from radflow.errors import MissingDependencyError, MissingFileError, RadflowError
from radflow.files import make_folder
from radflow.studies.images import checked_gray
from radflow.studies.manifest import manifest_row
from radflow.studies.preparing.account import Entry, PrepareAccount
from radflow.studies.preparing.journal import Journal, printable
from radflow.studies.preparing.processes import CHUNK, in_order
from radflow.studies.preparing.seen import Seen, picture_key, pixels_key
from radflow.studies.sources import open_source, options_of
from radflow.studies.study import Rejected, Study
from radflow.workspace import fingerprint

MANIFEST = "studies.jsonl"

_NOT_UTF8 = "text that is not UTF-8: half a surrogate pair in an id, path or text"

Progress = Callable[[int, int], None]  # called with (done, total)


class Annotation(NamedTuple):
    """What readers say about a study's report (they live above this room, so the caller passes them in).

    Attributes:
        critical: the annotation of Eq. 9.
        critical_by: who made it.
        labels: the observations stated present.
    """

    critical: bool
    critical_by: str
    labels: tuple[str, ...] = ()


Annotate = Callable[[Sequence[Study]], Sequence[Annotation]]


def prepare_source(
    name: str,
    root: Path | None,
    out: Path,
    *,
    pictures: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    annotate: Annotate | None = None,
    **options: Any,
) -> PrepareAccount:
    """Write the manifest of a data set; beside it ``<stem>.rejected.jsonl`` says what was left out, and why.

    Left out are the studies that the source rejects, and those with an image that is missing or broken, an id
    or an image that came before, or a patient who came before in another split.

    Args:
        name: a key of `SOURCES`.
        root: the folder of the data set, if it has one.
        out: the manifest to write; ``<out>.part`` is the journal until then.
        pictures: the folder for pictures that the data set draws or holds itself; ``images`` beside ``out``
            when not given.
        workers: processes that look at images or draw them; ``None`` for one per usable core.
        progress: called with (done, total), total 0 where the source cannot say.
        annotate: gives one `Annotation` per study; called in the processes, so importable by name.
        options: go to the source.

    Raises:
        DataError: nothing was kept, a process died, or the data set changed since the journal was begun.
        MissingFileError: ``root`` is not what the source expects.
        NotWritableError: ``out`` cannot be written.
    """
    folder = out.absolute().parent
    kept = {"store": folder / "images" if pictures is None else pictures.absolute()}
    source = open_source(name, root, **((kept if "store" in options_of(name) else {}) | options))
    make_folder(folder)
    said = {option: str(value) for option, value in sorted(options.items())}
    place = None if root is None else str(root.absolute())
    # Drawings say themselves how they were made: a journal would only hide a damaged one.
    journal = Journal(
        out, fingerprint([__version__, name, place, annotate is not None, said]), resume=source.draw is None
    )
    seen = Seen()
    for entry in journal.skip_done(source.studies):
        seen.add(entry)
    examine = _Examine(folder=folder, draw=source.draw, annotate=annotate)
    with journal:
        for entries in in_order(examine, source.studies, workers=workers, chunk=CHUNK):
            journal.write([seen.judge(entry) for entry in entries])
            if progress is not None:
                progress(journal.done, source.total or 0)
    return journal.finish(name, source.notes + source.late_notes())


@dataclass(frozen=True, kw_only=True)
class _Examine:
    """Turns studies into journal entries; a class and not a closure, because it is sent to processes."""

    folder: Path
    draw: Callable[[Study], tuple[str, ...]] | None
    annotate: Annotate | None

    def __call__(self, items: Sequence[Study | Rejected]) -> list[Entry]:
        entries = [self._entry(item) for item in items]
        if self.annotate is None:
            return entries
        kept = [place for place, entry in enumerate(entries) if entry.row is not None]
        studies = [item for item in (items[place] for place in kept) if isinstance(item, Study)]
        said = self.annotate(studies)
        for place, study, annotation in zip(kept, studies, said, strict=True):
            entries[place] = _annotated(entries[place], study, annotation)
        return entries

    def _entry(self, item: Study | Rejected) -> Entry:
        if isinstance(item, Rejected):
            return Entry(study=printable(str(item.study)), reason=printable(item.reason))
        entry = Entry(study=printable(item.study_id), images=len(item.images))
        if self.draw is not None:
            entry = replace(entry, unsupported=self.draw(item))
        else:
            entry = _looked_at(item, entry)
        if entry.reason:
            return entry
        row = manifest_row(item, self.folder)
        if (written := json.dumps(row, ensure_ascii=False)) != printable(written):
            return replace(entry, reason=_NOT_UTF8)
        return replace(entry, row=row, pictures=tuple(map(picture_key, item.images)))


def _looked_at(study: Study, entry: Entry) -> Entry:
    """The entry with the pixels of its images, or with why one of them cannot be used."""
    bad: list[str] = [] if study.images else ["no image"]
    pixels: list[int | None] = []
    missing = 0
    for image in study.images:
        try:
            pixels.append(pixels_key(checked_gray(image)))
        except MissingDependencyError:
            raise  # of the machine, not of this study
        except MissingFileError:
            missing += 1
            bad.append(f"missing image: {image}")
        except RadflowError as error:
            bad.append(f"broken image: {error}")
    return replace(
        entry, missing=missing, reason=printable(bad[0]) if bad else "", pixels=() if bad else tuple(pixels)
    )


def _annotated(entry: Entry, study: Study, said: Annotation) -> Entry:
    """What the readers say of a kept study, added; an annotation that the data set brought stays."""
    row = dict(entry.row or {})
    if study.critical is None:
        row |= {"critical": said.critical, "critical_by": said.critical_by}
    return replace(entry, row=row, labels=said.labels)
