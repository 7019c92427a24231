"""Folders written whole or not at all, their checksums, and removing what killed writers leave.

A folder that was written whole holds ``SHA256SUMS``, which ``sha256sum -c`` reads too.
"""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from radflow.errors import DataError
from radflow.files import (
    LEFT,
    SHOWN,
    open_regular,
    read_jsonl,
    temporary_of,
    to_disk,
    try_lock,
    write_atomic,
    write_jsonl,
    writing,
)

SUMS = "SHA256SUMS"


@contextmanager
def replaced_folder(path: Path) -> Generator[Path]:
    """Give an empty folder to fill; sealed, it replaces ``path`` only when the block ends without an error.

    Raises:
        NotWritableError: the disk is full, or the place cannot be written.
    """
    old = path.with_name(f".{path.name}.old")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = temporary_of(path)
        fresh.mkdir()
        handle = os.open(fresh, os.O_RDONLY)
        try:
            try_lock(handle)
            yield fresh
            write_atomic(fresh / SUMS, "".join(f"{s}  {name}\n" for name, s in digests(fresh).items()))
            mode = (fresh / SUMS).stat().st_mode & 0o777
            for folder, _, names in os.walk(fresh):
                for name in names:
                    Path(folder, name).chmod(mode)  # safetensors gives 0600, whatever the umask
                    to_disk(Path(folder, name))
                to_disk(Path(folder))
            shutil.rmtree(old, ignore_errors=True)
            if path.exists():
                fresh.chmod(path.stat().st_mode & 0o777)
                path.rename(old)
            fresh.rename(path)
            to_disk(path.parent)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        finally:
            os.close(handle)
    shutil.rmtree(old, ignore_errors=True)


def settle_folder(path: Path) -> Path:
    """Undo a kill that fell between the two renames of `replaced_folder`, then return ``path``."""
    old = path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():
        old.rename(path)
    return path


def sweep(folder: Path, name: str | None = None, *, deep: bool = False) -> None:
    """Remove what killed writers left half written, nothing else.

    Args:
        folder: where to look.
        name: of the file or folder there that was to be written; all when not given.
        deep: look into the folders below as well, and settle what `settle_folder` would.
    """
    pattern = ".*" if name is None else f".{glob.escape(name[:SHOWN])}.*"
    for left in list(folder.rglob(pattern) if deep else folder.glob(pattern)):
        if LEFT.fullmatch(left.name) and _is_abandoned(left):
            _remove(left)
        elif deep and left.name.endswith(".old") and (left / SUMS).is_file():
            settle_folder(left.with_name(left.name[1:].removesuffix(".old")))
            _remove(left)


def _remove(left: Path) -> None:
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)


def _is_abandoned(left: Path) -> bool:
    """Whether no process is writing it; ``False`` where that cannot be known."""
    try:
        handle = os.open(left, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return try_lock(handle) is True
    finally:
        os.close(handle)


# ---- checksums -------------------------------------------------------------------------------------------


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(folder: Path, *, but: Sequence[str] = ()) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path from there.

    Left out are temporaries, and what lies in a folder named in ``but``.
    """
    found = {p.relative_to(folder): p for p in sorted(folder.rglob("*")) if p.is_file()}
    return {
        name.as_posix(): digest(path)
        for name, path in found.items()
        if name.parts[0] not in but and not LEFT.fullmatch(name.name)
    }


def damaged(folder: Path, promised: Mapping[str, str]) -> dict[str, str]:
    """Which of the promised files changed, and why in a word or two."""
    found = {}
    for name, promise in promised.items():
        path = folder / name
        if not path.is_file():
            found[name] = "missing"
        elif digest(path) != promise:
            found[name] = "damaged"
    return found


def check_model(folder: Path) -> None:
    """Refuse a model's folder that differs from what radflow saved; one saved by other tools is not checked.

    Raises:
        DataError: a file is damaged or missing.
    """
    if (folder / SUMS).is_file() and (damage := sealed_damage(folder)):
        raise DataError(
            f"{folder}: {damage}, against {SUMS} there; copy it again, or make it again (a run makes its own "
            "when it is started again)"
        )


def sealed_damage(folder: Path) -> str | None:
    """What is wrong with a folder of `replaced_folder`, as ``optimizer.pt is missing``; ``None``: nothing."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return f"{SUMS} is missing"
    except UnicodeDecodeError:
        return f"{SUMS} is damaged"
    promised = {name: promise for promise, _, name in (line.partition("  ") for line in lines)}
    if not promised:
        return f"{SUMS} is damaged"
    return next((f"{name} is {why}" for name, why in damaged(folder, promised).items()), None)


def write_piece(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a JSONL file, part of a stage that a kill may interrupt, and its checksum: ``<name>.sha256``."""
    write_jsonl(path, rows)
    write_atomic(_sum_of(path), f"{digest(path)}  {path.name}\n")


def is_piece(path: Path) -> bool:
    """Whether `write_piece` wrote what is there now."""
    try:
        return _sum_of(path).read_bytes().decode(errors="replace") == f"{digest(path)}  {path.name}\n"
    except FileNotFoundError:
        return False


def read_pieces(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of all pieces of a folder, by their files' names."""
    for path in sorted(folder.glob("*.jsonl")):
        yield from read_jsonl(path)


def _sum_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
