import json

import pytest

from radflow.readers import labeler
from radflow.readers.evidence import critical_because, explain_report
from radflow.reports import parse_report
from radflow.studies import Study

REPORTS = {
    "chest-xray": "Findings: The heart is enlarged. No effusion. Impression: Possible pneumonia. No edema.",
    "carotid-us": "Findings: Right: hard plaque in the bulb. Left: no plaque. Impression: Right bulb plaque.",
}


@pytest.mark.parametrize("modality", REPORTS)
def test_labels_are_the_labelers_and_every_position_is_in_the_text(modality: str) -> None:
    text = REPORTS[modality]
    record = explain_report(text, modality)
    assert record["labels"] == labeler(modality)([text])[0]
    assert len(record["evidence"]) >= 4
    for found in record["evidence"]:
        for start, end in (*found["spans"], *([found["cue"]] if found["cue"] else [])):
            assert 0 <= start < end <= len(text)
    assert json.loads(json.dumps(record)) == record


def test_a_carotid_denial_is_a_state_and_not_a_name() -> None:
    found = explain_report(REPORTS["carotid-us"], "carotid-us")["evidence"]
    assert ("plaque@left", 0) in [(one["name"], one["state"]) for one in found]
    assert ("plaque@right-bulb", 1) in [(one["name"], one["state"]) for one in found]


@pytest.mark.parametrize(
    ("by", "text", "because"),
    [
        (
            "criticality-rules",
            "Findings: Old rib fracture. Impression: Rib fracture.",
            ["rib fracture", "Rib fracture"],
        ),
        ("criticality-rules", "Findings: Clear lungs. Impression: No acute disease.", []),
        ("radiologist", "Findings: Old rib fracture. Impression: Rib fracture.", []),
    ],
)
def test_only_what_the_rules_called_critical_has_their_reasons(
    by: str, text: str, because: list[str]
) -> None:
    study = Study(
        study_id="s", patient_id="p", images=(), reference=parse_report(text), split="test",
        modality="chest-xray", critical=bool(because), critical_by=by,
    )  # fmt: skip
    assert critical_because(study) == because
