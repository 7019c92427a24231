import json
import math

import numpy as np
import pytest

from radflow.evaluation.hacking import SIGNALS
from radflow.evaluation.intervals import bootstrap_interval
from radflow.evaluation.pair_store import PairStore
from radflow.evaluation.predictions import Prediction
from radflow.evaluation.score_summary import INVERSE, Protocol, summarise_scores

N = 40
RNG = np.random.default_rng(0)


def summary(values: dict[str, np.ndarray], patients: list[str | None] | None = None, **known: str) -> dict:
    """Of metrics and of a template that scores 0.5 in all of them."""
    records = [
        Prediction(study_id=f"s{i}", text=f"case {i}", reference=f"truth {i}", **known) for i in range(N)
    ]
    protocol = Protocol(
        system="mine",
        modality="chest-xray",
        labels={name: name.upper() for name in values},
        readers=dict.fromkeys(values),
        baselines={"template": "the same for all"},
    )
    template = {f"template:{name}": np.full(N, 0.5) for name in values}
    signals = {name: np.ones(N) for name in SIGNALS} | {"empty": np.zeros(N), "copies": np.zeros(N)}
    with PairStore(records) as store:
        return summarise_scores(values | template | signals, store, protocol, patients or [None] * N)


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
