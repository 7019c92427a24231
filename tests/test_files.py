import errno
import os
import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import save_file

from radflow.errors import NotWritableError
from radflow.files import atomic_file, make_folder, write_atomic, writing
from radflow.folders import SUMS, replaced_folder


@contextmanager
def umask(value: int) -> Generator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("mask", [0o077, 0o027, 0o002])
def test_new_files_and_folders_obey_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        write_atomic(tmp_path / "new" / "a.json", "{}")
        with replaced_folder(tmp_path / "model") as fresh:
            save_file({"a": np.zeros(1)}, fresh / "w")
        with atomic_file(tmp_path / "secret", mode=0o640):
            pass
    for folder in ("new", "model"):
        assert mode(tmp_path / folder) == 0o777 & ~mask
    for file in ("new/a.json", "model/w", f"model/{SUMS}"):
        assert mode(tmp_path / file) == 0o666 & ~mask
    assert mode(tmp_path / "secret") == 0o640 & ~mask


@pytest.mark.parametrize("kept", [0o600, 0o664])
def test_what_is_replaced_keeps_its_mode_and_is_never_wider_meanwhile(tmp_path: Path, kept: int) -> None:
    path, folder = tmp_path / "a.json", tmp_path / "model"
    path.write_text("old")
    folder.mkdir()
    path.chmod(kept)
    folder.chmod(0o700)
    with umask(0o022), atomic_file(path) as file:
        assert mode(next(tmp_path.glob(".a.json.*.radflow"))) == kept
        file.write("new")
    with replaced_folder(folder):
        pass
    assert (path.read_text(), mode(path), mode(folder)) == ("new", kept, 0o700)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), r"\(No space left on device\); make room, then"),
        (
            SafetensorError("I/O error: No space left (os error 28)"),
            r"\(No space left on device\); make room",
        ),
        (Exception("Quota exceeded (os error 122)"), r"\(Disk quota exceeded\); make room"),
        (PermissionError(errno.EACCES, "Permission denied"), r"\(Permission denied\); choose another place"),
    ],
)
def test_every_library_that_cannot_write_is_one_line(tmp_path: Path, error: Exception, said: str) -> None:
    refused = pytest.raises(NotWritableError, match=rf"model: cannot be written {said}")
    with refused, replaced_folder(tmp_path / "model"):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no number"), writing(tmp_path):
        raise ValueError("no number")


def test_a_disk_that_fills_up_is_said_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as a full disk, without one
    try:
        with pytest.raises(NotWritableError, match=r"a\.txt: cannot be written \(File too large\)"):
            write_atomic(path, "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotWritableError, match="file/out: cannot make this folder"):
        make_folder(tmp_path / "file" / "out")
