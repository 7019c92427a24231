import random
import re
import runpy
from collections import Counter
from pathlib import Path

import pytest

from radflow.judges.rules.carotid import velocities
from radflow.judges.rules.judge import RulesJudge
from radflow.sru import GRADES
from radflow.studies.phantoms.carotid import draw_carotid_text

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "judge.py"
PLAQUE = (
    "Right: IMT 0.8 mm, normal. "
    "Hard plaque with smooth surface on the posterior wall of the bulb, 2.0 mm thick. "
    "PSV 90 cm/s, normal flow. "
    "Left: IMT 1.2 mm, thickened. No plaque. PSV 80 cm/s, normal flow."
)
CONCLUSION = "Right: bulb plaque with stenosis below 50%. Left: intima-media thickening."


@pytest.fixture(scope="module")
def judge():
    return RulesJudge()


@pytest.fixture(scope="module")
def phantoms():
    return [draw_carotid_text(index, seed=5) for index in range(300)]


def test_every_phantom_reference_is_consistent(judge, phantoms):
    faults = [(p.study_id, judge.explain(p.findings, p.impression).reasons) for p in phantoms]
    assert [fault for fault in faults if fault[1]] == []


def test_an_impression_of_another_phantom_is_caught(judge, phantoms):
    generator = random.Random(0)
    wrong = right = 0
    for study in phantoms:
        other = generator.choice(phantoms)
        same = all(
            _conclusion(study.truth[side]) == _conclusion(other.truth[side]) for side in ("right", "left")
        )
        answer = judge([(study.findings, other.impression)])[0]
        wrong += not same and not answer
        right += not same
    assert right > 150
    assert wrong == right


def test_every_corruption_of_a_phantom_is_caught(judge, phantoms):
    corrupt = runpy.run_path(str(BENCHMARK))["carotid_corruptions"]
    made, missed = Counter(), []
    for index, study in enumerate(phantoms[:90]):
        for kind, impression in corrupt(study, index):
            made[kind] += 1
            if judge([(study.findings, impression)]) == [True]:
                missed.append((kind, study.findings, impression))
    assert missed == []
    assert len(made) == 8 and min(made.values()) >= 10 and made.total() > 300


def test_phantoms_cover_every_grade(phantoms):
    assert {study.truth[side]["grade"] for study in phantoms for side in ("right", "left")} == set(GRADES)


def _conclusion(side):
    segments = sorted(plaque["segment"] for plaque in side["plaques"])
    return side["grade"] if segments else None, segments, side["imt_mm"] >= 1.0


def test_the_hand_written_pair_is_consistent(judge):
    assert judge.explain(PLAQUE, CONCLUSION).reasons == ()


@pytest.mark.parametrize(
    ("impression", "reason"),
    [
        ("Left: bulb plaque with stenosis below 50%. Right: normal.", "left: .* on the other side"),
        (CONCLUSION.replace("below 50%", "of 70% or more"), "right: .* imply the grade <50%"),
        (CONCLUSION.replace("bulb", "ICA"), "right: .* plaque of the ICA"),
        ("Right: normal. Left: intima-media thickening.", "right: .* describe plaque"),
        (
            "Right: bulb plaque with stenosis below 50%. Left: normal.",
            "left: .* thickening, .* leaves it out",
        ),
        (CONCLUSION.replace("Left:", "Left: total occlusion,"), "left: .* occlusion"),
        ("Both carotid arteries are normal.", "right: .* describe plaque"),
        ("Follow-up in one year.", "no conclusion"),
    ],
)
def test_each_kind_of_fault_is_named(judge, impression, reason):
    verdict = judge.explain(PLAQUE, impression)
    assert not verdict.consistent
    assert any(re.search(reason, text) for text in verdict.reasons), verdict.reasons


@pytest.mark.parametrize(
    ("impression", "quoted"),
    [
        (
            CONCLUSION.replace("below 50%", "of 70% or more"),
            "Right: bulb plaque with stenosis of 70% or more.",
        ),
        ("Right: bulb plaque with stenosis below 50%. Left: normal.", "Left: normal."),
        ("Left: intima-media thickening.", None),
    ],
)
def test_a_reason_names_the_sentence_about_its_side(judge, impression, quoted):
    (reason,) = judge.explain(PLAQUE, impression).reasons
    assert reason.endswith(f'(in "{quoted}")' if quoted else "(Impression as a whole)")


@pytest.mark.parametrize(
    ("percentage", "follows"), [("30%", True), ("45%", True), ("60%", False), ("85%", False)]
)
def test_a_percentage_must_be_in_the_class_of_the_velocity(judge, percentage, follows):
    impression = CONCLUSION.replace("stenosis below 50%", f"{percentage} stenosis")
    assert judge([(PLAQUE, impression)]) == [follows]


def test_the_velocity_decides_the_grade(judge):
    fast = PLAQUE.replace("PSV 90 cm/s, normal flow. Left", "PSV 260 cm/s, turbulent flow. Left")
    assert judge([(fast, CONCLUSION)]) == [False]
    assert judge([(fast, CONCLUSION.replace("below 50%", "of 70% or more"))]) == [True]


def test_normal_over_silence_is_a_fault(judge):
    assert judge([("Carotid examination.", "Both carotid arteries are normal.")]) == [False]


def test_velocities_leave_end_diastolic_ones_aside():
    assert velocities("Right: PSV 130 cm/s, EDV 240 cm/s.") == {"right": 130.0}
    assert velocities("PSV 90 cm/s.") == {}
