"""Preparing a data set of any size: its adapter yields studies, this engine checks, counts and writes them.

Each study's images are looked at in worker processes and what came of it is one line of a journal beside the
manifest. At the end the journal becomes the manifest, the list of what was left out, and the account. Killed
and started again, a preparation goes on after the journal's last whole line and ends with the same bytes.
Memory holds the studies in flight, and a few bytes for each study, patient and image seen.
"""

from __future__ import annotations

import inspect
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from radflow import __version__
from radflow.errors import DataError, MissingDependencyError, MissingFileError, RadflowError, did_you_mean
from radflow.files import make_folder
from radflow.studies.images import check_image
from radflow.studies.journal import Journal
from radflow.studies.manifest import Rejected, manifest_row
from radflow.studies.prepare import (
    PrepareAccount,
    Progress,
    at_least,
    process_pool,
    usable_cores,
)
from radflow.studies.seen import Seen, picture_key, pixels_key
from radflow.studies.study import Study
from radflow.studies.tally import Entry, printable
from radflow.workspace import fingerprint

ADAPTERS: dict[str, str] = {
    "mimic-cxr": "radflow.studies.sources.mimic_cxr:open_mimic_cxr",
    "chexpert-plus": "radflow.studies.sources.chexpert_plus:open_chexpert_plus",
    "rexgradient": "radflow.studies.sources.rexgradient:open_rexgradient",
    "iu-xray": "radflow.studies.sources.iu_xray_layouts:open_iu_xray",
    "rexrank": "radflow.studies.sources.rexrank_input:open_rexrank",
    "r2gen": "radflow.studies.sources.r2gen:open_r2gen",
    "table": "radflow.studies.sources.own_table:open_table",
}

_NOT_UTF8 = "text that is not UTF-8: half a surrogate pair in an id, path or text"
_CHUNK = 32  # studies per job: a job's overhead is small beside it, and a kill loses little
_FEWER_THAN_PAY = 4 * _CHUNK  # studies for which starting processes takes longer than looking
_IN_FLIGHT = 4  # jobs per worker: enough that none waits, few enough that memory stays flat


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set on disk, opened by its adapter.

    Attributes:
        total: how many items ``studies`` yields, for the progress bar; ``None`` where nobody knows.
        studies: every study, in the same order each time, as a `Study` whose images are absolute paths that
            nobody has looked at, or as a `Rejected` whose reason begins with its kind and, where there is
            more to say, goes on after a colon: ``report with impression only``, ``broken row: line 7 ...``.
        notes: what the reader of the account should know, one sentence each.
        late_notes: more of these, known once all studies were taken.
    """

    total: int | None
    studies: Iterator[Study | Rejected]
    notes: tuple[str, ...] = ()
    late_notes: Callable[[], tuple[str, ...]] = tuple


class Annotation(NamedTuple):
    """What readers say about a study's report (they live above this room, so the caller passes them in).

    Attributes:
        critical: the annotation of Eq. 9.
        critical_by: who made it.
        labels: the observations stated present.
    """

    critical: bool
    critical_by: str
    labels: tuple[str, ...]


Annotate = Callable[[Sequence[Study]], Sequence[Annotation]]


def open_source(name: str, root: Path, **options: Any) -> Source:
    """Open a data set by its name in `ADAPTERS`.

    Raises:
        DataError: there is no such adapter, or the data set is not as its adapter expects.
        MissingFileError: ``root`` lacks the files that make it this data set.
    """
    opener = _opener(name)
    if not root.exists():
        raise MissingFileError(f"{root}: no such folder; expected the root of the data set {name}")
    return opener(Path(os.path.normpath(root.absolute())), **options)  # "../data": paths are held against it


def options_of(name: str) -> list[str]:
    """The options of an adapter in `ADAPTERS`."""
    parameters = inspect.signature(_opener(name)).parameters
    return [option for option, p in parameters.items() if p.kind is p.KEYWORD_ONLY]


def _opener(name: str) -> Callable[..., Source]:
    if name not in ADAPTERS:
        raise DataError(
            f"expected a data set among {', '.join(ADAPTERS)}, got {name!r}.{did_you_mean(name, ADAPTERS)}"
        )
    module, attribute = ADAPTERS[name].split(":")
    return getattr(import_module(module), attribute)


def prepare_adapter(
    source_name: str,
    root: Path,
    out: Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    annotate: Annotate | None = None,
    **options: Any,
) -> PrepareAccount:
    """Write the manifest of a data set, and beside it ``<stem>.rejected.jsonl``: what was left out, and why.

    Left out are the studies that the adapter rejects, and those with an image that is missing or broken, an
    id or an image that came before, or a patient who came before in another split.

    Args:
        source_name: a key of `ADAPTERS`.
        root: the folder of the data set.
        out: the manifest to write; ``<out>.part`` is the journal until then.
        workers: processes that check images; ``None`` for one a usable core.
        progress: called with (done, total), total 0 where the source cannot say.
        annotate: gives one `Annotation` per study; called in the processes, so importable by name.
        options: go to the adapter.

    Raises:
        DataError: nothing was kept, a process died, or the data set changed since the journal was begun.
        MissingFileError: ``root`` is not what the adapter expects.
        NotWritableError: ``out`` cannot be written.
    """
    workers = usable_cores() if workers is None else at_least("workers", workers, 1)
    made = {"store": out.absolute().parent / "images"} if "store" in options_of(source_name) else {}
    source = open_source(source_name, root, **(made | options))
    make_folder(out.absolute().parent)
    said = {name: str(value) for name, value in sorted(options.items())}
    inputs = [__version__, source_name, str(root.absolute()), annotate is not None, said]
    journal = Journal(out, fingerprint(inputs))
    seen = Seen()
    for entry in journal.skip_done(source.studies):
        seen.add(entry)
    examine = _Examine(folder=out.absolute().parent, annotate=annotate)
    with journal:
        for entries in _examined(examine, source.studies, workers):
            journal.write([seen.judge(entry) for entry in entries])
            if progress is not None:
                progress(journal.done, source.total or 0)
    return journal.finish(source_name, source.notes + source.late_notes())


# ---- looking at studies, in order, in processes ------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Examine:
    """Turns studies into journal entries; a class and not a closure, because it is sent to processes."""

    folder: Path
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
        bad: list[str] = []
        pixels: list[int | None] = []
        missing = 0
        for image in item.images:
            try:
                check_image(image)
                pixels.append(pixels_key(image))
            except MissingDependencyError:
                raise  # of the machine, not of this study
            except MissingFileError:
                missing += 1
                bad.append(f"missing image: {image}")
            except RadflowError as error:
                bad.append(f"broken image: {error}")
        if not item.images:
            bad.append("no image")
        entry = Entry(study=printable(item.study_id), images=len(item.images), missing=missing)
        if bad:
            return replace(entry, reason=printable(bad[0]))
        row = manifest_row(item, self.folder)
        if (written := json.dumps(row, ensure_ascii=False)) != printable(written):
            return replace(entry, reason=_NOT_UTF8)
        pictures = tuple(picture_key(image) for image in item.images)
        return replace(entry, row=row, pictures=pictures, pixels=tuple(pixels))


def _annotated(entry: Entry, study: Study, said: Annotation) -> Entry:
    """What the readers say of a kept study, added; an annotation that the data set brought stays."""
    row = dict(entry.row or {})
    if study.critical is None:
        row |= {"critical": said.critical, "critical_by": said.critical_by}
    return replace(entry, row=row, labels=said.labels)


def _examined(
    examine: Callable[[Sequence[Study | Rejected]], list[Entry]],
    items: Iterator[Study | Rejected],
    workers: int,
) -> Iterator[list[Entry]]:
    """The entries of all items in order, a chunk at a time."""
    first = list(islice(items, _FEWER_THAN_PAY))
    chunks = _chunks(chain(first, items))
    if workers == 1 or len(first) < _FEWER_THAN_PAY:
        yield from map(examine, chunks)
        return
    pool = process_pool(workers)
    try:
        yield from _in_order(pool, examine, chunks, _IN_FLIGHT * workers)
    except BrokenProcessPool:
        raise DataError(
            f"one of {workers} processes that check images died: out of memory, or a script without "
            "'if __name__ == \"__main__\":'; run again (what is done is kept), or use one worker"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor,
    examine: Callable[[Sequence[Study | Rejected]], list[Entry]],
    chunks: Iterator[list[Study | Rejected]],
    in_flight: int,
) -> Iterator[list[Entry]]:
    waiting: deque[Future[list[Entry]]] = deque()
    for chunk in chunks:
        waiting.append(pool.submit(examine, chunk))
        if len(waiting) == in_flight:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _chunks(items: Iterable[Study | Rejected]) -> Iterator[list[Study | Rejected]]:
    items = iter(items)
    while chunk := list(islice(items, _CHUNK)):
        yield chunk
