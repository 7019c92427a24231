"""The data sets, one module each, drawn ones included, and what reading their tables and folders shares."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from radflow.errors import DataError, MissingFileError, did_you_mean
from radflow.studies.study import Rejected, Study

SOURCES: dict[str, str] = {
    "carotid-phantom": "radflow.studies.sources.carotid_phantom:open_carotid_phantom",
    "open-i": "radflow.studies.sources.iu_xray:open_open_i",
    "mimic-cxr": "radflow.studies.sources.mimic_cxr:open_mimic_cxr",
    "chexpert-plus": "radflow.studies.sources.chexpert_plus:open_chexpert_plus",
    "rexgradient": "radflow.studies.sources.rexgradient:open_rexgradient",
    "iu-xray": "radflow.studies.sources.iu_xray:open_iu_xray",
    "rexrank": "radflow.studies.sources.rexrank_input:open_rexrank",
    "r2gen": "radflow.studies.sources.r2gen:open_r2gen",
    "table": "radflow.studies.sources.own_table:open_table",
}
"""Name -> function. Its keyword-only parameters are the options of the data set; ``root`` is the folder of
one on disk, and ``store`` a folder for pictures that it draws or holds itself."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """An open data set.

    Attributes:
        total: how many items ``studies`` yields, for the progress bar; ``None`` where nobody knows.
        studies: every study, in the same order each time, as a `Study` whose images are absolute paths that
            nobody has looked at, or as a `Rejected` whose reason begins with its kind and, where there is
            more to say, goes on after a colon: ``report with impression only``, ``broken row: line 7 ...``.
        notes: what the reader of the account should know, one sentence each.
        late_notes: more of these, known once all studies were taken.
        draw: draws the images of a study unless they are there, made the same way, and gives what they should
            show and do not; ``None`` for real images. It is called in processes.
    """

    total: int | None
    studies: Iterator[Study | Rejected]
    notes: tuple[str, ...] = ()
    late_notes: Callable[[], tuple[str, ...]] = tuple
    draw: Callable[[Study], tuple[str, ...]] | None = None


def open_source(name: str, root: Path | None, **options: Any) -> Source:
    """Open a data set by its name in `SOURCES`.

    Raises:
        DataError: there is no such data set, it is not as expected, or it needs a root, or has none.
        MissingFileError: ``root`` lacks the files that make it this data set.
    """
    opener = opener_of(name)
    known = inspect.signature(opener).parameters.get("root")
    if root is None:
        if known is not None and known.default is known.empty:
            raise DataError(f"{name}: expected the folder of the data set; say data.root = DIR")
        return opener(**options)
    if known is None:
        raise DataError(f"data.root: {name} has no such option; it is not read from a folder")
    if not root.exists():
        raise MissingFileError(f"{root}: no such folder; expected the root of the data set {name}")
    return opener(Path(os.path.normpath(root.absolute())), **options)  # "../data": paths are held against it


def options_of(name: str) -> list[str]:
    """The options of a data set in `SOURCES`."""
    parameters = inspect.signature(opener_of(name)).parameters
    return [option for option, p in parameters.items() if p.kind is p.KEYWORD_ONLY]


def opener_of(name: str) -> Callable[..., Source]:
    """The function behind a name in `SOURCES`.

    Raises:
        DataError: there is no such name.
    """
    if name not in SOURCES:
        raise DataError(
            f"expected a source among {', '.join(SOURCES)}, got {repr(name) if name else 'none'}."
            f"{did_you_mean(name, SOURCES)}"
        )
    module, attribute = SOURCES[name].split(":")
    return getattr(import_module(module), attribute)
