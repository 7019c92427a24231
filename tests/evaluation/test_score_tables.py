import csv
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet

from radflow.evaluation.pair_store import Unpaired
from radflow.evaluation.score_tables import write_scores, write_unpaired

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
