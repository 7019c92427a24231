import json
import math

import numpy as np
import pytest

from radflow.evaluation.choice import Chosen
from radflow.evaluation.drift import SIGNALS
from radflow.evaluation.files.predictions import Prediction
from radflow.evaluation.files.store import ReportStore
from radflow.evaluation.intervals import bootstrap_interval
from radflow.evaluation.scoring import SIDES, column
from radflow.evaluation.summary import INVERSE, observation_table, summarise_scores, worst_reports

N = 40
RNG = np.random.default_rng(0)


def summary(values: dict[str, np.ndarray], patients: list[str | None] | None = None, **known: str) -> dict:
    """Of metrics and of a template that scores 0.5 in all of them."""
    records = [
        Prediction(study_id=f"s{i}", text=f"case {i}", reference=f"truth {i}", **known) for i in range(N)
    ]
    chosen = Chosen(
        modality="chest-xray",
        labels={name: name.upper() for name in values},
        names=dict.fromkeys(values),
        readers={},
        labeler=list,
    )
    template = {f"template:{name}": np.full(N, 0.5) for name in values}
    signals = {name: np.ones(N) for name in SIGNALS} | {"empty": np.zeros(N), "copies": np.zeros(N)}
    with ReportStore(records) as store:
        return summarise_scores(
            values | template | signals,
            store,
            chosen,
            system="mine",
            baselines={"template": "the same for all"},
            patients=patients or [None] * N,
        )


def test_it_can_be_written_as_json_and_says_the_protocol() -> None:
    found = summary({"bleu2": RNG.random(N)}, split="test")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    named = ("system", "pairs", "track", "split", "modality")
    assert [found[name] for name in named] == ["mine", N, "findings+impression", "test", "chest-xray"]
    assert summary({"bleu2": RNG.random(N)})["split"] is None


def test_studies_are_resampled_unless_patients_are_known() -> None:
    values = RNG.random(N)
    patients = [None if i == 0 else f"p{i // 8}" for i in range(N)]
    for given, clusters, said in ((None, None, None), (patients, [0, *patients[1:]], 6)):
        found = summary({"bleu2": values}, given)
        expected = bootstrap_interval(values, clusters=clusters)
        assert found["metrics"]["bleu2"]["low"] == expected.low
        assert found["patients"] == said
        assert found["resampled"] == ("patients" if given else "studies")


def test_missing_values_are_counted_and_said() -> None:
    values = {"bleu2": np.where(np.arange(N) < 3, np.nan, 1.0), "rouge_l": np.full(N, np.nan)}
    found = summary(values)
    assert found["metrics"]["bleu2"]["mean"] == 1.0
    assert [found["metrics"][name]["missing"] for name in values] == [3, N]
    assert found["metrics"]["rouge_l"]["mean"] is None
    assert "BLEU2 has no value for 3 pairs; its mean is over the others." in found["warnings"]


@pytest.mark.parametrize(
    ("name", "value", "is_better"),
    [("bleu2", 0.6, True), ("bleu2", 0.5, False), ("bleu2", 0.4, False), ("radcliq_v1", 0.4, True)],
)
def test_what_does_not_beat_the_template_is_said(name: str, value: float, is_better: bool) -> None:
    said = [w for w in summary({name: np.full(N, value)})["warnings"] if "No clear gain" in w]
    assert bool(said) != is_better


def test_the_inverse_is_of_the_mean_and_only_where_it_is_positive() -> None:
    values = RNG.random(N) + 1
    found = summary({"radcliq_v1": values})
    assert found[INVERSE]["mean"] == 1 / values.mean()
    assert found[INVERSE]["low"] == 1 / found["metrics"]["radcliq_v1"]["high"]
    assert math.isclose(found[INVERSE]["high"], 1 / found["metrics"]["radcliq_v1"]["low"])
    assert summary({"radcliq_v1": -values})[INVERSE] == {"mean": None, "low": None, "high": None}
    assert INVERSE not in summary({"bleu2": values})


METRICS = {
    "bleu2": {"label": "BLEU-2", "higher_is_better": True},
    "chexpert_f1": {"label": "CheXpert F1 (rules)", "higher_is_better": True},
    "radcliq_v1": {"label": "RadCliQ-v1", "higher_is_better": False},
}


def store(count):
    return ReportStore(
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
