import logging
import os
from pathlib import Path

import pytest
import torch

from radflow.policy.images.feature_files import FeatureFiles

TENSORS = {"tokens.0": torch.arange(64.0).reshape(16, 4)}
KIB = 1024


def read_back(files: FeatureFiles, key: str) -> bool:
    found = files.read(key)
    return found is not None and torch.equal(found["tokens.0"], TENSORS["tokens.0"])


def only(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    FeatureFiles(tmp_path / "new", max_bytes=KIB**2).write("a", TENSORS)
    files = FeatureFiles(tmp_path / "new", max_bytes=KIB**2)
    assert read_back(files, "a")
    assert files.read("b") is None


@pytest.mark.parametrize("kept", [0, 7, 60, -1])
def test_a_file_cut_short_is_not_believed(
    tmp_path: Path, kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    files = FeatureFiles(tmp_path, max_bytes=KIB**2)
    files.write("a", TENSORS)
    path = only(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with caplog.at_level(logging.WARNING):
        assert files.read("a") is None
    assert str(path) in caplog.text
    files.write("a", TENSORS)
    assert read_back(files, "a")


def test_a_flipped_bit_is_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = FeatureFiles(tmp_path, max_bytes=KIB**2)
    files.write("a", TENSORS)
    path = only(tmp_path)
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert files.read("a") is None
    assert "computed again" in caplog.text


def test_the_least_recently_used_files_go_first(tmp_path: Path) -> None:
    files = FeatureFiles(tmp_path, max_bytes=KIB**2)
    for i, key in enumerate("abcd"):
        files.write(key, TENSORS)
        os.utime(tmp_path / f"{key}.features", (i, i))
    size = (tmp_path / "a.features").stat().st_size
    assert read_back(files, "a")  # used now
    stranger = tmp_path / "model.safetensors"
    stranger.write_bytes(bytes(100 * size))

    tight = FeatureFiles(tmp_path, max_bytes=3 * size + size // 2)
    tight.write("e", TENSORS)
    assert {p.stem for p in tmp_path.glob("*.features")} == {"d", "a", "e"}
    assert stranger.exists()


def test_the_folder_stays_below_its_bound_as_it_grows(tmp_path: Path) -> None:
    files = FeatureFiles(tmp_path, max_bytes=8 * KIB)
    for i in range(60):
        files.write(f"k{i}", TENSORS)
        assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 8 * KIB
    assert read_back(files, "k59")
    assert files.read("k0") is None


def test_several_processes_share_a_bound(tmp_path: Path) -> None:
    workers = [FeatureFiles(tmp_path, max_bytes=8 * KIB) for _ in range(4)]
    for i in range(80):
        workers[i % 4].write(f"k{i}", TENSORS)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 8 * KIB * (1 + 4 / 16)


def test_leftovers_of_killed_processes_are_cleared(tmp_path: Path) -> None:
    leftover = tmp_path / ".a.features.x1y2z3"
    leftover.write_bytes(bytes(8 * KIB))
    os.utime(leftover, (1, 1))
    FeatureFiles(tmp_path, max_bytes=4 * KIB).write("b", TENSORS)
    assert [p.name for p in tmp_path.iterdir()] == ["b.features"]


def test_what_is_larger_than_the_bound_is_not_kept(tmp_path: Path) -> None:
    FeatureFiles(tmp_path, max_bytes=10).write("a", TENSORS)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said_once_a_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "taken").write_text("a file")
    files = FeatureFiles(tmp_path / "taken", max_bytes=KIB**2)
    with caplog.at_level(logging.WARNING):
        files.write("a", TENSORS)
    assert "not kept on disk" in caplog.text
