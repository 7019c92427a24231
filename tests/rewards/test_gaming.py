"""The acceptance test of a reward, in small: `benchmarks/gaming.py` on a few references written for it."""

import importlib
from pathlib import Path

import pytest

CHEST = (
    (
        "Small left pleural effusion. Heart size is normal. No pneumothorax.",
        "Small left pleural effusion.",
        "effusion left small",
    ),
    (
        "There is a small left effusion. The heart is normal in size. No consolidation.",
        "Small effusion on the left.",
        "effusion left small",
    ),
    (
        "Right lower lobe consolidation. No pleural effusion. Heart size is normal.",
        "Right lower lobe pneumonia.",
        "pneumonia right",
    ),
    (
        "Consolidation in the right lower lobe. No effusion. No pneumothorax.",
        "Pneumonia in the right lower lobe.",
        "pneumonia right",
    ),
    (
        "The heart is mildly enlarged. Mild pulmonary edema. No pneumothorax.",
        "Mild cardiomegaly with mild pulmonary edema.",
        "heart edema",
    ),
    (
        "Mild cardiomegaly. Mild pulmonary edema. No effusion.",
        "Mild cardiomegaly and mild edema.",
        "heart edema",
    ),
    (
        "The lungs are clear. Heart size is normal. No effusion or pneumothorax.",
        "No acute cardiopulmonary abnormality.",
        "normal",
    ),
    (
        "Heart size is normal. Lungs are clear. No pneumothorax or effusion.",
        "No acute cardiopulmonary abnormality.",
        "normal",
    ),
)


@pytest.fixture(scope="module")
def gaming():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
        module = importlib.import_module("gaming")
        patch.setattr(module, "RESAMPLES", 2)
        yield module


@pytest.fixture(scope="module")
def chest(gaming):
    case = importlib.import_module("gaming_systems").Case
    pool = [
        case(number=n, findings=findings, impression=impression, indication="", tags=frozenset(tags.split()))
        for n, (findings, impression, tags) in enumerate(CHEST)
    ]
    return gaming.measure(gaming.CHEST, pool, len(pool), seed=0)


def not_dearer(measured, kinds, column):
    """The systems that cost nothing beside the honest one."""
    return [
        name
        for name, cost in measured["cost"].items()
        if measured["kinds"][name] in kinds and not (cost[column] and cost[column]["mean"] > 0)
    ]


def test_a_reward_of_findings_pays_less_without_looking_and_less_for_every_fault(chest):
    assert not_dearer(chest, ("blind", "wrong", "form"), "reward: findings") == []


def test_finding_match_sees_every_fault_of_content(chest):
    assert not_dearer(chest, ("blind", "wrong"), "metric: finding_match") == []


def test_the_reward_of_ultrasound_pays_less_without_looking_and_less_for_every_fault(gaming):
    measured = gaming.measure(gaming.CAROTID, gaming.CASES[gaming.CAROTID](60), 8, seed=0)
    assert not_dearer(measured, ("blind", "wrong"), "reward: paper") == []


# ---- the preset that does not pay for silence ------------------------------------------------------------


SILENT = (
    "constant normal",
    "list of denials",
    "shortest normal",
    "Stable. and nothing else",
    "empty sections",
)


def paid_for_silence(measured, column):
    """Constant reports that assert nothing and earn as much as a random real one."""
    return [name for name in SILENT if measured["random_over_constant"][column][name]["mean"] <= 0]


def test_the_preset_diagnosis_pays_no_constant_report_for_silence_and_less_for_every_fault(gaming, chest):
    assert "constant normal" in paid_for_silence(chest, "reward: paper")
    assert paid_for_silence(chest, "reward: diagnosis") == []
    assert not_dearer(chest, ("wrong", "form"), "reward: diagnosis") == []


def test_an_empty_report_and_one_word_are_at_the_bottom(chest):
    earned = {name: of["reward: diagnosis"]["mean"] for name, of in chest["earned"].items()}
    below = sorted(earned, key=earned.get)[:2]
    assert set(below) <= {"empty sections", "Stable. and nothing else", "no headers", "shuffled words"}
    assert earned["empty sections"] == min(earned.values())
    assert earned["Stable. and nothing else"] < earned["constant normal"]
