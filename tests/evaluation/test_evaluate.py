import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.config import Evaluation, Judge, Recipe
from radflow.errors import DataError
from radflow.evaluation import read_results
from radflow.evaluation.controls import RADFLOW, SFT, SHUFFLED, TEMPLATE, derangement
from radflow.evaluation.evaluate import evaluate_run, reward_columns
from radflow.files import read_json, read_jsonl
from radflow.reports import Report, parse_report
from radflow.rewards import PARTS, HierarchicalReward
from radflow.studies import Study
from radflow.workspace import Workspace

KNOBS = Evaluation(resamples=50, cases=4)
NORMAL = "Findings: No plaque on the right. No plaque on the left. Impression: Normal carotid study."
PLAQUE = (
    "Findings: Right: soft plaque in the bulb. Left: no plaque. Impression: Plaque in the right carotid bulb."
)
TRUTH = [NORMAL, PLAQUE] * 4


def study(i: int, text: str) -> Study:
    return Study(
        study_id=f"s{i}",
        patient_id=f"p{i // 2}",
        images=(Path(f"{i}.png"),),
        reference=parse_report(text),
        split="test",
        modality="carotid-us",
        critical=text == PLAQUE,
        drawn=True,
    )


@pytest.fixture
def tested() -> list[Study]:
    return [study(i, text) for i, text in enumerate(TRUTH)]


@pytest.fixture
def predictions() -> dict[str, list[str]]:
    """SFT writes one report, RadFlow the right one, and RadFlow on other pictures that of another study."""
    return {
        TEMPLATE: [NORMAL] * 8,
        SFT: [NORMAL] * 7 + ["garbled"],
        RADFLOW: TRUTH,
        SHUFFLED: TRUTH[1:] + TRUTH[:1],
    }


@pytest.fixture(scope="module")
def reward() -> HierarchicalReward:
    return HierarchicalReward(modality="carotid-us")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "run", Recipe(name="fake"))


@pytest.fixture
def evaluate(workspace: Workspace, tested: list[Study], reward: HierarchicalReward) -> Callable:
    return lambda predictions, studies=tested, **more: evaluate_run(
        workspace, KNOBS, studies, predictions, reward, **more
    )


def test_texts_are_scored_in_canonical_form(tested: list[Study]) -> None:
    assert (
        parse_report("FINDINGS:\nClear.\nIMPRESSION:\nNormal.").canonical
        == "Findings: Clear. Impression: Normal."
    )
    assert parse_report("no headers").canonical == "no headers"
    bare = replace(tested[0], reference=Report(text="As it is.", findings=None, impression=None))
    assert bare.reference.canonical == "As it is."


def test_a_skipped_term_is_nan_and_not_nought(tested: list[Study], reward: HierarchicalReward) -> None:
    rewards = [row[0] for row in reward.score_many(tested[:2], [[NORMAL], ["garbled"]])]
    values = reward_columns(rewards)
    assert np.isnan(values["reward/impression"]).tolist() == [False, True]
    assert rewards[1].parts["impression"] is None
    for i in range(2):
        parts = [values[f"reward/{part}"][i] for part in PARTS]
        assert values["reward"][i] == pytest.approx(np.nansum(parts))


def test_what_is_measured_is_written(
    evaluate: Callable, predictions: dict[str, list[str]], workspace: Workspace
) -> None:
    results = evaluate(predictions, warnings=["said before"])
    assert read_results(workspace.path("results.json")).gain == results.gain
    assert set(results.systems) == {TEMPLATE, SFT, RADFLOW}
    assert (results.cases, results.images) == (8, "drawn")
    assert results.systems[RADFLOW]["carotid_f1"].mean == 1.0
    for name in ("reward", "carotid_f1"):
        difference = results.systems[RADFLOW][name].mean - results.systems[SFT][name].mean
        assert results.gain[name].mean == pytest.approx(difference)
        assert results.shuffled[name].fall.low > 0
    assert set(results.drift) == {TEMPLATE, SFT, RADFLOW, SHUFFLED, "reference"}
    assert results.warnings[0] == "said before"
    corpus = {name: found["corpus_macro_f1"].mean for name, found in results.systems.items()}
    assert corpus == {TEMPLATE: 0.0, SFT: 0.0, RADFLOW: 1.0}
    assert results.gain["corpus_macro_f1"].low == results.shuffled["corpus_micro_f1"].fall.low == 1.0
    assert results.labels["corpus_macro_f1"] == "Corpus macro F1 (rules)"
    asserted = list(read_jsonl(workspace.path("evaluation", "labels", f"{RADFLOW}.jsonl")))
    assert asserted[0] == {"study_id": "s0", "generated": [], "reference": []}
    assert "right plaque" in asserted[1]["generated"]
    rows = list(read_jsonl(workspace.path("evaluation", "scores", f"{SFT}.jsonl")))
    assert [row["study_id"] for row in rows] == [f"s{i}" for i in range(8)]
    assert rows[-1]["reward/impression"] is None


def test_cases_show_gains_and_losses_without_repeats(
    evaluate: Callable, predictions: dict[str, list[str]], workspace: Workspace
) -> None:
    evaluate(predictions)
    cases = read_json(workspace.path("evaluation", "cases.json"))
    ids = [case["study_id"] for case in cases]
    assert len(ids) == len(set(ids)) == KNOBS.cases
    assert "s7" in ids  # garbled by SFT, right by RadFlow: the greatest gain
    assert all(set(case["systems"]) == {TEMPLATE, SFT, RADFLOW} for case in cases)
    marks = [mark for case in cases for mark in case["systems"][RADFLOW]["marks"]]
    assert {mark["kind"] for mark in marks} == {"agree"}
    images = [image for case in cases for image in case["images"]]
    assert images
    assert not [image for image in images if Path(image).is_absolute()]
    assert workspace.root.joinpath(images[0]).resolve() == Path(f"{ids[0][1:]}.png").resolve()


@pytest.mark.parametrize("count", [0, 1, 2, 8, 99])
def test_as_many_cases_as_asked_for_or_there_are(
    count: int, predictions: dict[str, list[str]], workspace: Workspace, tested, reward
) -> None:
    evaluate_run(workspace, KNOBS.model_copy(update={"cases": count}), tested, predictions, reward)
    cases = json.loads(workspace.path("evaluation", "cases.json").read_text())
    assert len({case["study_id"] for case in cases}) == len(cases) == min(count, 8)


def test_a_run_is_scored_by_the_metrics_and_the_judge_it_names(
    predictions: dict[str, list[str]], workspace: Workspace, tested, reward
) -> None:
    class Never:
        name = "never"

        def __call__(self, pairs):
            return [False] * len(pairs)

    knobs = KNOBS.model_copy(update={"metrics": ("bleu2", "consistency")})
    results = evaluate_run(workspace, knobs, tested, predictions, reward, judge=Never())
    assert [name for name in results.systems[SFT] if "reward" not in name] == ["bleu2", "consistency"]
    assert results.systems[SFT]["consistency"].mean == 0
    assert results.labels["consistency"] == "Consistency (never)"
    assert results.gain["consistency"].mean == 0
    assert results.higher_is_better["consistency"]


def test_a_run_asks_an_endpoint_for_its_metric(
    fake, tmp_path: Path, predictions: dict[str, list[str]]
) -> None:
    answer = "[Clinically Significant Errors]:\nNo errors.\n\n[Matched Findings]:\n{}. x"
    server = fake.start(lambda asked: fake.say(answer.format(int("garbled" not in asked.question))))
    recipe = Recipe(name="fake", judge=Judge(base_url=server.url))
    workspace = Workspace(tmp_path / "run", recipe)
    tested = [replace(study(i, text), modality="chest-xray") for i, text in enumerate(TRUTH)]
    knobs = Evaluation(resamples=50, cases=4, metrics=("chexpert_f1", "green:openai:m"))
    results = evaluate_run(workspace, knobs, tested, predictions, HierarchicalReward(modality="chest-xray"))
    assert results.systems[SFT]["green"].mean == 7 / 8
    assert results.systems[RADFLOW]["green"].mean == 1.0
    assert results.labels["green"] == "GREEN (m)"
    assert (tmp_path / "run" / "verdicts.sqlite3").exists()


def warnings(results) -> str:
    return "\n".join(results.warnings)


def test_a_good_model_is_not_warned_of_blindness(
    evaluate: Callable, predictions: dict[str, list[str]]
) -> None:
    said = warnings(evaluate(predictions))
    assert "looking" not in said
    assert "template" not in said


def test_a_blind_model_is_warned_of(evaluate: Callable, predictions: dict[str, list[str]]) -> None:
    blind = {**predictions, RADFLOW: [NORMAL] * 8, SHUFFLED: [NORMAL] * 8}
    said = warnings(evaluate(blind))
    assert "Shuffling the images costs RadFlow no significant Carotid F1 (rules)" in said
    assert "is not above that of the template" in said


def test_drift_is_warned_of(evaluate: Callable, predictions: dict[str, list[str]]) -> None:
    said = warnings(evaluate({**predictions, SFT: TRUTH, RADFLOW: [PLAQUE + " " + PLAQUE] * 8}))
    assert "Positives per report went from" in said
    assert "words (SFT) to" in said


def test_a_run_without_the_control_has_none(evaluate: Callable, predictions: dict[str, list[str]]) -> None:
    del predictions[SHUFFLED]
    assert evaluate(predictions).shuffled == {}


def test_what_cannot_be_compared_is_refused(
    evaluate: Callable, predictions: dict[str, list[str]], tested: list[Study]
) -> None:
    with pytest.raises(DataError, match="expected test studies, got none"):
        evaluate(predictions, [])
    with pytest.raises(DataError, match="one modality"):
        evaluate(predictions, [*tested[:7], replace(tested[7], modality="chest-xray")])
    with pytest.raises(DataError, match="expected 8 reports of sft, got 3"):
        evaluate({**predictions, SFT: [NORMAL] * 3})
    with pytest.raises(DataError, match="expected the reports of sft, got template, radflow"):
        evaluate({name: predictions[name] for name in (TEMPLATE, RADFLOW)})


@given(st.integers(2, 300), st.integers(0, 2**32))
def test_a_permutation_without_fixed_points(n, seed):
    order = derangement(n, seed)
    assert sorted(order) == list(range(n))
    assert (order != np.arange(n)).all()


def test_the_seed_decides():
    assert derangement(50, 1).tolist() == derangement(50, 1).tolist()
    assert derangement(50, 1).tolist() != derangement(50, 2).tolist()


def test_all_derangements_are_equally_likely():
    counts = Counter(tuple(derangement(4, seed)) for seed in range(1800))
    assert len(counts) == 9  # !4
    assert all(140 <= count <= 260 for count in counts.values())  # 200 expected, 13 standard deviation


def test_one_study_cannot_be_shuffled():
    with pytest.raises(DataError, match="at least 2"):
        derangement(1)
