import dataclasses
from pathlib import Path

import numpy as np
import pytest

from radflow.errors import DataError
from radflow.evaluation.comparing.matching import match
from radflow.evaluation.files.scores import MetricFacts, SystemScores

UP = MetricFacts(label="BLEU-2", higher_is_better=True, reader=None)
DOWN = MetricFacts(label="RadCliQ-v1", higher_is_better=False, reader=None)


def scored(system):
    return SystemScores(
        system=system,
        path=Path(system) / "scores.csv",
        values={f"s{i:03}": {"bleu2": i / 10, "radcliq_v1": -i / 10} for i in range(5)},
        patients={},
        metrics={"bleu2": UP, "radcliq_v1": DOWN},
        about={},
    )


def systems():
    return scored("a"), scored("b")


def test_numbers_are_matched_by_study_not_by_place():
    a, b = systems()
    turned = dataclasses.replace(b, values=dict(reversed(b.values.items())))
    found = match(a, turned, ["radcliq_v1"])
    assert found.studies == ("s000", "s001", "s002", "s003", "s004")
    assert found.first.tolist() == found.second.tolist() == [[-0.0], [-0.1], [-0.2], [-0.3], [-0.4]]


def test_a_number_that_only_one_study_lacks_is_nan():
    a, b = systems()
    found = match(dataclasses.replace(a, values={**a.values, "s001": {"bleu2": 1.0}}), b)
    assert np.isnan(found.first).tolist()[1] == [False, True]
    assert not np.isnan(found.second).any()


def test_what_only_one_system_has_is_said():
    a, b = systems()
    a = dataclasses.replace(
        a,
        values={**a.values, "x1": {"bleu2": 1.0}, "x2": {"bleu2": 1.0}},
        metrics={**a.metrics, "mine": MetricFacts(label="Mine", higher_is_better=True, reader=None)},
    )
    found = match(a, b)
    assert found.studies == tuple(b.values)
    assert "only a scored 2 of its 7 studies: x1, x2" in found.warnings
    assert "only a has Mine" in found.warnings
    assert "patients are not known: every study is taken as independent of the others" in found.warnings


def other(metric, **changed):
    return dataclasses.replace(metric, **changed)


@pytest.mark.parametrize(
    ("changes", "asked", "said"),
    [
        (
            {"values": {"z1": {"bleu2": 1.0}, "z2": {"bleu2": 1.0}}},
            None,
            r"got 0: .*\(s000, s001, s002, \.\.\.\)",
        ),
        ({"values": {"s000": {"bleu2": 1.0}}}, None, "at least two studies that both systems scored, got 1"),
        ({"metrics": {"mine": UP}}, None, "a metric that both have, got bleu2, radcliq_v1 in .* and mine"),
        ({}, ["bleu"], "got 'bleu'. Did you mean 'bleu2'"),
        ({"metrics": {"bleu2": other(UP, label="BLEU-2 (x)")}}, None, r"BLEU-2 in .* and BLEU-2 \(x\)"),
        ({"metrics": {"bleu2": other(UP, higher_is_better=False)}}, None, "higher is better in one"),
        (
            {"about": {"track": "findings"}},
            None,
            "same track .* got 'findings[+]impression' .* 'findings' in",
        ),
        ({"about": {"modality": "carotid-us"}}, None, "same modality"),
        ({"patients": {"s000": "p9"}}, None, "study 's000': expected the same patient .* 'p1' .* 'p9'"),
    ],
)
def test_what_must_not_be_compared_is_refused(changes, asked, said):
    a, b = systems()
    about = {"track": "findings+impression", "modality": "chest-xray"}
    a = dataclasses.replace(a, about=about, patients={"s000": "p1"})
    with pytest.raises(DataError, match=said):
        match(a, dataclasses.replace(b, **changes), asked)


def test_numbers_of_two_readers_are_not_compared():
    a, b = systems()
    first = {"bleu2": other(UP, label="RadGraph F1", reader="rules")}
    second = {"bleu2": other(UP, label="RadGraph F1", reader="radgraph:model")}
    with pytest.raises(DataError, match=r"RadGraph F1 by rules in .* and RadGraph F1 by radgraph:model"):
        match(dataclasses.replace(a, metrics=first), dataclasses.replace(b, metrics=second))


def test_different_splits_are_said():
    a, b = systems()
    a, b = (dataclasses.replace(s, about={"split": name}) for s, name in ((a, "test"), (b, "validation")))
    assert "a is of the split 'test', b of 'validation'" in match(a, b).warnings
