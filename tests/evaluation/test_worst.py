import numpy as np

from radflow.evaluation.pair_store import PairStore
from radflow.evaluation.predictions import Prediction
from radflow.evaluation.score_file import SIDES, column
from radflow.evaluation.score_summary import observation_table
from radflow.evaluation.worst import worst_reports

METRICS = {
    "bleu2": {"label": "BLEU-2", "higher_is_better": True},
    "chexpert_f1": {"label": "CheXpert F1 (rules)", "higher_is_better": True},
    "radcliq_v1": {"label": "RadCliQ-v1", "higher_is_better": False},
}


def store(count):
    return PairStore(
        [Prediction(study_id=f"s{n}", text=f"Nodule number {n}.", reference="Edema.") for n in range(count)]
    )


def worst(names, columns, count=2):
    summary = {"metrics": {name: METRICS[name] for name in names}, "modality": "chest-xray", "system": "mine"}
    arrays = {name: np.array(values) for name, values in columns.items()}
    with store(len(next(iter(columns.values())))) as pairs:
        return worst_reports(pairs, arrays, summary, count)


def test_the_label_f1_orders_the_reports_whatever_else_was_asked_for():
    found = worst(("bleu2", "chexpert_f1"), {"bleu2": [0.1, 0.2, 0.3], "chexpert_f1": [1.0, 0.5, 0.0]})
    assert [case["study_id"] for case in found] == ["s2", "s1"]
    assert found[0]["scores"] == {"CheXpert F1 (rules)": 0.0}
    assert found[0]["systems"]["mine"]["marks"][0]["kind"] == "extra"
    assert found[0]["systems"]["mine"]["missed"][0]["note"] == "missed: Edema"


def test_where_lower_is_better_the_highest_is_worst_and_nan_is_left_out():
    found = worst(("radcliq_v1",), {"radcliq_v1": [1.0, float("nan"), 3.0]}, count=3)
    assert [case["study_id"] for case in found] == ["s2", "s0"]


def test_f1_and_support_of_an_observation_count_uncertain_as_stated():
    nan = float("nan")
    columns = {
        "Edema:generated": np.array([1.0, 1.0, nan, 0.0]),
        "Edema:reference": np.array([1.0, 0.0, -1.0, nan]),
        "Fracture:generated": np.array([nan, 0.0, nan, nan]),
        "Fracture:reference": np.array([nan, nan, nan, nan]),
    }

    named = {
        column(name, side): columns[f"{name}:{side}"] for name in ("Edema", "Fracture") for side in SIDES
    }
    (row,) = observation_table(named)
    assert row == {"name": "Edema", "support": 2, "predicted": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5}
