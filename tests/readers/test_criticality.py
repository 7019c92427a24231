import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.readers.criticality import NOTHING_STATED, critical, criticality_rules, why
from radflow.reports import Report
from radflow.studies.phantoms.carotid import draw_carotid_text


@pytest.mark.parametrize(
    "text",
    [
        "The heart is normal in size. The lungs are clear. No acute disease.",
        "No acute cardiopulmonary abnormality.",
        "Normal chest x-XXXX.",
        "Heart size and pulmonary vascularity are within normal limits. No focal consolidation.",
        "Right: IMT 0.7 mm, not thickened. No plaque. PSV 90 cm/s, normal flow. Left: normal.",
        "No evidence of tuberculosis. No rib fracture.",
        "Lung volumes are low normal. No focal consolidation.",
        "Normal pulmonary vasculature and interstitium.",
        "No significant findings.",
        "No interval change. No acute disease.",
        "Comparison is made with the prior study. The lungs remain clear.",
        "Limited by motion artifact. The lungs are clear.",
        "The previously seen effusion has resolved. Lungs are clear.",
        "XXXX XXXX and lateral views. Lungs are clear. XXXX.",
        "Right: no plaque. Left: no plaque. No stenosis on either side.",
        "No abnormality is seen.",
        "No abnormality detected.",
        "NAD.",
        "Nothing of note.",
        "No significant abnormality.",
        "Nothing abnormal detected.",
        "Appearances are satisfactory.",
        "Normal study.",
        "Within normal limits.",
        "Nothing focal.",
        "No significant finding.",
        "No acute findings.",
        "No abnormal findings.",
        "Normal appearances for age.",
        "Normal heart and lungs.",
        "Poor inspiratory effort. Otherwise unremarkable chest.",
        "Suboptimal inspiration, lungs clear.",
        "Underpenetrated film. No acute abnormality.",
        "Portable AP film, rotated to the left. Clear lungs.",
        "Low-quality study. No acute disease.",
        "Expiratory film. Heart and lungs normal.",
        "Limited by patient motion. No focal abnormality.",
        "Unremarkable study with no change.",
        "No cardiopulmonary abnormality.",
        "No change. Normal.",
        "All clear.",
        "No abnormality.",
        "No abnormality demonstrated.",
        "Nothing acute.",
        "Nothing abnormal seen.",
        "Nothing significant seen.",
        "No significant abnormality detected.",
        "Chest: NAD",
        "Heart and lungs unremarkable.",
        "Normal appearance of the chest.",
        "The chest is clear.",
        "Appearances within normal limits.",
        "No radiographic abnormality.",
        "Essentially normal study.",
        "No pathology seen.",
        "No abnormal finding.",
        "Limited inspiration. Clear lungs.",
        "Slightly rotated. No acute abnormality.",
        "Poor inspiration but lungs clear.",
        "Exposure suboptimal. Otherwise normal.",
        "AP supine film. Normal heart and lungs.",
        "Image quality is limited. No abnormality.",
        "Technically limited study, no acute disease.",
        "Motion artefact. Lungs are clear.",
        "No abnormality identified.",
        "No significant abnormality seen.",
        "Nothing abnormal.",
        "Unremarkable appearances.",
        "Chest clear.",
        "Normal.",
        "No active disease.",
        "No focal lung lesion. Normal heart.",
        "Inspiration is poor. Lungs clear.",
        "Film rotated. No lesion seen.",
        "Suboptimal film but no abnormality seen.",
        "Quality: adequate. No acute process.",
    ],
)
def test_normal(text):
    assert not critical(text)


@pytest.mark.parametrize(
    "text",
    [
        "Lungs are clear. Calcified granuloma in the right upper lobe.",
        "No acute disease. Degenerative changes of the spine.",
        "Possible small effusion.",
        "The heart is enlarged.",
        "Stable cardiomegaly without acute disease.",
        "Right: soft plaque in the bulb.",
        "Left: intima-media thickened, IMT 1.1 mm.",
        "Right PICC with tip in the SVC.",
        "XXXX XXXX has its tip in the SVC. Lungs are clear.",
        "Status post mastectomy. Lungs are clear.",
        "History of sternotomy. No acute disease.",
        "Old granuloma. No acute disease.",
        "Low lung volumes. No acute disease.",
        "Severe joint space narrowing of the knee. Lungs are clear.",
        "Left: no plaque. Right ICA: 50-69% stenosis.",
        "The effusion has not changed.",
        "The heart is slightly larger than on the previous film.",
        "The heart has increased in size.",
        "Heart size has increased.",
        "The effusion is bigger.",
        "Lungs are not clear.",
        "The chest is not normal.",
        "Abnormal chest radiograph.",
        "Right upper lobe shadowing.",
        "Possible small nodule.",
        "Low lung volumes with bibasilar atelectasis.",
        "ETT in good position.",
        "Tiny R PTX.",
        "Hiatus hernia.",
        "An abnormality is seen at the left base.",
        "The heart has enlarged since the prior.",
        "The lungs aren't clear.",
        "The heart is a little larger.",
        "Something abnormal at the right apex.",
        "Not a normal chest.",
        "Significant abnormality of the left lung.",
        "Old granulomatous disease.",
        "Right-sided PICC, lungs clear.",
        "Mild cardiomegaly.",
        "Possible early pneumonia.",
        "The cardiac silhouette is bigger than on the prior study.",
        "There is an abnormality in the left lower zone.",
        "Findings are abnormal.",
        "Heart size has increased slightly.",
        "Small effusion remains.",
    ],
)
def test_critical(text):
    assert critical(text)


@pytest.mark.parametrize(
    "text", ["", " \n", "See previous report.", "XXXX XXXX.", "Comparison: XXXX.", "None."]
)
def test_a_report_that_says_nothing_is_not_called_normal(text):
    assert critical(text)
    (reason,) = why(Report(text=text, findings=None, impression=None))
    assert reason.entry == NOTHING_STATED


def test_history_asked_about_is_not_surgery():
    assert not critical("Evaluate for foreign body. Lungs are clear.")


def test_reasons_point_into_the_section_they_were_found_in():
    findings = "The heart is enlarged. No effusion."
    report = Report(text="", findings=findings, impression="Possible old granuloma.")
    assert [(reason.section, reason.phrase, reason.entry) for reason in why(report)] == [
        ("findings", "heart is enlarged", "Cardiomegaly"),
        ("impression", "granuloma", "old or healed disease"),
    ]
    assert findings[slice(*why(report)[0].span)] == "heart is enlarged"


def test_a_report_is_critical_exactly_when_there_is_a_reason():
    studies = [draw_carotid_text(index, seed=3) for index in range(50)]
    reports = [Report(text="", findings=s.findings, impression=s.impression) for s in studies]
    assert [bool(why(report)) for report in reports] == criticality_rules(reports)


def test_exact_on_carotid_phantoms():
    studies = [draw_carotid_text(index, seed=2) for index in range(200)]
    reports = [Report(text="", findings=s.findings, impression=s.impression) for s in studies]
    assert criticality_rules(reports) == [s.critical for s in studies]
    assert {s.critical for s in studies} == {True, False}


def test_sections_are_read_where_known_else_the_whole_text():
    sectioned = Report(text="Old fracture.", findings="Lungs are clear.", impression=None)
    whole = Report(text="Old fracture.", findings=None, impression=None)
    assert criticality_rules([sectioned, whole]) == [False, True]


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_never_raises(text):
    report = Report(text=text, findings=None, impression=None)
    reasons = why(report)
    assert bool(reasons) == critical(text)
    assert all(text[slice(*reason.span)] == reason.phrase for reason in reasons)
