"""What lies in the root of a data set: the files that make it one, the archives that nobody unpacked yet,
and paths that a table names, which may not lead out of it."""

from __future__ import annotations

import ntpath
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from radflow.errors import DataError, MissingFileError
from radflow.files import is_file
from radflow.studies.places import refuse_too_long

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".dcm")

_ARCHIVE = re.compile(r"\.(?:zip|7z|rar|tgz|tar|tar\.\w+|part\d+)\Z", re.IGNORECASE)
_SHOWN = 6  # names listed in an error


def find_file(root: Path, places: Sequence[str], data_set: str) -> Path:
    """The first of some files that is there.

    Args:
        root: the root of the data set.
        places: where the file may be, relative to it; ``*`` stands for any name.
        data_set: its name, for the message.

    Raises:
        MissingFileError: none is there; says what was looked for, what is there, and what is still packed.
    """
    for place in places:
        found = matching(root, place)
        if found:
            return found[0]
    raise MissingFileError(f"{root}: expected {data_set} with {' or '.join(places)}; {lies_in(root)}")


def image_root(root: Path, images: Path | None) -> Path:
    """Where the images are: ``images``, absolute and without ``..``, or else the root.

    Raises:
        MissingFileError: ``images`` is no folder.
    """
    if images is None:
        return root
    if not images.is_dir():
        raise MissingFileError(f"{images}: expected a folder of images (--images, data.images), found none")
    return Path(os.path.normpath(images.absolute()))


def image_folders(roots: Sequence[Path], names: Sequence[str], images: Path | None) -> tuple[Path, ...]:
    """Where paths of images may start: ``images``, or else the folders of these names and the roots."""
    if images is not None:
        return (image_root(roots[0], images),)
    folders = (folder for root in roots for folder in (*(root / name for name in names), root))
    return tuple(dict.fromkeys(folder for folder in folders if folder.is_dir()))


def matching(root: Path, place: str) -> list[Path]:
    """The files at a place relative to ``root``, in order; ``*`` stands for any name."""
    paths = sorted(root.glob(place)) if "*" in place else [root / place]
    return [path for path in paths if path.is_file()]


def find_folders(
    root: Path, places: Sequence[str], holding: Sequence[str], data_set: str
) -> tuple[Path, ...]:
    """Every folder among ``places`` (``*`` for any name, ``.`` for the root) that holds one of ``holding``.

    Raises:
        MissingFileError: there is none; as `find_file`.
    """
    found = [
        folder
        for place in places
        for folder in ([root] if place == "." else sorted(root.glob(place)))
        if any((folder / name).is_dir() for name in holding)
    ]
    if not found:
        wanted = " or ".join(f"{name}/" for name in holding)
        raise MissingFileError(
            f"{root}: expected the images of {data_set} in {wanted} here or in "
            f"{' or '.join(place for place in places if place != '.')}; {lies_in(root)}"
        )
    return tuple(dict.fromkeys(found))


def lies_in(root: Path) -> str:
    """What a folder holds, for an error: some names, and the archives that are to be unpacked."""
    if not root.is_dir():
        return "it is no folder"
    packed = archives(root)
    if packed:
        more = f" and {len(packed) - _SHOWN} more" if len(packed) > _SHOWN else ""
        names = ", ".join(str(path.relative_to(root)) for path in packed[:_SHOWN])
        return f"still packed are {names}{more}: unpack them there (docs/datasets.md)"
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in root.iterdir())
    if not names:
        return "the folder is empty"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"there are {', '.join(names[:_SHOWN])}{more}"


def archives(root: Path) -> list[Path]:
    """Archives in a folder and one level below it, in order."""
    return [path for path in sorted([*root.glob("*"), *root.glob("*/*")]) if _ARCHIVE.search(path.name)]


def inside(root: Path, name: str) -> Path:
    """The path that a table names, below ``root``.

    Windows' separators are read as separators. An absolute path must already be below ``root``. Links are not
    followed: a folder of images that is a link is the owner's choice, a ``..`` in a table is not.

    Args:
        root: absolute.
        name: as the table has it.

    Raises:
        DataError: it leads out of ``root``, is no path at all, or longer than one can be.

    >>> inside(Path("/data"), "images/a.png").as_posix(), inside(Path("/data"), "x/../a.png").as_posix()
    ('/data/images/a.png', '/data/a.png')
    >>> inside(Path("/data"), "../../etc/passwd")
    Traceback (most recent call last):
    ...
    radflow.errors.DataError: image outside the data set: '../../etc/passwd' is not below /data
    """
    if not name.strip() or "\0" in name:
        raise DataError(f"image without a name: {name!r}")
    if "\\" in name:
        name = name.replace("\\", "/")
    path = Path(os.path.normpath(root / name))
    if ntpath.splitdrive(name)[0] or not path.is_relative_to(root) or path == root:
        raise DataError(f"image outside the data set: {name!r} is not below {root}")
    refuse_too_long(path)
    return path


def first_there(folders: Iterable[Path], name: str, endings: Sequence[str] = IMAGE_ENDINGS) -> Path:
    """The file of that name in the first folder that has it, with its own ending or with another one.

    Archives do not always hold what their table says: CheXpert Plus writes ``.jpg`` for files that are
    ``.png``. Where nothing is found the first candidate is returned, so that who opens it can name it.

    Raises:
        DataError: the name leads out of every folder.
    """
    candidates: list[Path] = []
    outside: DataError | None = None
    for folder in folders:
        try:
            candidates.append(inside(folder, name))
        except DataError as error:
            outside = outside or error
    if outside is not None and not candidates:
        raise outside
    own = PurePosixPath(name).suffix.lower()
    others = [ending for ending in endings if ending != own]
    for candidate in candidates:
        if is_file(candidate):
            return candidate
    for candidate in candidates:
        for ending in others:
            if is_file(other := candidate.with_suffix(ending)):
                return other
    return candidates[0]
