"""Where the images of a manifest may lie: below its own folder, and below folders that its reader allows.

A manifest can come from anyone, and what its images show goes into pages and models. So a path that leads
elsewhere is followed only where the recipe or the command names a folder around it, or where radflow wrote
the manifest on this machine: it leaves a note beside it of where the images lay. The note holds its own
number in the file system: one that was copied or unpacked with a manifest means nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from radflow.errors import DataError
from radflow.files import atomic_file, open_regular
from radflow.studies.study import Study

_LONGEST_PATH, _LONGEST_NAME = 4095, 255  # bytes, of Linux; macOS and Windows allow less


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What a reader of a manifest allows.

    Attributes:
        folders: where images may lie, besides the manifest's folder.
        knob: what to set to allow more, for the message.
    """

    folders: tuple[Path, ...]
    knob: str


def allowed(manifest: Path, folders: Iterable[Path | None], *, knob: str) -> Allowed:
    """The folders that are named, and those that ``radflow prepare`` noted."""
    named = tuple(folder.absolute() for folder in folders if folder is not None)
    return Allowed(folders=(*named, *noted(manifest)), knob=knob)


def image_place(folder: Path, name: str, allow: Allowed | None) -> Path:
    """The path of an image that a manifest in ``folder`` names; anywhere where ``allow`` is ``None``.

    Links are not followed: a folder of images that is a link is the owner's choice, a ``..`` is not.

    Raises:
        DataError: it lies outside, or no file can have the name.
    """
    if "\0" in name:
        raise DataError(f"image {name[:80]!r}: no file has a NUL in its name")
    path = Path(os.path.normpath(folder / name))
    refuse_too_long(path)
    if allow is not None and not any(path.is_relative_to(place) for place in (folder, *allow.folders)):
        raise DataError(
            f"image outside {folder}: {name!r}; if it is meant, name the folder it lies in with {allow.knob}"
        )
    return path


def refuse_too_long(path: Path) -> None:
    """Raise a `DataError` for a path that no file can have for its length."""
    lengths = [len(part.encode("utf-8", "surrogatepass")) for part in path.parts]
    if sum(lengths) + len(lengths) > _LONGEST_PATH or max(lengths, default=0) > _LONGEST_NAME:
        raise DataError(f"image with a name too long for a file: {str(path)[:80]!r}...")


def note(manifest: Path, folders: Iterable[Path | None]) -> None:
    """Note beside a manifest where the images lie that are not below its own folder.

    Raises:
        NotWritableError: it cannot be written.
    """
    home = manifest.absolute().parent
    outside = {str(place) for f in folders if f and not (place := f.absolute()).is_relative_to(home)}
    if not outside:
        _note_of(manifest).unlink(missing_ok=True)
        return
    with atomic_file(_note_of(manifest)) as file:
        json.dump({"folders": sorted(outside), "inode": os.fstat(file.fileno()).st_ino}, file)


def around(studies: Iterable[Study], folder: Path) -> tuple[Path, ...]:
    """The folder around all images that do not lie below ``folder``; none where all do."""
    parents = {image.absolute().parent for study in studies for image in study.images}
    outside = [parent for parent in parents if not parent.is_relative_to(folder)]
    try:
        return (Path(os.path.commonpath(outside)),) if outside else ()
    except ValueError:  # on several drives of Windows
        return tuple(outside)


def noted(manifest: Path) -> tuple[Path, ...]:
    """The folders noted beside a manifest; none where the note is a copy, or damaged."""
    try:
        with open_regular(_note_of(manifest)) as file:
            said = json.load(file)
            if said["inode"] == os.fstat(file.fileno()).st_ino:
                return tuple(Path(folder) for folder in said["folders"])
    except (OSError, DataError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return ()


def _note_of(manifest: Path) -> Path:
    return manifest.with_suffix(".roots.json")
