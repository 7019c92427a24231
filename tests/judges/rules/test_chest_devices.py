import pytest

from radflow.judges.rules.chest_devices import device_faults
from radflow.judges.rules.chest_statements import read_section, read_statement
from radflow.readers.chexpert import label


def faults(findings, impression):
    sections = [
        read_section(text, lambda sentence: read_statement(sentence, label))
        for text in (findings, impression)
    ]
    return [reason.about for reason in device_faults(*sections)]


@pytest.mark.parametrize(
    ("findings", "impression", "about"),
    [
        ("Clear lungs.", "No acute disease. Endotracheal tube in good position.", "airway tube"),
        ("Clear lungs.", "Intubated, tube above the carina.", "airway tube"),
        ("Clear lungs.", "Dual lead pacemaker.", "pacemaker or defibrillator"),
        ("Coils in the spleen.", "Pigtail drain in the left pleural space.", "chest drain"),
        ("Left pacemaker. Clear lungs.", "Right PICC, tip in the SVC.", "venous catheter"),
    ],
)
def test_a_device_that_the_findings_do_not_have(findings, impression, about):
    assert about in faults(findings, impression)


@pytest.mark.parametrize(
    ("findings", "impression"),
    [
        ("Left pacemaker. Clear lungs.", "Stable ICD leads."),
        ("Right subclavian central line.", "PICC in the SVC."),
        ("Clear lungs.", "No acute disease."),
        ("Sternotomy wires.", "Interval removal of the chest tube."),
        ("Clear lungs.", "The chest tube has been removed."),
    ],
)
def test_a_device_that_follows(findings, impression):
    assert faults(findings, impression) == []
