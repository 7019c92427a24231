import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.errors import DataError, MissingFileError
from radflow.evaluation.files.predictions import (
    Columns,
    Prediction,
    read_predictions,
)
from radflow.evaluation.files.store import ReportStore

RECORD = {"study_id": "s 1", "prediction": "Clear.", "reference": "Normal."}


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def as_csv(*rows: dict) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


FORMATS = {
    "r.csv": as_csv(RECORD),
    "r.CSV": as_csv(RECORD),
    "r.jsonl": json.dumps(RECORD) + "\n\n",
    "r.ndjson": json.dumps(RECORD),
    "list.json": json.dumps([RECORD]),
    "rexrank.json": json.dumps({"s 1": {"model_prediction": "Clear.", "reference": "Normal."}}),
}


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["", "bom"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_record(name: str, bom: bytes, write) -> None:
    path = write(name, bom + FORMATS[name].encode())
    assert list(read_predictions(path)) == [Prediction(study_id="s 1", text="Clear.", reference="Normal.")]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\0")), min_size=1, max_size=5))
def test_texts_survive_csv_and_jsonl(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("p")
    rows = [{"study_id": f"s{i}", "prediction": text} for i, text in enumerate(texts)]
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "p.csv").write_text(as_csv(*rows), encoding="utf-8", newline="")
    expected = [text if text.strip() else "" for text in texts]
    assert [p.text for p in read_predictions(folder / "p.jsonl")] == expected
    assert [p.text for p in read_predictions(folder / "p.csv")] == expected


def test_a_rexrank_reference_is_its_two_sections(write) -> None:
    rows = {
        "a": {"section_findings": "Clear.", "section_impression": "Normal.", "model_prediction": "x"},
        "b": {"section_findings": None, "section_impression": "Normal.", "model_prediction": "y"},
    }
    first, second = read_predictions(write("r.json", json.dumps(rows)))
    assert first.reference == "Findings: Clear. Impression: Normal."
    assert second.reference == "Findings: None Impression: Normal."


@pytest.mark.parametrize(("ours", "theirs"), [("", "section_"), ("generated_", "reference_")])
def test_sections_in_columns_of_their_own(ours: str, theirs: str, write) -> None:
    columns = [f"{side}{section}" for side in (ours, theirs) for section in ("Findings", "Impression")]
    rows = ["a,Clear.,Normal.,Edema.,Failure.", "b,,Normal.,Edema.,", "c,,,Edema.,Failure."]
    whole, half, nothing = read_predictions(
        write("p.csv", "\n".join([f"id,{','.join(columns)}", *rows]) + "\n")
    )
    assert (whole.text, whole.reference) == (
        "Findings: Clear. Impression: Normal.",
        "Findings: Edema. Impression: Failure.",
    )
    assert (half.text, half.reference) == ("Impression: Normal.", "Findings: Edema. Impression: None")
    assert nothing.text == ""  # the system wrote nothing: it is not given the reference


def test_sections_alone_are_the_reference_of_a_file_of_references(write) -> None:
    [record] = read_predictions(write("r.csv", "id,findings,impression\n7,Clear.,Normal.\n"))
    assert record.truth == "Findings: Clear. Impression: Normal."


def test_a_file_of_references_alone(write) -> None:
    [record] = read_predictions(write("r.csv", "id,ground_truth\n7,Normal.\n"))
    assert record == Prediction(study_id="7", text="Normal.", reference="Normal.")


@pytest.mark.parametrize("nothing", ["null", "NaN", '""', '"  "'])
def test_a_system_that_wrote_nothing_is_not_given_the_reference(nothing: str, write) -> None:
    line = f'{{"study_id": "a", "prediction": {nothing}, "reference": "Normal."}}'
    assert list(read_predictions(write("p.jsonl", line))) == [
        Prediction(study_id="a", text="", reference="Normal.")
    ]


@pytest.mark.parametrize("nothing", ["null", "NaN", '""'])
def test_a_study_without_a_reference_is_left_out_and_said_to_be(nothing: str, write) -> None:
    lines = (
        f'{{"id": "a", "text": "x", "reference": {nothing}}}\n{{"id": "b", "text": "y", "reference": "z"}}'
    )
    with ReportStore(read_predictions(write("p.jsonl", lines))) as store:
        assert [(p.study_id, p.reference) for p in store[0:9]] == [("b", "z")]
        assert [u.study_id for u in store.unpaired()] == ["a"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", "x", r"p\.txt: expected a name ending in \.csv, .*\.json"),
        ("p.csv", "", r"p\.csv: expected reports, found none"),
        ("p.json", "{}", r"p\.json: expected reports, found none"),
        ("p.json", "", r"p\.json: expected JSON"),
        ("p.json", "3", r"p\.json: expected JSON, at byte 0.* expected { or \[, got '3'"),
        ("p.json", '[{"id": 1, "text": "x"}, 2]', r"p\.json: record 2: expected an object"),
        ("p.json", '{"a": {"text": "x"}, "a": {"text": "y"}}', r"p\.json: 'a' stands twice"),
        ("p.jsonl", '{"id": 1, "text": "x"}\n{"id"', r"p\.jsonl:2: expected JSON"),
        ("p.jsonl", '{"id": 1, "text": 5}', r"p\.jsonl:1: 'text' should be text, got 5"),
        ("p.jsonl", '{"id": 1, "text": "\\ud800"}', r"p\.jsonl:1: expected text, got half a surrogate pair"),
        ("p.csv", b"id,text\n1,\x81\n", r"p\.csv:2: not utf-8"),
        ("p.csv", "id,text\n1,a\n1,b\n", r"p\.csv:3: study '1' stands there already at .*p\.csv:2"),
        ("p.csv", "id,text\n,a\n", r"p\.csv:2: expected a study id in one of study_id, .*; found id, text"),
        ("p.csv", "text\na\n", r"p\.csv:2: expected a study id"),
        ("p.csv", "id,words\n1,a\n", r"p\.csv:2: expected a report in one of model_prediction"),
        ("p.csv", "id,text\n1\n", r"p\.csv:2: expected 2 fields as in the first line, got 1"),
        ("p.csv", "id,text\n1,a, b\n", r"p\.csv:2: expected 2 fields as in the first line, got 3"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(name: str, content: str, message: str, write) -> None:
    with pytest.raises(DataError, match=message):
        list(read_predictions(write(name, content)))


def test_patient_indication_and_split_are_read(write) -> None:
    path = write("p.csv", "study_id,subject_id,indication,split,report\n1,17,Cough.,test,Clear.\n")
    [found] = read_predictions(path)
    assert (found.patient_id, found.context, found.split) == ("17", "Cough.", "test")


def test_columns_with_other_names(write) -> None:
    path = write("p.csv", "Exam No;Out;Truth\n1;Clear.;Normal.\n")
    named = Columns(study_id="exam no", report="out", reference="truth")
    expected = Prediction(study_id="1", text="Clear.", reference="Normal.")
    assert list(read_predictions(path, named)) == [expected]
    usual = write("r.csv", "id,report,reference\n1,Clear.,Normal.\n")
    with pytest.raises(DataError, match=r"r\.csv:2: expected a column 'exam no' for --id-column"):
        list(read_predictions(usual, named))
    assert list(read_predictions(usual, replace(named, required=False))) == [expected]


def test_numbers_as_ids_are_the_same_whatever_wrote_them(write) -> None:
    [whole] = read_predictions(write("a.jsonl", '{"id": 1, "text": "x"}'))
    [broken] = read_predictions(write("b.jsonl", '{"id": 1.0, "text": "x"}'))
    assert whole.study_id == broken.study_id == "1"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.csv: no such file"):
        list(read_predictions(tmp_path / "none.csv"))
