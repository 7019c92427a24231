import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from radflow.readers import CHEXPERT_OBSERVATIONS

CASES = """study_id,findings,impression
a,"No pneumothorax. Heart is enlarged.","Cannot exclude pneumonia."
b,"The lungs are clear.",
c,,
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "r.csv").write_text(CASES)
    (tmp_path / "r.txt").write_text("No edema.\n\nPossible pneumonia.\n")
    return tmp_path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_labels_are_a_table_in_the_order_of_the_observations(command: Callable, folder: Path) -> None:
    status, out, _ = command("label", "r.txt")
    first, second = csv.DictReader(out.splitlines())
    assert status == 0
    assert tuple(first) == ("study_id", *CHEXPERT_OBSERVATIONS)
    assert (first["study_id"], first["Edema"], first["Fracture"]) == ("1", "0", "")
    assert (second["study_id"], second["Pneumonia"]) == ("3", "-1")


def test_labels_go_to_a_file_and_follow_the_modality(command: Callable, folder: Path) -> None:
    (folder / "u.csv").write_text("id;Report\n7;Left: no plaque.\n")
    status, out, err = command("label", "u.csv", "--modality", "carotid-us", "--out", "l.csv")
    assert (status, out) == (0, "")
    assert "1 reports read by carotid-labels; wrote l.csv" in err
    [row] = rows(folder / "l.csv")
    assert (row["study_id"], row["left plaque"]) == ("7", "0")


def test_two_sections_are_one_report_and_an_empty_one_has_no_labels(command: Callable, folder: Path) -> None:
    _, _, err = command("label", "r.csv", "--out", "l.csv")
    both, one, none = rows(folder / "l.csv")
    assert (both["Cardiomegaly"], both["Pneumonia"], both["Pneumothorax"]) == ("1", "-1", "0")
    assert one["No Finding"] == "1"
    assert set(none.values()) == {"c", ""}
    assert "warning: 1 of 3 texts are empty" in err


@pytest.mark.parametrize("name", ["r.csv", "whole.jsonl"])
def test_one_section_can_be_labelled(name: str, command: Callable, folder: Path) -> None:
    report = "Findings: No pneumothorax. Heart is enlarged. Impression: Cannot exclude pneumonia."
    (folder / "whole.jsonl").write_text(json.dumps({"id": "a", "report": report}))
    command("label", name, "--section", "impression", "--out", "l.csv")
    row = rows(folder / "l.csv")[0]
    assert {k for k, v in row.items() if v} == {"study_id", "Pneumonia"}


def test_a_column_with_another_name_is_named(command: Callable, folder: Path) -> None:
    (folder / "own.csv").write_text("uid,Befund\n9,No edema.\n")
    _, out, _ = command("label", "own.csv", "--column", "befund")
    [row] = csv.DictReader(out.splitlines())
    assert (row["study_id"], row["Edema"]) == ("9", "0")


def test_ids_are_named_or_said_to_be_numbers(command: Callable, folder: Path) -> None:
    (folder / "own.csv").write_text("exam;Befund\n9;No edema.\n;;\n8;Edema.\n")
    _, out, err = command("label", "own.csv", "--report-column", "Befund", "--id-column", "EXAM")
    assert [row["study_id"] for row in csv.DictReader(out.splitlines())] == ["9", "8"]
    assert err == "note: empty rows, passed over: 1 (first: own.csv:3)\n"
    _, out, err = command("label", "own.csv", "--report-column", "befund")
    assert [row["study_id"] for row in csv.DictReader(out.splitlines())] == ["1", "2"]
    assert "reports without an id, named by their number (--id-column names it): 2 (first: own.csv:2)" in err
    status, _, err = command("label", "own.csv", "--report-column", "Befund", "--id-column", "exams")
    assert status == 1
    assert (
        "own.csv:2: expected a column 'exams' for --id-column, found exam, Befund. Did you mean 'exam'" in err
    )


def test_every_format_gives_the_same_labels(command: Callable, folder: Path) -> None:
    found = [{"id": 7, "report": "No edema."}, {"id": 8, "report": "Edema."}]
    pq.write_table(pa.Table.from_pylist(found), folder / "t.parquet")
    (folder / "shards").mkdir()
    for number, row in enumerate(found):
        pq.write_table(pa.Table.from_pylist([row]), folder / "shards" / f"{number}.parquet")
    book = openpyxl.Workbook()
    for row in (("id", " Report "), *((row["id"], row["report"]) for row in found)):
        book.active.append(row)
    book.save(folder / "t.xlsx")
    (folder / "t.json").write_text(json.dumps(found))
    (folder / "chat.jsonl").write_text(
        "".join(
            json.dumps({"id": row["id"], "messages": [{"role": "assistant", "content": row["report"]}]})
            + "\n"
            for row in found
        )
    )
    outs = {command("label", name)[1] for name in ("t.parquet", "shards", "t.xlsx", "t.json", "chat.jsonl")}
    [out] = outs
    assert [(row["study_id"], row["Edema"]) for row in csv.DictReader(out.splitlines())] == [
        ("7", "0"),
        ("8", "1"),
    ]


def test_explain_shows_phrase_scope_and_rule(command: Callable, folder: Path) -> None:
    status, out, _ = command("label", "r.csv", "--explain")
    assert status == 0
    assert "'pneumothorax': 'No' before it denies" in out
    assert "'pneumonia': 'Cannot exclude' before it hedges" in out
    assert "'Heart' is 'enlarged'" in out
    assert "nothing was read in it" in out  # study c


def test_evidence_is_a_second_table_whose_positions_are_in_the_text(command: Callable, folder: Path) -> None:
    _, _, err = command("label", "r.csv", "--explain", "--out", "l.csv")
    assert "wrote l.csv, l.evidence.csv" in err
    text = "Findings: No pneumothorax. Heart is enlarged. Impression: Cannot exclude pneumonia."
    found = [row for row in rows(folder / "l.evidence.csv") if row["study_id"] == "a"]
    assert [(row["name"], row["state"], row["cue"]) for row in found] == [
        ("Pneumothorax", "0", "No"),
        ("Cardiomegaly", "1", ""),
        ("Pneumonia", "-1", "Cannot exclude"),
    ]
    assert all(text[int(row["start"]) : int(row["end"])] == row["phrase"] for row in found)
    plain = command("label", "r.csv")[1]
    assert (folder / "l.csv").read_text() == plain


def test_the_page_highlights_and_never_runs_what_a_report_says(command: Callable, folder: Path) -> None:
    (folder / "x.jsonl").write_text('{"id": "<b>x</b>", "report": "No edema <script>alert(1)</script>."}')
    command("label", "x.jsonl", "--page", "x.html")
    page = (folder / "x.html").read_text()
    assert '<mark class="denied" title="Edema: denied' in page
    assert "<script" not in page
    assert "<b>x</b>" not in page


def test_more_than_a_chunk_is_labelled_from_gzip(command: Callable, folder: Path) -> None:
    lines = "".join(f'{{"id": {i}, "text": "{"No e" if i % 2 else "E"}dema."}}\n' for i in range(600))
    (folder / "many.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    command("label", "many.jsonl.gz", "--out", "l.csv")
    assert [row["Edema"] for row in rows(folder / "l.csv")] == ["1", "0"] * 300


def test_a_lexicon_of_ones_own_adds_phrases(command: Callable, folder: Path) -> None:
    (folder / "own.toml").write_text(
        '[[finding]]\nname = "Edema"\nphrases = ["wet lung"]\nexample = "Wet lung."\n'
    )
    (folder / "w.txt").write_text("No wet lung.\n")
    _, out, _ = command("label", "w.txt", "--lexicon", "own.toml")
    assert next(csv.DictReader(out.splitlines()))["Edema"] == "0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.txt",), "none.txt: no such file"),
        (("empty.txt",), "empty.txt: expected reports, found none"),
        (("r.csv", "--out", "way/l.csv"), "way/l.csv: cannot be written (File exists)"),
        (("bad.csv",), "bad.csv:2: expected the report in a column model_prediction"),
        (
            ("bad.csv", "--column", "word"),
            "'word' for --report-column, found id, words. Did you mean 'words'?",
        ),
        (("half.jsonl", "--out", "l.csv"), "half.jsonl:2: expected JSON"),
        (("number.jsonl",), "number.jsonl:1: 'report' should be text, got 5"),
        (("r.csv", "--reader", "chexbert:none", "--explain"), "need a reader by rules"),
        (("r.csv", "--reader", "radgraph-rules", "--lexicon", "own.toml"), "drop one"),
        (("r.csv", "--reader", "chexpert-rule"), "Did you mean 'chexpert-rules'?"),
        (("r.csv", "--lexicon", "none.toml"), "none.toml"),
        (("r.csv", "--reader", "radgraph-rules"), "radgraph-rules gives something else"),
        (("r.csv", "--reader", "carotid-terms"), "carotid-terms gives something else"),
        (("r.csv", "--reader", "criticality-rules"), "criticality-rules gives something else"),
    ],
)
def test_what_cannot_be_read_or_written_is_one_line_and_leaves_nothing(
    arguments: tuple[str, ...], message: str, command: Callable, folder: Path
) -> None:
    (folder / "way").write_text("a file in the way")
    (folder / "empty.txt").write_text("")
    (folder / "bad.csv").write_text("id,words\n1,No edema.\n")
    (folder / "half.jsonl").write_text('{"id": 1, "report": "No edema."}\n{"id": 2')
    (folder / "number.jsonl").write_text('{"id": 1, "report": 5}')
    before = sorted(path.name for path in folder.iterdir())
    status, _, err = command("label", *arguments)
    assert status == 1
    assert message in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == before
