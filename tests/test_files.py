import errno
import os
import resource
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import save_file

from radflow.errors import NotWritableError
from radflow.files import (
    SUMS,
    atomic_file,
    is_piece,
    make_folder,
    replaced_folder,
    sealed_damage,
    settle_folder,
    sweep,
    write_atomic,
    write_piece,
    writing,
)


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


# ---- kills -----------------------------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
from pathlib import Path
from radflow.files import atomic_file, replaced_folder
place = Path(sys.argv[1])
with replaced_folder(place / "model") as fresh, atomic_file(place / "deep" / "a.json") as file:
    (fresh / "w").write_text("half")
    print("writing", flush=True)
    if sys.argv[2] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def writer(place: Path, then: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _KILLED, str(place), then]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def test_what_a_killed_writer_left_is_swept_and_what_lives_is_not(tmp_path: Path) -> None:
    with writer(tmp_path, "die") as dead:
        dead.wait()
    left = {p.name for p in tmp_path.rglob("*")}
    assert len(left) == 4, "two temporaries, one with a file in it, and a folder"
    with writer(tmp_path, "wait") as alive:
        (tmp_path / ".mine.12345678.txt").touch()
        sweep(tmp_path, deep=True)
        kept = {p.name for p in tmp_path.rglob(".*.radflow")}
        assert len(kept) == 2
        assert not kept & left
        alive.communicate("")
    assert alive.returncode == 0
    assert {p.name for p in tmp_path.rglob("*")} == {
        "model",
        "w",
        SUMS,
        "deep",
        "a.json",
        ".mine.12345678.txt",
    }


def test_a_sweep_of_one_name_leaves_the_others(tmp_path: Path) -> None:
    for name in (".a[1].csv.01234567.radflow", ".b.csv.01234567.radflow"):
        (tmp_path / name).touch()
    sweep(tmp_path, "a[1].csv")
    assert [p.name for p in tmp_path.iterdir()] == [".b.csv.01234567.radflow"]


def test_an_old_folder_is_settled_or_removed(tmp_path: Path) -> None:
    with replaced_folder(tmp_path / "run" / "model") as fresh:
        (fresh / "w").write_text("old")
    (tmp_path / "run" / "model").rename(tmp_path / "run" / ".model.old")
    sweep(tmp_path, deep=True)
    assert (tmp_path / "run" / "model" / "w").read_text() == "old"
    (tmp_path / "run" / ".notes.old").mkdir()
    sweep(tmp_path, deep=True)
    assert (tmp_path / "run" / ".notes.old").exists(), "not ours"
    assert settle_folder(tmp_path / "run" / "model").exists()


# ---- checksums -------------------------------------------------------------------------------------------


def test_damage_in_a_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with replaced_folder(folder) as fresh:
        (fresh / "w").write_bytes(b"weights")
        (fresh / "sub").mkdir()
        (fresh / "sub" / "x").write_text("x")
    assert sealed_damage(folder) is None
    (folder / "README.md").write_text("added later")
    assert sealed_damage(folder) is None
    check = subprocess.run(["sha256sum", "-c", SUMS], cwd=folder, capture_output=True, check=False)
    assert check.returncode == 0, "the usual tool reads it"
    (folder / "w").write_bytes(b"weightz")
    assert sealed_damage(folder) == "w is damaged"
    (folder / "w").unlink()
    assert sealed_damage(folder) == "w is missing"
    (folder / SUMS).write_text("")
    assert sealed_damage(folder) == f"{SUMS} is damaged"
    (folder / SUMS).unlink()
    assert sealed_damage(folder) == f"{SUMS} is missing"


def test_a_piece_is_whole_or_it_is_none(tmp_path: Path) -> None:
    path = tmp_path / "0.jsonl"
    assert not is_piece(path)
    write_piece(path, [{"text": "a"}])
    assert is_piece(path)
    path.write_text('{"text": "b"}\n')
    assert not is_piece(path)
    path.unlink()
    assert not is_piece(path)
