import subprocess
import sys
from pathlib import Path

from radflow.folders import SUMS, is_piece, replaced_folder, sealed_damage, settle_folder, sweep, write_piece

_KILLED = """
import os, signal, sys
from pathlib import Path
from radflow.files import atomic_file
from radflow.folders import replaced_folder
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
