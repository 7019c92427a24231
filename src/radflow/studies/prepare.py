"""What all preparations of data sets share: the list of sources, the account, drawing in parallel.

A preparation reads a source, draws or finds the images, and writes ``studies.jsonl`` last, so a folder with a
manifest is a finished one. Killed in the middle, it goes on where it stopped: every drawn PNG carries a note
of how it was made, and one that would come out the same is not drawn again.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from radflow.errors import DataError, RadflowError
from radflow.files import write_atomic
from radflow.studies import phantoms
from radflow.studies.images import check_image
from radflow.studies.splits import check_patients
from radflow.studies.study import SPLITS, Study
from radflow.workspace import file_fingerprint, fingerprint

PREPARERS: dict[str, str] = {
    "carotid-phantom": "radflow.studies.sources.carotid_phantom:prepare_carotid_phantom",
    "open-i": "radflow.studies.sources.openi:prepare_open_i",
}
MANIFEST = "studies.jsonl"
REJECTED = "rejected.jsonl"

Progress = Callable[[int, int], None]  # called with (done, total)
Job = TypeVar("Job")
Result = TypeVar("Result")

SMALLEST_IMAGE = 64  # below, what a report names cannot be seen

_NOTE = "radflow"  # the PNG text chunk that says how a picture was drawn
_FEWER_THAN_PAY = 16  # below this many jobs, starting processes takes longer than drawing


@dataclass(frozen=True, kw_only=True)
class PrepareAccount:
    """What a preparation found and what it made of it.

    Attributes:
        source: the name in `PREPARERS` or `ADAPTERS`.
        manifest: the file written.
        found: studies in the source.
        kept: studies in the manifest.
        rejected: reason -> studies left out for it.
        sections: which sections the reports have -> studies: of the source in a preparer, of the manifest
            in an adapter.
        splits: split -> studies kept.
        patients_in_two_splits: 0, or something is wrong.
        drawn: images that are drawn.
        real: images that are real.
        unsupported: tag -> drawn images that should show it but do not.
        notes: what else the reader should know, one sentence each.
        examples: reason -> one study left out for it, with the particulars.
        labels: observation -> studies kept whose report states it; empty where nobody asked.
        critical: studies kept that are critical; ``None`` where nobody asked.
    """

    source: str
    manifest: Path
    found: int
    kept: int
    rejected: Mapping[str, int]
    sections: Mapping[str, int]
    splits: Mapping[str, int]
    patients_in_two_splits: int
    drawn: int
    real: int
    unsupported: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    examples: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    critical: int | None = None

    def lines(self, *, most_common: int = 15) -> list[str]:
        """The account as text; of the unsupported tags the ``most_common`` ones."""
        lines = [f"{self.source}: {self.kept:,} of {self.found:,} studies -> {self.manifest}"]
        for reason, count in _falling(self.rejected):
            example = f", e.g. {self.examples[reason]}" if reason in self.examples else ""
            lines.append(f"  left out: {count:,} ({reason}){example}")
        lines += [f"  reports with {which}: {count:,}" for which, count in _falling(self.sections)]
        splits = ", ".join(f"{name} {self.splits.get(name, 0):,}" for name in SPLITS)
        lines.append(f"  split: {splits}; patients in two splits: {self.patients_in_two_splits}")
        lines.append(f"  images: {self.real:,} real, {self.drawn:,} drawn")
        if self.unsupported:
            total = sum(self.unsupported.values())
            lines.append(f"  tags the drawings do not show: {total:,}, of {len(self.unsupported):,} kinds")
            shown = _falling(self.unsupported)[:most_common]
            lines += [f"    {count:>5,}  {tag}" for tag, count in shown]
            if len(self.unsupported) > most_common:
                lines.append(f"    and {len(self.unsupported) - most_common:,} more kinds")
        lines += [f"  {label}: {self._share(count)}" for label, count in _falling(self.labels)]
        if self.critical is not None:
            lines.append(f"  critical: {self._share(self.critical)}")
        return lines + [f"  note: {note}" for note in self.notes]

    def _share(self, count: int) -> str:
        return f"{count:,} ({count / self.kept:.0%})" if self.kept else f"{count:,}"


def _falling(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def split_counts(studies: Sequence[Study]) -> dict[str, Any]:
    """The fields of `PrepareAccount` that follow from the kept studies."""
    images = Counter({True: 0, False: 0})
    for study in studies:
        images[study.drawn] += len(study.images)
    return {
        "kept": len(studies),
        "splits": dict(Counter(study.split for study in studies)),
        "patients_in_two_splits": len(check_patients(studies)),
        "drawn": images[True],
        "real": images[False],
    }


# ---- drawing in parallel ---------------------------------------------------------------------------------


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """Call a module-level function on every job, in several processes; results in the order of the jobs.

    Processes are spawned, so a script that gets here must guard its top level with
    ``if __name__ == "__main__":``. With one worker, or few jobs, everything happens in this process.

    Args:
        function: importable by name; jobs and results must pickle.
        workers: processes; ``None`` for one a usable core.
        progress: called with (done, total) as results come in.

    Raises:
        DataError: ``workers`` is below 1, or a process died. What a job raises is passed on.
    """
    workers = usable_cores() if workers is None else at_least("workers", workers, 1)
    if workers == 1 or len(jobs) < _FEWER_THAN_PAY:
        return _collect(map(function, jobs), len(jobs), progress)
    pool = process_pool(min(workers, len(jobs)))
    try:
        chunk = max(1, min(16, len(jobs) // (4 * workers)))
        return _collect(pool.map(function, jobs, chunksize=chunk), len(jobs), progress)
    except BrokenProcessPool:
        raise DataError(
            f"one of {workers} drawing processes died: out of memory, or a script without "
            "'if __name__ == \"__main__\":'; run again (what is drawn is kept), or use one worker"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _collect(results: Iterable[Result], total: int, progress: Progress | None) -> list[Result]:
    collected: list[Result] = []
    for result in results:
        collected.append(result)
        if progress is not None:
            progress(len(collected), total)
    return collected


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Spawned processes that leave Ctrl-C to this one and end when it is killed."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)


def usable_cores() -> int:
    """How many cores this process may use.

    >>> usable_cores() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start_worker() -> None:
    """Leave Ctrl-C to the parent; end when the parent is killed, instead of waiting for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


# ---- drawn images that know how they were made -----------------------------------------------------------


def renderer_fingerprint(prefix: str) -> str:
    """A hash of the code that draws: the modules of `radflow.studies.phantoms` that start with ``prefix``.

    A drawing made by other code is made again.
    """
    folder = Path(phantoms.__path__[0])
    return fingerprint([file_fingerprint(module) for module in sorted(folder.glob(f"{prefix}*.py"))])


def save_drawing(path: Path, image: UInt8[np.ndarray, "H W"], note: Mapping[str, Any]) -> None:
    """Write a drawn image as PNG, whole or not at all, with a note inside of how it was made.

    Raises:
        NotWritableError: the folder cannot be written.
    """
    text = PngInfo()
    text.add_itxt(_NOTE, json.dumps({"drawn": True, **note}, sort_keys=True))
    content = io.BytesIO()
    # Level 1: noise compresses no better at level 6, which takes several times as long.
    Image.fromarray(image).save(content, format="PNG", pnginfo=text, compress_level=1)
    write_atomic(path, content.getvalue(), what="the drawing cannot be written", sync=False)


def drawing_note(path: Path) -> dict[str, Any] | None:
    """The note inside a drawn image; ``None`` if the file is missing, damaged, or has no note."""
    try:
        check_image(path)
        with Image.open(path) as image:
            text = image.info.get(_NOTE)
            image.verify()  # the checksums of its chunks
    except (RadflowError, OSError, SyntaxError):
        return None
    return json.loads(text) if isinstance(text, str) else None


def at_least(name: str, value: int, least: int) -> int:
    """Return ``value``, or raise `DataError` if it is below ``least``.

    >>> at_least("count", 3, 1)
    3
    """
    if value < least:
        raise DataError(f"{name}: expected at least {least}, got {value}")
    return value
