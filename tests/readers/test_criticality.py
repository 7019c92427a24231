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
