import pytest

from radflow.errors import DataError
from radflow.evaluation import measure_drift


def test_closed_form():
    reports = ["clear", "clear ", "small left effusion", "edema"]
    labels = [
        {"No Finding": 1},
        {"No Finding": 1},
        {"Pleural Effusion": 1, "Edema": 0},
        {"Edema": -1, "X": 1},
    ]
    drift = measure_drift(reports, labels)
    assert drift.as_dict() == {
        "positives": 0.75,
        "words": 1.5,
        "distinct": 0.75,
        "most_frequent": 0.5,
    }


def test_collapse_shows():
    drift = measure_drift(["normal"] * 10, [{}] * 10)
    assert (drift.distinct, drift.most_frequent) == (0.1, 1.0)


def test_bad_input_is_told():
    with pytest.raises(DataError, match="got 0 and 0"):
        measure_drift([], [])
    with pytest.raises(DataError, match="got 1 and 2"):
        measure_drift(["a"], [{}, {}])
