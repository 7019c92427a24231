import csv
import json
from pathlib import Path

import pytest

from radflow.errors import DataError
from radflow.evaluation.files.predictions import read_predictions
from radflow.evaluation.files.rexrank import scored_text, submitted_text, write_submission

RECORDS = {
    "a 1": {
        "section_findings": "Clear.",
        "section_impression": "Normal.",
        "report": "Findings: Clear. Impression: Normal.",
        "context": "Indication: cough",
        "image_path": ["a/0.png"],
    },
    "b": {"section_findings": None, "section_impression": "Edema.", "report": "x", "context": None},
    "c": {"section_findings": "Mass.", "section_impression": None, "report": "x"},
}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "test.json"
    path.write_text(json.dumps(RECORDS))
    return path


@pytest.mark.parametrize(
    ("text", "both", "findings"),
    [
        ("FINDINGS: Clear.\nIMPRESSION: Normal.", "Findings: Clear. Impression: Normal.", "Clear."),
        ("Findings: Clear. Impression: None", "Findings: Clear. Impression: None", "Clear."),
        ("Findings: None Impression: Normal.", "Findings: None Impression: Normal.", ""),
        ("Impression: Normal.", "Impression: Normal.", ""),
        ("Findings: Clear.", "Findings: Clear.", "Clear."),
        ("Clear lungs.", "Clear lungs.", "Clear lungs."),
    ],
)
def test_what_each_track_scores(text: str, both: str, findings: str) -> None:
    assert (scored_text(text), scored_text(text, "findings")) == (both, findings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Impression: Normal.", "Findings: None Impression: Normal."),
        ("Findings: Clear.", "Findings: Clear. Impression: None"),
        ("Impression: a. Findings: b.", "Impression: a. Findings: b."),
        ("", ""),
    ],
)
def test_a_missing_section_is_submitted_as_none(text: str, expected: str) -> None:
    assert submitted_text(text) == expected


def test_an_unknown_track_is_an_error() -> None:
    with pytest.raises(DataError, match="findings\\+impression, findings; got 'both'"):
        scored_text("x", "both")


def test_a_submission_keeps_every_field_and_is_read_back(records: Path, tmp_path: Path) -> None:
    said = {"a 1": "FINDINGS: Clear.\nIMPRESSION: None", "b": "IMPRESSION: Edema."}
    path = tmp_path / "submission.json"
    assert write_submission(path, records, said.get) == (2, 1)
    submission = json.loads(path.read_text())
    assert {n: v for n, v in submission["a 1"].items() if n != "model_prediction"} == RECORDS["a 1"]
    found = {p.study_id: (p.text, p.reference, p.context) for p in read_predictions(path)}
    assert found == {
        "a 1": (
            "Findings: Clear. Impression: None",
            "Findings: Clear. Impression: Normal.",
            "Indication: cough",
        ),
        "b": ("Findings: None Impression: Edema.", "Findings: None Impression: Edema.", None),
    }


def test_the_flat_form_has_an_id_and_a_report(records: Path, tmp_path: Path) -> None:
    path = tmp_path / "flat.csv"
    write_submission(path, records, {"c": 'Clear, "normal".\nNo mass.'}.get)
    with path.open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"study_id": "c", "report": 'Clear, "normal".\nNo mass.'}]


@pytest.mark.parametrize("name", ["s.jsonl", "s.json.gz", "s"])
def test_another_ending_is_an_error(name: str, records: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a name ending in \.json"):
        write_submission(tmp_path / name, records, RECORDS.get)


def test_a_list_is_no_formula_in_the_csv_and_as_it_is_in_the_json(tmp_path: Path) -> None:
    report = "- No effusion.\n- No pneumothorax."
    records = tmp_path / "records.jsonl"
    records.write_text('{"study_id": "=1+1", "report": "x"}\n')
    write_submission(tmp_path / "s.csv", records, lambda study: report)
    write_submission(tmp_path / "s.json", records, lambda study: report)
    assert (tmp_path / "s.csv").read_text() == f"study_id,report\n'=1+1,\"'{report}\"\n"
    assert json.loads((tmp_path / "s.json").read_text())["=1+1"]["model_prediction"] == report
    for name in ("s.csv", "s.json"):
        [read] = read_predictions(tmp_path / name)
        assert (read.study_id, read.text) == ("=1+1", report)
