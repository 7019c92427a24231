import csv
import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from radflow.errors import DataError, MissingFileError
from radflow.evaluation.files.scores import MetricFacts, read_scores, write_scores, write_unpaired
from radflow.evaluation.files.store import Unpaired

TABLE = "study_id,patient_id,bleu2,mine\ns1,p1,0.5,1\ns2,,,2\n"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "system"
    folder.mkdir()
    (folder / "scores.csv").write_text(TABLE)
    return folder


def summarise(folder, **said):
    (folder / "scores.json").write_text(json.dumps(said))


def test_a_table_alone_is_enough(folder):
    scored = read_scores(folder)
    assert scored.system == "system"
    assert scored.patients == {"s1": "p1"}
    assert scored.values["s1"] == {"bleu2": 0.5, "mine": 1.0}
    assert np.isnan(scored.values["s2"]["bleu2"])
    assert scored.metrics["bleu2"] == MetricFacts(label="BLEU-2", higher_is_better=True, reader=None)
    assert read_scores(folder / "scores.csv").values["s1"] == scored.values["s1"]


def test_the_summary_names_system_models_and_metrics(folder):
    metric = {"label": "Mine (net)", "higher_is_better": False, "reader": "net", "mean": 1.5}
    summarise(
        folder, system="ours", track="findings", split=None, modality="chest-xray", metrics={"mine": metric}
    )
    scored = read_scores(folder)
    assert scored.system == "ours"
    assert scored.about == {"track": "findings", "modality": "chest-xray"}
    assert scored.metrics == {"mine": MetricFacts(label="Mine (net)", higher_is_better=False, reader="net")}
    assert scored.values["s1"] == {"mine": 1.0}


def test_columns_that_the_summary_does_not_call_metrics_may_hold_words(folder):
    (folder / "scores.csv").write_text("study_id,bleu2,note\ns1,0.5,fine\n")
    summarise(folder, metrics={"bleu2": {}})
    assert list(read_scores(folder).metrics) == ["bleu2"]


@pytest.fixture
def run(tmp_path):
    scores = tmp_path / "run" / "evaluation" / "scores"
    scores.mkdir(parents=True)
    row = {"study_id": "s1", "chexpert_f1": 1.0, "reward/impression": None, "reward": 2.0}
    (scores / "sft.jsonl").write_text(json.dumps(row) + "\n")
    return tmp_path / "run"


def test_a_run_gives_labels_and_patients_from_its_own_files(run):
    (run / "prepare").mkdir()
    studies = [{"study_id": "s1", "patient_id": "p1"}, {"study_id": "other", "patient_id": "p2"}]
    (run / "prepare" / "studies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in studies))
    results = {"split": "test", "labels": {"chexpert_f1": "CheXpert F1 (own)"}}
    (run / "results.json").write_text(json.dumps(results))
    scored = read_scores(run / "evaluation" / "scores" / "sft.jsonl")
    assert (scored.system, scored.patients, scored.about) == ("sft", {"s1": "p1"}, {"split": "test"})
    assert scored.metrics["chexpert_f1"].label == "CheXpert F1 (own)"
    assert scored.metrics["reward"].label == "reward"
    assert np.isnan(scored.values["s1"]["reward/impression"])


def test_scores_of_a_run_are_read_without_its_other_files(run):
    assert read_scores(run / "evaluation" / "scores" / "sft.jsonl").patients == {}


def test_a_run_is_asked_which_of_its_systems(run):
    with pytest.raises(MissingFileError, match=r"name one of them, such as .*sft\.jsonl"):
        read_scores(run)


def test_what_is_no_scored_folder_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match=r"folder with scores\.csv"):
        read_scores(tmp_path)
    with pytest.raises(MissingFileError, match="no such file or folder"):
        read_scores(tmp_path / "nothing")
    (tmp_path / "scores.xlsx").write_text("x")
    with pytest.raises(DataError, match=r"scores as \.csv or \.jsonl"):
        read_scores(tmp_path / "scores.xlsx")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("study_id,bleu2\ns1,high\n", r"scores\.csv:2: expected a finite number under 'bleu2', got 'high'"),
        ("study_id,bleu2\ns1,inf\n", "finite number"),
        ("study_id,bleu2\ns1,1\ns1,2\n", r"scores\.csv:3: expected each study once, got 's1'"),
        ("id,bleu2\ns1,1\n", "expected a study id under 'study_id', got id, bleu2"),
        ("study_id,bleu2\n", "at least one metric"),
        ("study_id\ns1\n", "at least one metric"),
    ],
)
def test_broken_tables_are_refused_with_their_place(folder, table, said):
    (folder / "scores.csv").write_text(table)
    with pytest.raises(DataError, match=said):
        read_scores(folder)


def test_a_broken_summary_is_refused(folder):
    (folder / "scores.json").write_text("[]")
    with pytest.raises(DataError, match="expected a JSON object"):
        read_scores(folder)


SCORES = {"bleu2": np.array([1 / 3, math.nan]), "radcliq_v1": np.array([-1e-17, 2.0])}


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_floats_survive_and_nan_is_blank(tmp_path: Path) -> None:
    path = write_scores(tmp_path, ["a, b", "c"], [None, None], SCORES)[0]
    header, first, second = rows(path)
    assert header == ["study_id", "bleu2", "radcliq_v1"]
    assert (first[0], float(first[1]), float(first[2])) == ("a, b", 1 / 3, -1e-17)
    assert second == ["c", "", "2.0"]


def test_patients_have_a_column_where_any_is_known(tmp_path: Path) -> None:
    path = write_scores(tmp_path, ["a", "b"], ["p", None], SCORES)[0]
    assert [row[:2] for row in rows(path)] == [["study_id", "patient_id"], ["a", "p"], ["b", ""]]


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    path = write_scores(tmp_path, ["a", "b"], ["p", None], SCORES)[1]
    assert pyarrow.parquet.read_table(path).to_pydict() == {
        "study_id": ["a", "b"],
        "patient_id": ["p", None],
        "bleu2": [1 / 3, None],
        "radcliq_v1": [-1e-17, 2.0],
    }


def test_all_that_did_not_pair_is_written_and_an_old_list_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "unpaired.csv"
    assert write_unpaired(path, [Unpaired("a b", "prediction", "no reference")]) == 1
    assert rows(path) == [["study_id", "side", "reason"], ["a b", "prediction", "no reference"]]
    assert write_unpaired(path, []) == 0
    assert not path.exists()
