"""``radflow prepare`` of data sets on disk, through the command line, with a small MIMIC-CXR."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from radflow.cli.preparing import PrepareOptions, source_options
from radflow.errors import RecipeError
from radflow.studies import Study, read_manifest
from radflow.studies.sources import SOURCES, Source
from radflow.studies.study import Rejected

Command = Callable[..., tuple[int, str, str]]

REPORTS = (
    " FINDINGS:  Small left pleural effusion.\n IMPRESSION:  Pleural effusion.\n",
    " FINDINGS:  Lungs are clear.\n IMPRESSION:  Normal chest.\n",
    " IMPRESSION:  Edema.\n",
)


def make_mimic(root: Path, count: int, images: int) -> Path:
    """A MIMIC-CXR of so many studies, two a patient, of which the first ``images`` have their image."""
    rows = []
    for number in range(count):
        subject, study, image = 10000000 + number // 2, 50000000 + number, f"0000-{number}"
        folder = root / "files" / "p10" / f"p{subject}" / f"s{study}"
        folder.mkdir(parents=True)
        folder.with_suffix(".txt").write_text(REPORTS[number // 2 % 3])
        if number < images:
            Image.new("L", (4, 4)).save(folder / f"{image}.jpg")
        rows.append((image, subject, study, "PA", 21800101, number, ("train", "test")[number // 2 % 2]))
    columns = ("dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate", "StudyTime", "split")
    for name in ("metadata", "split"):
        with gzip.open(root / f"mimic-cxr-2.0.0-{name}.csv.gz", "wt", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
    return root


@pytest.fixture
def mimic(tmp_path: Path) -> Path:
    """Six studies, of which three were downloaded."""
    return make_mimic(tmp_path / "mimic", count=6, images=3)


def test_mimic_cxr_from_the_command_line(command: Command, mimic: Path, tmp_path: Path) -> None:
    status, out, err = command("prepare", "mimic-cxr", "--root", mimic, "--out", "out/studies.jsonl")
    assert status == 0
    assert out.splitlines() == [
        "mimic-cxr: 3 of 6 studies -> out/studies.jsonl",
        "  left out: 2 (report with impression only)",
        f"  left out: 1 (missing image), e.g. s50000003: {mimic}/files/p10/p10000001/s50000003/0000-3.jpg",
        "  reports with findings and impression: 3",
        "  reports with a prior report: 1",
        "  split: train 2, validate 0, test 1; patients in two splits: 0",
        "  images: 3 real, 0 drawn",
        "  Pleural Effusion: 2 (67%)",
        "  No Finding: 1 (33%)",
        "  critical: 2 (67%)",
        "  note: 1 of 4 images (25.0%) are not on disk: is the download whole?",
        "  what was left out, and why: out/studies.rejected.jsonl",
    ]
    assert err.splitlines() == ["prepare: 6 of 6 (100%) studies"]
    studies = read_manifest(tmp_path / "out" / "studies.jsonl").studies
    assert [(s.study_id, s.critical, s.critical_by) for s in studies] == [
        ("s50000000", True, "criticality-rules"),
        ("s50000001", True, "criticality-rules"),
        ("s50000002", False, "criticality-rules"),
    ]


def test_killed_with_its_processes_at_work_and_started_again(
    command: Command, tmp_path: Path, environment: dict[str, str]
) -> None:
    root = make_mimic(tmp_path / "mimic", count=260, images=260)
    slow = [root / f"files/p10/p10000{n // 2:03d}/s50000{n}/0000-{n}.jpg" for n in range(200, 206)]
    content = slow[0].read_bytes()
    # Whoever looks at these takes long, so the kill comes in the middle, however quick the rest is.
    Image.new("L", (9000, 9000)).save(slow[0], format="PNG", compress_level=1)
    for path in slow[1:]:
        path.write_bytes(slow[0].read_bytes())
    arguments = ("prepare", "mimic-cxr", "--root", root, "--out")
    part = tmp_path / "killed" / "studies.jsonl.part"
    process = subprocess.Popen(
        [sys.executable, "-m", "radflow", *map(str, arguments), part.with_suffix(""), "--workers", "2"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    while not part.exists() or len(part.read_bytes().splitlines()) < 150:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    for path in slow:
        path.write_bytes(content)
    left = sorted(path.name for path in part.parent.iterdir())
    assert left == [".studies.jsonl.lock", "studies.jsonl.part"]
    assert command(*arguments, part.with_suffix(""), "--workers", 1)[0] == 0
    assert command(*arguments, tmp_path / "whole" / "studies.jsonl", "--workers", 1)[0] == 0
    for name in ("studies.jsonl", "studies.rejected.jsonl"):
        assert (part.parent / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not part.exists()


def test_options_of_an_adapter(command: Command, mimic: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (mimic / "files").rename(tmp_path / "elsewhere" / "pictures")
    status, out, _ = command(
        *("prepare", "mimic-cxr", "--root", mimic, "--out", "s", "--images", "elsewhere/pictures"),
        *("--reports=elsewhere/pictures", "--views", "frontal", "--max-images", 2, "--workers", 1),
    )
    assert status == 0
    assert out.startswith("mimic-cxr: 3 of 6 studies -> s/studies.jsonl\n"), "a folder gets studies.jsonl"


def test_a_contact_sheet(command: Command, mimic: Path, tmp_path: Path) -> None:
    status, out, _ = command("prepare", "mimic-cxr", "--root", mimic, "--contact-sheet", "sheet.png")
    assert status == 0
    assert out.splitlines()[-1] == "  contact sheet: sheet.png"
    assert (tmp_path / "sheet.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mimic-cxr",), "mimic-cxr: expected the folder of the data set; say --root DIR"),
        (
            ("mimic-cxr", "--root", "gone"),
            "gone: no such folder; expected the root of the data set mimic-cxr",
        ),
        (("mimic-cxr", "--root", "."), "expected MIMIC-CXR with mimic-cxr-2.*-split.csv.gz"),
        (
            ("mimic-cxr", "--root", ".", "--section", "any"),
            "--section: mimic-cxr has no such option; it takes --views, --max-images, --sections, --reports, "
            "--images. Did you mean 'sections'?",
        ),
        (("mimic-cxr", "--root", ".", "--seed", "3"), "--seed: mimic-cxr has no such option"),
        (
            ("mimic-cxr", "--root", ".", "--sections", "all"),
            "--sections: expected one of both, any, got 'all'",
        ),
        (("mimic-cxr", "--root", ".", "--max-images", "0"), "--max-images: expected at least 1, got 0"),
        (("mimic-cxr", "--root", ".", "--workers", "0"), "--workers: expected at least 1, got 0"),
        (("mimic", "--root", "."), "got 'mimic'. Did you mean 'mimic-cxr'?"),
        (("open-i", "--root", "."), "--root: open-i has no such option"),
        (("carotid-phantom", "--views", "all"), "--views: carotid-phantom has no such option"),
        (("carotid-phantom", "--sections", "any"), "--sections: carotid-phantom has no such option"),
    ],
)
def test_errors_are_one_line(command: Command, arguments: tuple[str, ...], message: str) -> None:
    status, _, err = command("prepare", *arguments)
    assert status == 1
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("source", [name for name in SOURCES if name not in ("carotid-phantom", "open-i")])
def test_every_data_set_on_disk_takes_the_shared_options(source: str) -> None:
    options = PrepareOptions(out=Path("s.jsonl"), views="all", max_images=2, extra={})
    assert source_options(source, options) == {"views": "all", "max_images": 2}


def test_texts_become_what_an_adapter_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_fake(
        root: Path,
        *,
        columns: dict[str, str] | None = None,
        limit: int | None = None,
        share: float = 0.5,
        folder: Path | None = None,
        strict: bool = False,
        word: str = "",
    ) -> Source:
        raise NotImplementedError

    module = ModuleType("fake_options")
    setattr(module, "open_fake", open_fake)  # noqa: B010
    monkeypatch.setitem(sys.modules, "fake_options", module)
    monkeypatch.setitem(SOURCES, "fake", "fake_options:open_fake")

    def options(**extra: str) -> dict[str, object]:
        return source_options("fake", PrepareOptions(out=Path("s.jsonl"), extra=extra))

    assert options(
        **{"columns.report": "TEXT", "columns.id": "Accession"},
        limit="3",
        share="0.25",
        folder="x/y",
        strict="true",
        word="3",
    ) == {
        "columns": {"report": "TEXT", "id": "Accession"},
        "limit": 3,
        "share": 0.25,
        "folder": Path("x/y"),
        "strict": True,
        "word": "3",
    }
    with pytest.raises(RecipeError, match="--limit: expected a number, got 'many'"):
        options(limit="many")
    with pytest.raises(RecipeError, match=r"--columns: expected --columns\.KEY VALUE, got 'TEXT'"):
        options(columns="TEXT")
    with pytest.raises(RecipeError, match="--strict: expected true or false, got 'yes'"):
        options(strict="yes")


def test_progress_in_a_log_is_some_lines_and_not_one_a_study(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def studies(root: Path) -> Iterator[Study | Rejected]:
        yield from (Rejected(f"r{number}", "no report") for number in range(9_999))
        yield read_manifest(root / "one.jsonl").studies[0]

    row = {"study_id": "s", "patient_id": "p", "split": "test", "images": ["one.png"], "report": "Clear."}
    Image.new("L", (4, 4)).save(tmp_path / "one.png")
    (tmp_path / "one.jsonl").write_text(json.dumps(row) + "\n")
    module = ModuleType("fake_source")
    monkeypatch.setitem(sys.modules, "fake_source", module)
    monkeypatch.setitem(SOURCES, "fake", "fake_source:open_fake")
    for total, lines in ((10_000, 20), (None, 1)):
        source = Source(total=total, studies=studies(tmp_path))
        setattr(module, "open_fake", lambda root, source=source: source)  # noqa: B010
        status, _, err = command("prepare", "fake", "--root", tmp_path, "--workers", 1)
        assert status == 0, err
        assert len(err.splitlines()) == lines
        assert err.splitlines()[-1].startswith("prepare: 10,000")
