import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.errors import DataError, MissingFileError
from radflow.reports.files import read_rows
from radflow.tables.rows import Remarks
from radflow.tables.writing import marked

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=30)


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def fields(path: Path) -> list[dict]:
    return [dict(row.fields) for row in read_rows(path)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@given(rows=st.lists(st.tuples(CELLS, CELLS).filter(lambda r: "".join(r).strip()), min_size=1, max_size=5))
def test_tables_survive_every_separator(
    delimiter: str, rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["study_id", "report"])
    writer.writerows([[marked(cell) for cell in row] for row in rows])  # else '=1 is read as =1
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(text.getvalue().encode())
    assert [(row["study_id"], row["report"]) for row in fields(path)] == rows


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["", "bom"])
@pytest.mark.parametrize("squeeze", [bytes, gzip.compress], ids=["", "gz"])
def test_a_mark_at_the_start_and_gzip_change_nothing(bom: bytes, squeeze, write) -> None:
    path = write("r.csv.gz" if squeeze is gzip.compress else "r.csv", squeeze(bom + b"id,report\n1,Clear.\n"))
    assert fields(path) == [{"id": "1", "report": "Clear."}]


def test_a_report_of_a_megabyte_is_read(write) -> None:
    report = "No effusion. " * 80_000
    assert fields(write("r.csv", f"id,report\n1,{report}\n"))[0]["report"] == report


def test_a_plain_text_file_has_one_report_a_line(write) -> None:
    rows = list(read_rows(write("r.txt", "Clear.\r\n\n  Small effusion. \n")))
    assert [(r.fields["study_id"], r.fields["report"]) for r in rows] == [
        ("1", "Clear."),
        ("3", "Small effusion."),
    ]
    assert rows[1].where.endswith("r.txt:3")


@pytest.mark.parametrize(
    "report",
    [
        "FINDINGS:\nThe lungs are clear.\n\nIMPRESSION:\nNormal chest.\n",
        "CHEST\n\nFindings: The lungs are clear.\nNo effusion.\nImpression: Normal.\n",
    ],
)
def test_one_report_over_several_lines_is_one_report(report: str, write) -> None:
    assert fields(write("s5.txt", report)) == [{"study_id": "s5", "report": report.strip()}]


def test_lines_with_both_sections_are_reports_each(write) -> None:
    line = "Findings: Clear. Impression: Normal.\n"
    assert len(fields(write("r.txt", line * 3))) == 3


def test_a_folder_holds_one_report_a_file(write, tmp_path: Path) -> None:
    write("files/p10/p1/s2.txt", "FINDINGS:\nClear.\n")
    write("files/p10/p1/s1.txt", "Effusion.\nEdema.\n")
    write("files/index.html", "x")
    assert fields(tmp_path / "files") == [
        {"study_id": "s1", "report": "Effusion.\nEdema."},
        {"study_id": "s2", "report": "FINDINGS:\nClear."},
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.csv", b"id,report\n1,a\n2,\x81\n", r"r\.csv:3: not utf-8.*save it as UTF-8"),
        ("r.txt", b"Clear.\n\x81\n", r"r\.txt:2: not utf-8"),
        ("r.jsonl", b'{"report": "\xe9"}\n', r"r\.jsonl:1: expected UTF-8 text"),
        ("r.xls", b"id,report\n", r"r\.xls: expected a table or text; save the workbook as"),
        ("r.csv", 'id,report\n1,"a\n2,b\n', r"r\.csv:2: expected CSV, got unexpected end of data"),
        ("r.csv", "id,id\n1,2\n", r"r\.csv:1: expected each column once, got id twice"),
        ("r.csv", "id;report\n1;a;b\n", r"r\.csv:2: expected 2 fields as in the first line, got 3"),
        (
            "r.csv.gz",
            gzip.compress(b"id,report\n" + b"1,a\n" * 9999, mtime=0)[:-30],
            r"r\.csv\.gz: expected a whole gzip",
        ),
        ("r.jsonl.gz", b"{}", r"r\.jsonl\.gz: expected a whole gzip file, got Not a gzipped file"),
        ("r.jsonl", '{"id": 1}\n[' + "[" * 100_000, r"r\.jsonl:2: expected JSON"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(name: str, content: str | bytes, message: str, write) -> None:
    with pytest.raises(DataError, match=message):
        fields(write(name, content))


HALF = '{"study_id": "b", "report": "\\ud800"}'


def test_what_no_file_can_hold_is_set_aside_and_said(write) -> None:
    remarks = Remarks()
    rows = [row.fields for row in read_rows(write("r.jsonl", f'{{"study_id": "a"}}\n{HALF}\n'), remarks)]
    assert rows == [{"study_id": "a"}]
    [line] = remarks.lines()
    assert line.startswith("rows set aside: half a surrogate pair")
    assert line.endswith("r.jsonl:2)")
    assert fields(write("r.json", '{"\\udfff": {"report": "x"}, "c": {"report": "y"}}')) == [
        {"study_id": "c", "report": "y"}
    ]
    with pytest.raises(DataError, match=r"only\.jsonl:1: expected text, got half a surrogate pair"):
        list(read_rows(write("only.jsonl", HALF)))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.csv: no such file"):
        fields(tmp_path / "none.csv")
    with pytest.raises(MissingFileError, match=r"found no \.txt in it"):
        fields(tmp_path)


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.txt"])
def test_memory_does_not_grow_with_the_file(name: str, write) -> None:
    report = "Clear. " * 10
    rows = {
        "r.csv": f"1,{report}\n",
        "r.jsonl": json.dumps({"report": report}) + "\n",
        "r.txt": f"{report}\n",
    }

    def peak(count: int) -> int:
        path = write(name, ("id,report\n" if name == "r.csv" else "") + rows[name] * count)
        tracemalloc.start()
        for _ in read_rows(path):
            pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    # 4,000 rows more are 280 KB of text; a garbage collection or a cache filled by another test is some KB.
    assert peak(5_000) < peak(1_000) + 140_000
