"""Whatever a file of text holds, reading it ends in one line and within the stated memory."""

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from radflow.errors import DataError
from radflow.reports.files import read_rows
from radflow.studies.manifest import read_manifest
from radflow.tables import open_table, opening
from radflow.tables.opening import lines, opened, too_long

MIB = 2**20
READ = """
import resource, sys
from pathlib import Path
from radflow.errors import DataError
from radflow.evaluation.files.predictions import read_predictions
from radflow.reports.files import read_rows
from radflow.studies.manifest import read_manifest
from radflow.tables import open_table
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[3]) * 2**20,) * 2)
path = Path(sys.argv[2])
readers = {
    "rows": lambda: sum(1 for _ in read_rows(path)),
    "predictions": lambda: list(read_predictions(path)),
    "manifest": lambda: read_manifest(path, check_images=False),
    "table": lambda: print([row.problem for row in open_table(path).rows()]),
}
try:
    readers[sys.argv[1]]()
except DataError as error:
    print(error)
"""


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "tables.opening",
        "tables.delimited",
        "tables.json_rows",
        "tables.json_records",
        "reports.files",
    ):
        monkeypatch.setattr(f"radflow.{name}.LONGEST", 1000)
    monkeypatch.setattr("radflow.tables.json_records._PIECE", 100)
    monkeypatch.setattr(opening, "_UNPACKED", 5000)
    monkeypatch.setattr(opening, "_RATIO", 10)


def test_a_long_line_spoils_only_itself(small_bounds: None) -> None:
    file = io.BytesIO(b"a\n" + b"b" * 5000 + b"\n" + b"c" * 999 + b"\nd")
    found = list(lines(file))
    assert [(line[:1], len(line), too_long(line)) for line in found] == [
        (b"a", 2, False),
        (b"b", 1000, True),
        (b"c", 1000, False),
        (b"d", 1, False),
    ]


def test_a_packed_file_is_read_and_sought_as_a_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "r.csv.gz"
    content = b"".join(b"%d,report\n" % number for number in range(10_000))
    path.write_bytes(gzip.compress(content))
    with opened(path) as file:
        assert file.read() == content
        file.seek(content.index(b"77,"))
        assert file.readline() == b"77,report\n"
        assert file.tell() == content.index(b"78,")


@pytest.mark.parametrize("name", ["r.csv.gz", "r.jsonl.gz", "r.json.gz", "r.txt.gz"])
def test_a_file_that_unpacks_to_more_than_it_can_hold_is_refused(
    name: str, tmp_path: Path, small_bounds: None
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b" \n" * 50_000))
    with pytest.raises(DataError, match=rf"{name}: .*gzip file that unpacks to more than 5,000 bytes"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.csv", "id,report\n1," + "a" * 2000 + "\n"),
        ("r.csv", 'id,report\n1,"a' + "\na" * 2000),
        ("r.csv", "id" + ",a" * 2000),
        ("r.jsonl", json.dumps({"id": "a" * 2000})),
        ("r.json", json.dumps([{"id": "a" * 2000}])),
        ("r.json", json.dumps({"a" * 2000: {}})),
        ("r.txt", "a" * 70_000),
    ],
)
def test_a_record_that_is_too_long_is_refused(
    name: str, content: str, tmp_path: Path, small_bounds: None
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=rf"{name}: ?.*1,000 bytes"):
        list(read_rows(tmp_path / name))


def test_a_report_of_one_file_is_bounded(tmp_path: Path, small_bounds: None) -> None:
    (tmp_path / "s1.txt").write_text("Clear.\n" * 200)
    with pytest.raises(DataError, match=r"s1\.txt:143: expected one report, got more than 1,000 bytes"):
        list(read_rows(tmp_path))


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000])
@pytest.mark.parametrize("name", ["r.json", "r.jsonl"])
def test_a_number_of_too_many_digits_is_no_traceback(name: str, number: str, tmp_path: Path) -> None:
    record = f'{{"id": {number}}}'
    (tmp_path / name).write_text(f"[{record}]" if name == "r.json" else record)
    with pytest.raises(DataError, match=rf"{name}:.*expected JSON.*Exceeds the limit"):
        list(read_rows(tmp_path / name))


def test_rows_of_a_table_and_lines_of_a_manifest_are_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "LONGEST", 300)
    good = {"study_id": "s1", "patient_id": "p1", "images": ["a.png"], "split": "train", "report": "Clear."}
    content = "x" * 700 + "\n" + json.dumps(good) + "\n"
    path = tmp_path / "m.jsonl"
    path.write_text(content)
    problems = [row.problem for row in open_table(path).rows()]
    assert "a line of more than" in str(problems[0])
    assert problems[1] is None
    manifest = read_manifest(path, check_images=False, max_bad_share=0.5)
    assert [study.study_id for study in manifest.studies] == ["s1"]
    assert "m.jsonl:1: expected one study, got a line of more than" in manifest.rejected[0].reason


def _bomb(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(b"\0" * MIB)


def _endless(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b'study_id,report\n1,"')
        file.truncate(300 * MIB)  # a hole: no disk is taken


def _lists(path: Path) -> None:
    path.write_bytes(b'{"study_id": [' + b"[]," * (opening.LONGEST // 3 - 10) + b"[]]}")


@pytest.mark.parametrize(
    ("reader", "name", "make", "mebibytes"),
    [
        ("rows", "r.csv.gz", _bomb, 256),
        ("predictions", "r.json.gz", _bomb, 256),
        ("table", "r.csv", _endless, 256),
        ("rows", "r.csv", _endless, 256),
        ("manifest", "r.jsonl", _endless, 256),
        ("predictions", "r.jsonl", _lists, 1024),
    ],
)
def test_reading_ends_in_one_line_within_the_stated_memory(
    reader: str, name: str, make, mebibytes: int, tmp_path: Path
) -> None:
    make(tmp_path / name)
    command = [sys.executable, "-c", READ, reader, str(tmp_path / name), str(mebibytes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) <= 3
    assert name in done.stdout


def test_a_table_of_many_columns_is_read_in_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    row = ",".join(f"c{number}" for number in range(300_000))
    path.write_text(f"{row}\n{row}\n")
    [read] = read_rows(path)
    assert len(read.fields) == 300_000
