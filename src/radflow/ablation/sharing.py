"""Beginning a run with the stages that another one finished: hard links, copies where there are none.

Safe because no stage changes a file in place: what is written again is written beside and renamed, which
leaves the other's link as it was. The run that begins looks at fingerprints and checksums as at every start.
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

from radflow.files import write_atomic
from radflow.workspace import SCRATCH

_METRICS = "metrics.jsonl"


def begin_with(folder: Path, stage: str, finished: Path) -> None:
    """Give a run's folder all stages that another run has up to one, unless it has that one.

    A kill in the middle leaves a stage without its marker; then everything is linked anew. The marker of the
    last stage comes last.

    Args:
        folder: of the run that begins.
        stage: the last one that it gets.
        finished: the folder of a run that has finished it.
    """
    marker = Path("stages", f"{stage}.json")
    if (folder / marker).is_file():
        return
    markers = sorted((finished / "stages").glob("*.json"), key=lambda p: p.stem == stage)
    for name in sorted({path.stem.removesuffix(".started") for path in markers}):
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(
            finished / name, folder / name, copy_function=_link, ignore=partial(_scratch, finished / name)
        )
    if (finished / _METRICS).is_file():
        write_atomic(folder / _METRICS, (finished / _METRICS).read_bytes())
    for path in markers:
        write_atomic(folder / "stages" / path.name, path.read_bytes())


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _scratch(stage: Path, folder: str, names: list[str]) -> set[str]:
    """What of a finished stage is not needed."""
    return set(SCRATCH) & set(names) if Path(folder) == stage else set()
