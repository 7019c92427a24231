"""Real reports of Open-i and drawn carotid ones: each is a sample against each other's reference."""

from itertools import permutations

import pytest

from radflow.metrics import score
from radflow.readers import labeler
from radflow.reports import Report, parse_report
from radflow.training.editing.mending import mend_report

CHEST = (
    "Findings: Heart size mildly enlarged, stable mediastinal and hilar contours. No focal alveolar "
    "consolidation, no definite pleural effusion seen. No typical findings of pulmonary edema. No "
    "pneumothorax. Impression: Mild cardiomegaly, no acute pulmonary findings",
    "Findings: The lungs are clear. The heart and pulmonary XXXX are normal. The pleural spaces are "
    "clear. Mediastinal contours are normal. Impression: No acute cardiopulmonary disease",
    "Findings: Right thorax volume loss with some degree of left-to-right mediastinal shift. No focal "
    "consolidation, pneumothorax or large pleural effusion. Negative for acute displaced rib fracture. "
    "Impression: Negative for acute abnormality.",
    "Findings: The heart size of the limits of normal. There is no pneumothorax or pleural effusion. "
    "There are no focal areas of consolidation. There is a calcified granuloma right midlung and "
    "posterior costophrenic sulcus. Impression: No acute cardiopulmonary abnormality.",
    "Findings: Small left pleural effusion with basilar atelectasis. The heart is normal in size. "
    "Impression: 1. Small left effusion. 2. Left basilar atelectasis.",
)
CAROTID = (
    "Findings: Right: IMT 0.6 mm, not thickened. On the posterior wall of the bulb a hard plaque, "
    "smooth, 2.5 mm thick. PSV 90 cm/s, normal flow. Left: IMT 0.6 mm, not thickened. No plaque. PSV 90"
    " cm/s, normal flow. Impression: Right: bulb plaque with stenosis below 50%. Left: normal.",
    "Findings: Right side: IMT increased to 1.3 mm. No plaque is seen. PSV 110 cm/s, normal flow. Left "
    "carotid: IMT 0.6 mm, not thickened. Plaque is not seen. Flow is normal, PSV 70 cm/s. Impression: "
    "Right: thickened intima-media. Left: normal.",
    "Findings: Right: IMT 0.7 mm, not thickened. Plaque is not seen. PSV 90 cm/s, normal flow. Left: "
    "IMT 0.6 mm, not thickened. No plaque. PSV 80 cm/s, normal flow. Impression: Normal carotid "
    "arteries on both sides.",
)


@pytest.mark.parametrize(
    ("modality", "texts", "metric"),
    [("chest-xray", CHEST, "chexpert_f1"), ("carotid-us", CAROTID, "carotid_f1")],
)
def test_mended_reports_are_nearer_to_their_reference(modality: str, texts: tuple, metric: str) -> None:
    pairs = list(permutations(texts, 2))
    mended = [mend_report(ours, parse_report(theirs), modality, seed=3) for ours, theirs in pairs]
    assert mended == [mend_report(ours, parse_report(theirs), modality, seed=3) for ours, theirs in pairs]
    after = [one.text if one else ours for one, (ours, _) in zip(mended, pairs, strict=True)]
    assert all(parse_report(text).sectioned for text in after)
    references = [theirs for _, theirs in pairs]
    gain = (
        score(after, references, [metric])[metric]
        - score([p[0] for p in pairs], references, [metric])[metric]
    )
    assert (gain >= 0).all()
    assert gain.mean() > 0.2
    assert {kind for one in mended if one for kind, _ in one.faults} >= {"replaced", "removed"}


def test_a_right_report_stays() -> None:
    for modality, texts in (("chest-xray", CHEST), ("carotid-us", CAROTID)):
        assert all(mend_report(text, parse_report(text), modality, seed=0) is None for text in texts)


def test_what_is_added_to_the_findings_reaches_the_impression() -> None:
    reference = parse_report(CHEST[4])
    seen = [mend_report(CHEST[1], reference, "chest-xray", seed=seed) for seed in range(4)]
    read = labeler("chest-xray")
    for mended in seen:
        assert mended is not None
        after = parse_report(mended.text)
        findings, impression = read([after.findings or "", after.impression or ""])
        assert [name for name, state in findings.items() if state == 1] == [
            name for name, state in impression.items() if state == 1
        ]


def test_the_seed_draws_which_finding_is_mended() -> None:
    reference = parse_report("Findings: Left effusion. Old rib fracture. Impression: Effusion. Rib fracture.")
    sampled = "Findings: The heart is normal. Impression: Normal heart."
    texts = [mend_report(sampled, reference, "chest-xray", seed=seed) for seed in range(6)]
    assert {mended.faults[-1][1] for mended in texts if mended} == {"Pleural Effusion", "Fracture"}


def test_a_sentence_comes_under_the_heading_of_its_side() -> None:
    mended = mend_report(CAROTID[2], parse_report(CAROTID[1]), "carotid-us", seed=0)
    assert mended is not None
    assert mended.text.startswith("Findings: Right side: IMT increased to 1.3 mm. Plaque is not seen.")
    assert labeler("carotid-us")([mended.text])[0]["right thickened intima-media"] == 1
    assert labeler("carotid-us")([mended.text])[0]["left thickened intima-media"] != 1


def test_what_has_other_sections_than_its_reference_is_left_alone() -> None:
    unfinished = "Findings: There is edema"
    assert mend_report(unfinished, parse_report(CHEST[1]), "chest-xray", seed=0) is None
    alone = Report(text="No edema.", findings="No edema.", impression=None)
    mended = mend_report("Findings: There is edema.", alone, "chest-xray", seed=0)
    assert mended is not None
    assert (mended.text, mended.faults) == ("No edema.", (("removed", "Edema"),))


def test_what_no_rule_reads_is_left_alone() -> None:
    reference = parse_report("Findings: Nothing that rules know. Impression: Nothing.")
    assert mend_report("Findings: Other words. Impression: None.", reference, "chest-xray", seed=0) is None
