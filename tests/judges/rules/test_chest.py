import hashlib
import re
import runpy
from collections import Counter
from pathlib import Path

import pytest

from radflow.judges.rules.judge import RulesJudge
from radflow.studies.sources.openi import open_i_reports

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "judge.py"
KINDS = {"swap side", "drop finding", "flip negation", "swap Impression", "upgrade degree", "invent device"}


@pytest.fixture(scope="module")
def judge():
    return RulesJudge()


CLEAR = (
    "The heart is normal in size. The lungs are clear. No pleural effusion or pneumothorax. No rib fracture."
)


@pytest.mark.parametrize(
    ("findings", "impression"),
    [
        (CLEAR, "No acute cardiopulmonary abnormality."),
        (CLEAR, "Normal chest."),
        ("There is a right lower lobe opacity. No pleural effusion.", "Right lower lobe pneumonia."),
        ("Small left pleural effusion. The heart is normal in size.", "Small left pleural effusion."),
        ("Blunting of the left costophrenic angle.", "Small left pleural effusion."),
        ("The heart is mildly enlarged. Lungs are clear.", "No acute cardiopulmonary abnormality."),
        ("Old healed left rib fractures. Lungs are clear.", "No acute disease."),
        ("Bibasilar opacities. No effusion.", "Left basilar atelectasis."),
        ("Right chest tube. Small right pneumothorax.", "Small residual right pneumothorax."),
        ("Heart size is at the upper limits of normal.", "Borderline cardiomegaly."),
        ("No acute bony abnormality. Wedging of T8.", "Old compression fracture of T8."),
        ("Old right rib fracture. Lungs are clear.", "No left rib fracture. No acute disease."),
        ("Emphysema with coarse interstitial markings.", "Emphysema."),
        (CLEAR, "Negative."),
    ],
)
def test_consistent(judge, findings, impression):
    assert judge.explain(findings, impression).reasons == ()


@pytest.mark.parametrize(
    ("findings", "impression", "reason"),
    [
        (CLEAR, "Left pleural effusion.", "Pleural Effusion: asserted in the Impression, denied"),
        (CLEAR, "Right pneumothorax.", "Pneumothorax: asserted in the Impression, denied"),
        ("The heart is enlarged.", "Acute rib fracture.", "Fracture: asserted in the Impression, absent"),
        ("Large right pneumothorax.", "No pneumothorax.", "Pneumothorax: asserted in the Findings, denied"),
        (
            "Moderate right pleural effusion. The heart is enlarged.",
            "Cardiomegaly.",
            "Pleural Effusion: asserted in the Findings, left out",
        ),
        (
            "The heart is enlarged. Lungs are clear.",
            "Normal chest.",
            "Cardiomegaly: .* calls the study normal",
        ),
        (
            "There is a 3 cm mass in the left upper lobe.",
            "No acute disease.",
            "Lung Lesion: .* passes over it",
        ),
        (
            "Left pleural effusion.",
            "Right pleural effusion.",
            "Pleural Effusion: right in the Impression, left",
        ),
        ("Small left pleural effusion.", "Large left pleural effusion.", "Pleural Effusion: its degree"),
        (
            "Right upper lobe opacity.",
            "Right lower lobe opacity.",
            "lower zone in the Impression, upper zone",
        ),
        (
            "Left upper lobe opacity. Right lower lobe opacity.",
            "Right upper lobe pneumonia.",
            "Pneumonia: this side of this zone",
        ),
        ("Left pleural effusion.", "Bilateral pleural effusions.", "on both sides in the Impression, left"),
        ("Elevated right hemidiaphragm.", "Elevated left hemidiaphragm.", "hemidiaphragm: left in"),
        ("Left PICC.", "Right PICC, tip in the SVC.", "venous catheter: right in"),
        ("Stable cardiomegaly.", "Massive cardiomegaly.", "Cardiomegaly: called large or severe in"),
        ("Heart size is top normal.", "Severe cardiomegaly.", "Cardiomegaly: its degree"),
        ("Possible effusion. Cardiomegaly.", "Cardiomegaly.", "Pleural Effusion: .* left out"),
        ("Mild edema and cardiomegaly.", "Cardiomegaly.", "Edema: .* left out"),
        (
            "Atelectasis at the right base. Left lower lobe pneumonia.",
            "Atelectasis at the right base.",
            "Pneumonia: .* left out",
        ),
        ("The patient was seen.", "No acute disease.", "nothing can be read in the Findings"),
        (CLEAR, "Please see above.", "nothing can be read in the Impression"),
    ],
)
def test_each_kind_of_fault_is_named(judge, findings, impression, reason):
    verdict = judge.explain(findings, impression)
    assert not verdict.consistent
    assert any(re.search(reason, text) for text in verdict.reasons), verdict.reasons


def test_each_sentence_of_the_impression_gets_its_own_reason(judge):
    findings = "Small left pleural effusion. Right pneumothorax. The heart is normal in size."
    impression = "1. Right pleural effusion. 2. Cardiomegaly."
    assert judge.explain(findings, impression).reasons == (
        'Pleural Effusion: right in the Impression, left in the Findings (in "1. Right pleural effusion.")',
        'Cardiomegaly: asserted in the Impression, denied in the Findings (in "2. Cardiomegaly.")',
        "Pneumothorax: asserted in the Findings, left out of the Impression (Impression as a whole)",
    )


@pytest.fixture(scope="module")
def reports():
    return {report.number: report for report in open_i_reports()}


@pytest.fixture(scope="module")
def corruptions(reports):
    return list(runpy.run_path(str(BENCHMARK))["hand_made_corruptions"](reports))


def test_the_hand_made_corruptions_are_whole(corruptions):
    kinds = Counter(row["kind"] for row, _, _ in corruptions)
    assert set(kinds) == KINDS and sum(kinds.values()) >= 200 and min(kinds.values()) >= 33
    for row, original, corrupted in corruptions:
        digest = hashlib.sha256(str(row["uid"]).encode()).hexdigest()
        assert row["held_out"] == (int(digest, 16) % 3 == 0), row
        assert row["held_out"] == bool(row["uid"] % 2), row
        assert all(original) and all(corrupted) and original != corrupted, row


def test_hand_made_corruptions_are_caught_by_kind(judge, corruptions):
    missed = Counter()
    for row, original, corrupted in corruptions:
        new = set(judge.explain(*corrupted).reasons) - set(judge.explain(*original).reasons)
        missed[row["kind"], row["held_out"]] += not new
    assert {key: count for key, count in missed.items() if count > 2 * key[1]} == {}


def test_false_alarms_on_radiologists_own_reports_stay_rare(judge, reports):
    pairs = [(report.findings, report.impression) for report in reports.values()]
    answers = judge([pair for pair in pairs if all(pair)])
    assert len(answers) == 3419
    assert answers.count(False) / len(answers) <= 0.04
