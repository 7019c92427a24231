import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radflow.readers.criticality import critical, criticality_rules
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
    ],
)
def test_critical(text):
    assert critical(text)


def test_a_report_that_says_nothing_is_not_called_normal():
    assert critical("")
    assert critical("See previous report.")


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
    assert critical(text) in (True, False)
