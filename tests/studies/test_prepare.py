"""The shared parts of preparing: parallel jobs, drawings with notes, the account."""

from __future__ import annotations

import importlib
import math
import operator
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radflow.errors import DataError, NotWritableError
from radflow.files import make_folder
from radflow.studies.images import to_pil
from radflow.studies.prepare import (
    PREPARERS,
    PrepareAccount,
    drawing_note,
    renderer_fingerprint,
    run_jobs,
    save_drawing,
)

PIXELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_every_preparer_exists() -> None:
    for address in PREPARERS.values():
        module, name = address.split(":")
        assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_and_progress_counts(workers: int) -> None:
    seen: list[tuple[int, int]] = []
    results = run_jobs(operator.neg, range(40), workers=workers, progress=lambda *at: seen.append(at))
    assert results == [-number for number in range(40)]
    assert seen == [(done, 40) for done in range(1, 41)]


def test_no_jobs_is_no_work() -> None:
    assert run_jobs(operator.neg, []) == []


def test_what_a_job_raises_in_a_process_arrives() -> None:
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        run_jobs(math.sqrt, [1.0] * 30 + [-1.0], workers=2)


def test_a_dead_process_is_one_line() -> None:
    with pytest.raises(DataError, match="drawing processes died: out of memory"):
        run_jobs(os._exit, [1] * 20, workers=2)


def test_a_drawing_carries_its_note_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    save_drawing(path, PIXELS, {"study": "é", "size": 16})
    assert drawing_note(path) == {"drawn": True, "study": "é", "size": 16}
    np.testing.assert_array_equal(np.asarray(to_pil(path))[..., 0], PIXELS)
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_a_whole_drawing_has_no_note(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    assert drawing_note(path) is None
    Image.fromarray(PIXELS).save(path)
    assert drawing_note(path) is None
    save_drawing(path, PIXELS, {})
    path.write_bytes(path.read_bytes()[:-15])
    assert drawing_note(path) is None


def test_the_renderer_is_known_by_its_code() -> None:
    assert renderer_fingerprint("chest") == renderer_fingerprint("chest") != renderer_fingerprint("carotid")


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotWritableError, match="cannot make this folder"):
        make_folder(tmp_path / "file" / "out")
    with pytest.raises(NotWritableError, match="the drawing cannot be written"):
        save_drawing(tmp_path / "file" / "a.png", PIXELS, {})


def test_the_account_reads_as_text() -> None:
    account = PrepareAccount(
        source="open-i",
        manifest=Path("out/studies.jsonl"),
        found=3955,
        kept=3419,
        rejected={"report with neither section": 28, "report with impression only": 502},
        sections={"findings and impression": 3419},
        splits={"train": 2400, "test": 1019},
        patients_in_two_splits=0,
        drawn=3419,
        real=0,
        unsupported={"Kyphosis": 2, "Arthritis": 2, "No Indexing": 6},
        notes=("drawn",),
    )
    assert account.lines(most_common=2) == [
        "open-i: 3,419 of 3,955 studies -> out/studies.jsonl",
        "  left out: 502 (report with impression only)",
        "  left out: 28 (report with neither section)",
        "  reports with findings and impression: 3,419",
        "  split: train 2,400, validate 0, test 1,019; patients in two splits: 0",
        "  images: 0 real, 3,419 drawn",
        "  tags the drawings do not show: 10, of 3 kinds",
        "        6  No Indexing",
        "        2  Arthritis",
        "    and 1 more kinds",
        "  note: drawn",
    ]
