import re

import pytest

from radflow.judges.rules import RulesJudge


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
        ("The patient was seen.", "No acute disease.", "nothing can be read in the Findings"),
        (CLEAR, "Please see above.", "nothing can be read in the Impression"),
    ],
)
def test_each_kind_of_fault_is_named(judge, findings, impression, reason):
    verdict = judge.explain(findings, impression)
    assert not verdict.consistent
    assert any(re.search(reason, text) for text in verdict.reasons), verdict.reasons
