from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from radflow import config
from radflow.config import Recipe
from radflow.errors import DataError, TrainingError
from radflow.files import read_json, read_jsonl
from radflow.policy import Completion, Group, Policy
from radflow.studies import Study
from radflow.training.exploration import (
    NothingPickedError,
    candidates,
    read_picked,
    run_exploration,
    run_prediction,
    stage,
)
from radflow.training.exploration.picking import composite_score, normalise, pick
from radflow.training.exploration.summary import critical_share_warnings
from radflow.workspace import Workspace

values = arrays(np.float64, st.integers(1, 30), elements=st.integers(-50, 50).map(lambda n: n / 10))
hows = st.sampled_from(["minmax", "rank"])


# ---- a common scale --------------------------------------------------------------------------------------


@given(values, hows)
def test_normalised_values_are_in_the_unit_interval_and_in_the_same_order(values, how) -> None:
    scaled = normalise(values, how)
    assert scaled.shape == values.shape
    assert ((scaled >= 0) & (scaled <= 1)).all()
    for i in range(len(values)):
        assert ((values < values[i]) <= (scaled < scaled[i])).all()
        assert ((values == values[i]) <= (scaled == scaled[i])).all()


@given(values, hows, st.integers(1, 9), st.integers(-9, 9))
def test_units_do_not_matter(values, how, factor, shift) -> None:
    assert normalise(values * factor + shift, how) == pytest.approx(normalise(values, how), abs=1e-9)


@given(values)
def test_ranks_of_distinct_values_are_evenly_spread(values) -> None:
    distinct = np.unique(values)
    assert normalise(distinct, "rank") == pytest.approx(np.linspace(0, len(distinct) > 1, len(distinct)))


@given(values, hows, st.floats(0.1, 9))
def test_the_score_of_one_metric_is_that_metric_whatever_its_weight(values, how, weight) -> None:
    assert composite_score({"a": values}, {"a": weight}, how) == pytest.approx(normalise(values, how))


def test_weights_are_shares() -> None:
    metrics = {"a": np.array([0.0, 1.0]), "b": np.array([1.0, 0.0])}
    assert composite_score(metrics, {"a": 3.0, "b": 1.0}, "minmax").tolist() == [0.25, 0.75]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="'minmax' or 'rank', got 'log'"):
        normalise(np.ones(2), "log")
    with pytest.raises(ValueError, match="positive weight"):
        composite_score({"a": np.ones(2)}, {"a": 0.0}, "rank")


# ---- what is picked --------------------------------------------------------------------------------------

SCORES = np.array([0.9, 0.1, 0.5, 0.2, 0.8, 0.4, 0.7, 0.3])
CRITICAL = [False, True, False, True, False, True, False, True]  # the hardest half is critical


def picked(**knobs: Any) -> list[int]:
    return pick(SCORES, CRITICAL, config.Exploration(**knobs), seed=3)


def test_the_hardest_come_first() -> None:
    assert picked(keep_percent=50) == [1, 3, 7, 5]


def test_balanced_keeps_the_share_of_critical_studies() -> None:
    assert picked(keep_percent=50, strategy="balanced") == [1, 3, 2, 6]


def test_controls() -> None:
    assert sorted(picked(strategy="all", keep_percent=1)) == list(range(8))
    chosen = picked(strategy="random", keep_percent=50)
    assert chosen == picked(strategy="random", keep_percent=50)
    assert len(set(chosen)) == 4
    assert chosen != picked(keep_percent=50)


def test_a_threshold_goes_before_a_percentage() -> None:
    assert picked(threshold=0.35, keep_percent=100) == [1, 3, 7]
    assert picked(threshold=0.05) == []


@given(
    scores=arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)),
    percent=st.floats(0.1, 100),
    strategy=st.sampled_from(["hardest", "balanced", "random"]),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_the_asked_share_is_kept_without_repeats(scores, percent, strategy, seed, data) -> None:
    critical = data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    knobs = config.Exploration(strategy=strategy, keep_percent=percent)
    chosen = pick(scores, critical, knobs, seed=seed)
    assert len(chosen) == len(set(chosen)) == max(1, round(len(scores) * percent / 100))
    if strategy == "hardest":
        rest = set(range(len(scores))) - set(chosen)
        assert all(scores[i] <= scores[j] for i in chosen for j in rest)
    if strategy == "balanced":
        share = len(chosen) * sum(critical) / len(scores)
        assert abs(sum(critical[i] for i in chosen) - share) <= 0.5 + 1e-9


SPREADS = np.array([0.0, 0.5, 0.0, 0.4, 0.5, 0.3, 0.0, 0.5])


def learnable(**knobs: Any) -> list[int]:
    return pick(SPREADS, CRITICAL, config.Exploration(strategy="learnable", **knobs), seed=3)


def test_learnable_studies_are_those_whose_samples_differ_most() -> None:
    assert sorted(learnable(keep_percent=50)) == [1, 4, 7]  # two critical ones, and the only normal one
    assert set(SPREADS[learnable(keep_percent=100)]) == {0.5, 0.4, 0.3}  # and no more than can be learnt from


def test_the_critical_share_is_what_the_recipe_says() -> None:
    assert sorted(learnable(keep_percent=25, critical_share=1.0)) == [1, 7]
    assert learnable(keep_percent=25, critical_share=0.0) == [4]
    assert picked(keep_percent=50, strategy="balanced", critical_share=0.25) == [1, 2, 6, 4]
    for knobs in ({}, {"strategy": "random"}, {"strategy": "balanced", "threshold": 0.5}):
        with pytest.raises(
            ValueError, match="expected critical_share with the strategy balanced or learnable"
        ):
            config.Exploration(critical_share=0.5, **knobs)


@given(
    spreads=arrays(np.float64, st.integers(1, 40), elements=st.sampled_from([0.0, 0.1, 0.2, 0.5])),
    percent=st.floats(1, 100),
    share=st.none() | st.floats(0, 1),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_of_either_kind_nothing_better_is_left_behind(spreads, percent, share, seed, data) -> None:
    critical = np.array(data.draw(st.lists(st.booleans(), min_size=len(spreads), max_size=len(spreads))))
    knobs = config.Exploration(strategy="learnable", keep_percent=percent, critical_share=share)
    chosen = pick(spreads, critical.tolist(), knobs, seed=seed)
    assert len(chosen) == len(set(chosen)) <= max(1, round(len(spreads) * percent / 100))
    assert (spreads[chosen] > 0).all()
    for kind in (True, False):
        kept = [i for i in chosen if critical[i] == kind]
        rest = set(np.flatnonzero(critical == kind)) - set(kept)
        assert all(spreads[i] >= spreads[j] for i in kept for j in rest)


# ---- the stage -------------------------------------------------------------------------------------------


class Predictor:
    """Writes each study's id, and remembers for which it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, _: Policy, studies: Sequence[Study], **how: Any) -> Iterator[tuple[Study, Completion]]:
        for study in studies:
            self.asked.append(study.study_id)
            yield study, Completion(text=f"report of {study.study_id}", token_ids=(5, 6, 7), finished=True)


def by_number(studies: Sequence[Study], texts: Sequence[str], names: Sequence[str]) -> dict[str, np.ndarray]:
    """``s2-1`` scores 12: hardest are the first of the dozen."""
    assert list(texts) == [f"report of {s.study_id}" for s in studies]
    numbers = [int(s.study_id[3:]) * 10 + int(s.study_id[1]) for s in studies]
    assert names == ["bleu2"]
    return {"bleu2": np.array(numbers, dtype=float)}


@pytest.fixture
def explore(
    policy: Policy, dozen: list[Study], accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[Study]]:
    monkeypatch.setattr(stage, "CHUNK", 5)
    monkeypatch.setattr(candidates, "score_predictions", by_number)

    def explore(
        workspace: Workspace,
        recipe: Recipe,
        studies: list[Study] = dozen,
        predict: Predictor | None = None,
    ) -> list[Study]:
        monkeypatch.setattr(candidates, "greedy_reports", predict or Predictor())
        one = {"bleu2": 1.0, "bertscore": 0.0, "domain": 0.0}
        knobs = recipe.exploration.model_copy(update=one)
        recipe = recipe.model_copy(update={"exploration": knobs})
        run_prediction(workspace, recipe, policy, studies, accelerator)
        return run_exploration(workspace, recipe, studies, accelerator)

    return explore


def test_what_was_picked_is_written_and_described(
    explore: Callable, open_run: Callable, policy: Policy, dozen: list[Study]
) -> None:
    workspace, recipe = open_run(exploration={"keep_percent": 25})
    chosen = explore(workspace, recipe)
    ids = ["s0-0", "s1-0", "s2-0"]
    assert [s.study_id for s in chosen] == read_picked(workspace.path("exploration")) == ids
    rows = list(read_jsonl(workspace.path("exploration", "scores.jsonl")))
    assert len(rows) == 12
    scored = {"prediction": "report of s0-0", "bleu2": 0.0, "score": 0.0}
    assert rows[0] == {"study_id": "s0-0", **scored}
    passes = len(policy.encoder(dozen[0]).input_ids) + 3
    written = {"study_id": "s0-0", "reports": ["report of s0-0"], "passes": passes}
    assert next(iter(read_jsonl(workspace.path("predict", "00000.jsonl")))) == written
    summary = read_json(workspace.path("exploration", "summary.json"))
    assert (summary["split_size"], summary["picked_size"], summary["metrics"]) == (12, 3, ["bleu2"])
    assert sum(summary["scores"]["split"]) == 12
    assert sum(summary["scores"]["picked"]) == 3
    assert summary["threshold"] == pytest.approx(2 / 32)
    assert [row["study_id"] for row in summary["hardest"]] == [*ids, "s0-1", "s1-1"]


def test_a_second_run_predicts_only_what_the_first_did_not_finish(
    explore: Callable, open_run: Callable, dozen: list[Study]
) -> None:
    class Failing(Predictor):
        def __call__(self, *given: Any, **how: Any) -> Iterator[tuple[Study, Completion]]:
            for written in super().__call__(*given, **how):
                if len(self.asked) == 8:
                    raise KeyboardInterrupt
                yield written

    workspace, recipe = open_run(exploration={"keep_percent": 25})
    with pytest.raises(KeyboardInterrupt):
        explore(workspace, recipe, predict=Failing())
    second = Predictor()
    chosen = explore(workspace, recipe, predict=second)
    assert second.asked == [s.study_id for s in dozen[5:]]
    assert [s.study_id for s in chosen] == ["s0-0", "s1-0", "s2-0"]


def test_a_sample_of_the_split_is_drawn_in_its_order(explore: Callable, open_run: Callable) -> None:
    predictor = Predictor()
    explore(*open_run(exploration={"studies": 6, "strategy": "all"}), predict=predictor)
    assert len(predictor.asked) == 6
    assert predictor.asked == sorted(predictor.asked, key=lambda i: (i[3:], i[1]))


SILENT = "Findings: Lungs are clear. Impression: Normal."
RIGHT = {0: SILENT, 1: "Findings: Large left effusion. Impression: Effusion.", 2: SILENT}


class Sampler:
    """Writes the right report for some of the samples: none of the first dozen's thirds, half, or all."""

    def __init__(self, stop_after: int = 99) -> None:
        self.asked: list[str] = []
        self.stop_after = stop_after

    def __call__(self, policy: Policy, studies: Sequence[Study], **how: Any) -> list[Group]:
        groups = []
        for study in studies:
            if len(self.asked) == self.stop_after:
                raise KeyboardInterrupt
            self.asked.append(study.study_id)
            texts = [RIGHT[1]] * (int(study.study_id[3]) % 4) + [SILENT] * 4
            made = [Completion(text=t, token_ids=(1,), finished=True) for t in texts[: how["group_size"]]]
            groups.append(Group(study=study, completions=tuple(made)))
        return groups


def test_the_learnable_are_sampled_scored_and_described(
    policy: Policy, dozen: list[Study], accelerator: Accelerator, open_run: Callable, monkeypatch: Any
) -> None:
    """``s1-2`` is an effusion that half of the samples see; ``s0-0`` is normal, and all samples say so."""
    monkeypatch.setattr(stage, "CHUNK", 5)
    knobs = {"strategy": "learnable", "keep_percent": 50, "samples": 4, "critical_share": 0.5}

    def explore(name: str, sampler: Sampler) -> tuple[list[str], Workspace]:
        monkeypatch.setattr(candidates, "sample_groups", sampler)
        workspace, recipe = open_run(name, exploration=knobs)
        run_prediction(workspace, recipe, policy, dozen, accelerator)
        return [s.study_id for s in run_exploration(workspace, recipe, dozen, accelerator)], workspace

    with pytest.raises(KeyboardInterrupt):
        explore("killed", Sampler(stop_after=8))
    second = Sampler()
    chosen, _ = explore("killed", second)
    assert second.asked == [s.study_id for s in dozen[5:]]
    again, workspace = explore("whole", Sampler())
    assert again == chosen == read_picked(workspace.path("exploration"))
    assert {i[3] for i in chosen} <= {"1", "2", "3"}  # where some are right and some wrong
    rows = {row["study_id"]: row for row in read_jsonl(workspace.path("exploration", "scores.jsonl"))}
    assert rows["s1-2"]["samples"] == [1.0, 1.0, 0.0, 0.0]
    assert (rows["s1-2"]["chexpert_f1"], rows["s1-2"]["spread"], rows["s1-2"]["score"]) == (0.5, 0.5, 0.5)
    assert (rows["s1-2"]["best"], rows["s1-2"]["prediction"]) == (RIGHT[1], SILENT)
    assert rows["s0-0"]["spread"] == rows["s1-0"]["spread"] == 0
    summary = read_json(workspace.path("exploration", "summary.json"))
    assert (summary["samples"], summary["critical_share"]["picked"]) == (4, 0.5)
    assert summary["spread"]["picked"] > summary["spread"]["split"]
    assert sum(summary["scores"]["picked"]) == len(chosen)


def test_where_all_samples_agree_nothing_can_be_learnt(
    policy: Policy, dozen: list[Study], accelerator: Accelerator, open_run: Callable, monkeypatch: Any
) -> None:
    monkeypatch.setattr(candidates, "sample_groups", Sampler())
    workspace, recipe = open_run(exploration={"strategy": "learnable"})
    run_prediction(workspace, recipe, policy, dozen[:3], accelerator)
    with pytest.raises(NothingPickedError, match="the 8 samples of each study agree in the label metric"):
        run_exploration(workspace, recipe, dozen[:3], accelerator)


def test_errors_say_what_to_do(explore: Callable, open_run: Callable, dozen: list[Study]) -> None:
    with pytest.raises(TrainingError, match="expected a training split, got no study"):
        explore(*open_run(), studies=[])
    with pytest.raises(TrainingError, match=r"no study scores below exploration\.threshold = 0\.0; the low"):
        explore(*open_run(exploration={"threshold": 0.0}))
    unknown = [replace(dozen[0], critical=None), *dozen[1:]]
    with pytest.raises(DataError, match="study s0-0: expected it to be annotated critical or not"):
        explore(*open_run(), studies=unknown)


@pytest.mark.parametrize(
    ("split", "picked", "said"),
    [
        (0.3, 0.3, []),
        (0.1, 0.0, ["None of the studies"]),
        (0.9, 1.0, ["Every one of the studies"]),
        (0.6, 0.0, ["None of the studies", "Critical studies are 0%"]),
        (0.6, 0.99, ["Critical studies are 99%"]),
    ],
)
def test_a_pick_that_leaves_capo_nothing_to_do_is_said(split: float, picked: float, said: list[str]) -> None:
    warnings = critical_share_warnings(split=split, picked=picked)
    assert len(warnings) == len(said)
    assert all(warning.startswith(start) for warning, start in zip(warnings, said, strict=True))
