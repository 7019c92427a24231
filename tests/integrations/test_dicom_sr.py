"""The document against pydicom with its strictest checks, and highdicom's reader of content trees."""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from radflow.errors import DataError, MissingDependencyError
from radflow.integrations.dicom_sr import BASIC_TEXT_SR, basic_text_sr
from radflow.reports import Report
from radflow.reports.draft import NOTICE, Draft


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom import config

    monkeypatch.setattr(config.settings, "reading_validation_mode", config.RAISE)
    monkeypatch.setattr(config.settings, "writing_validation_mode", config.RAISE)


def read(content: bytes) -> Any:
    """The document; every value is parsed, so that each is checked against its representation."""
    import pydicom

    document = pydicom.dcmread(io.BytesIO(content))
    for element in document.iterall():
        assert element.value is not None or element.VR != "SQ"
    return document


def tree(document: Any) -> Any:
    from highdicom.sr import ContentSequence

    return ContentSequence.from_sequence(document.ContentSequence)


def source(path: Path, *, study: str = "1.2.3", series: str = "1.2.3.1", patient: str = "P1") -> Path:
    """A DICOM file with a patient and no pixels."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset

    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.PatientName, made.PatientID, made.PatientBirthDate = "Müller^Eva", patient, "19500101"
    made.StudyInstanceUID, made.SeriesInstanceUID = study, series
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", f"{series}.{len(path.name)}"
    made.StudyDate, made.AccessionNumber = "20200101", "A1"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    made.save_as(path, enforce_file_format=True)
    return path


def texts(sequence: Any) -> dict[str, list[str]]:
    """Text items by the meaning of their names."""
    found: dict[str, list[str]] = {}
    for item in sequence:
        if item.ValueType == "TEXT":
            found.setdefault(item.name.meaning, []).append(item.value)
        for name, values in texts(item.get("ContentSequence", [])).items():
            found.setdefault(name, []).extend(values)
    return found


def test_the_tree_is_a_report_with_its_sections(draft: Draft) -> None:
    document = read(basic_text_sr(draft))
    assert document.SOPClassUID == document.file_meta.MediaStorageSOPClassUID == BASIC_TEXT_SR
    assert document.ConceptNameCodeSequence[0].CodeValue == "18748-4"
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "2000"
    items = tree(document)
    sections = [item for item in items if item.ValueType == "CONTAINER"]
    assert [(s.name.value, s.name.scheme_designator) for s in sections] == [
        ("59776-5", "LN"),
        ("19005-8", "LN"),
    ]
    said = texts(items)
    assert said["Finding"] == [draft.report.findings]
    assert said["Impression"] == [draft.report.impression]
    assert said["Device Observer Name"] == ["Tiny (sft)"]
    kinds = {item.name.meaning: item.relationship_type for item in items}
    assert kinds["Language of Content Item and Descendants"].value == "HAS CONCEPT MOD"
    assert kinds["Observer Type"].value == "HAS OBS CONTEXT"
    assert draft.reasons[0] in " ".join(said["Comment"])
    assert "normal (0.25), Left (0.40)" in said["Comment"][-1]


def test_codes_are_those_of_the_standard(draft: Draft) -> None:
    """pydicom carries the context groups of PS3.16: the title is of CID 7000, then 7001 and 7002."""
    from pydicom.sr.codedict import codes

    document = read(basic_text_sr(draft))
    sections = [item for item in document.ContentSequence if item.ValueType == "CONTAINER"]
    for group, items in {
        "cid7000": [document],
        "cid7001": sections,
        "cid7002": [section.ContentSequence[0] for section in sections],
    }.items():
        known = {
            (code.scheme_designator, code.value, code.meaning) for code in _members(getattr(codes, group))
        }
        for item in items:
            [name] = item.ConceptNameCodeSequence
            assert (name.CodingSchemeDesignator, name.CodeValue, name.CodeMeaning) in known


def _members(group: Any) -> list[Any]:
    return [getattr(group, name) for name in group.dir()]


def test_it_says_that_it_is_a_draft(draft: Draft) -> None:
    document = read(basic_text_sr(draft))
    assert (document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag) == (
        "PARTIAL",
        "UNVERIFIED",
        "PRELIMINARY",
    )
    assert document.CompletionFlagDescription == NOTICE
    assert document.SeriesDescription == "Draft, not for diagnosis"
    assert texts(tree(document))["Comment"][0] == NOTICE


def test_without_sources_it_names_nobody(draft: Draft) -> None:
    first, second = read(basic_text_sr(draft)), read(basic_text_sr(draft))
    for name in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "AccessionNumber", "StudyID"):
        assert str(first[name].value or "") == ""
    assert "CurrentRequestedProcedureEvidenceSequence" not in first
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert first[name].value != second[name].value


def test_sources_give_patient_study_and_references(draft: Draft, tmp_path: Path) -> None:
    paths = [
        source(tmp_path / "a.dcm"),
        source(tmp_path / "bb.dcm"),
        source(tmp_path / "c.dcm", series="1.2.3.2"),
    ]
    document = read(basic_text_sr(draft, sources=paths))
    assert (str(document.PatientName), document.PatientID, document.AccessionNumber) == (
        "Müller^Eva",
        "P1",
        "A1",
    )
    assert document.StudyInstanceUID == "1.2.3"
    [evidence] = document.CurrentRequestedProcedureEvidenceSequence
    instances = {
        one.ReferencedSOPInstanceUID
        for series in evidence.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert instances == {"1.2.3.1.5", "1.2.3.1.6", "1.2.3.2.5"}
    findings = next(item for item in tree(document) if item.ValueType == "CONTAINER")
    images = [item for item in findings.ContentSequence if item.ValueType == "IMAGE"]
    assert {image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for image in images} == instances


def test_values_that_the_standard_does_not_allow_stay_behind(
    draft: Draft, tmp_path: Path, recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pydicom

    path = source(tmp_path / "a.dcm")
    for mode in ("reading_validation_mode", "writing_validation_mode"):
        monkeypatch.setattr(pydicom.config.settings, mode, pydicom.config.IGNORE)
    made = pydicom.dcmread(path)
    made.StudyDate, made.PatientAge = "26.08.04", "45"
    made.save_as(path)
    for mode in ("reading_validation_mode", "writing_validation_mode"):
        monkeypatch.setattr(pydicom.config.settings, mode, pydicom.config.WARN)  # what users have
    document = read(basic_text_sr(draft, sources=[path]))
    assert (document.StudyDate, document.PatientID) == ("", "P1")
    assert "PatientAge" not in document
    assert not list(recwarn)


def test_sources_of_two_studies_are_refused_without_naming_anybody(draft: Draft, tmp_path: Path) -> None:
    first = source(tmp_path / "a.dcm")
    for other in (source(tmp_path / "b.dcm", study="1.2.4"), source(tmp_path / "c.dcm", patient="P2")):
        with pytest.raises(DataError, match="DICOM files of one study") as error:
            basic_text_sr(draft, sources=[first, other])
        assert "P2" not in str(error.value) and "1.2.4" not in str(error.value)


def test_what_is_no_dicom_is_refused(draft: Draft, tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_text("hello")
    with pytest.raises(DataError, match=r"x.dcm: expected a DICOM file"):
        basic_text_sr(draft, sources=[tmp_path / "x.dcm"])


@pytest.mark.parametrize("text", ["", "Größe < 5 mm\n\\ ok ", "x" * 20_000])
def test_any_text_is_written(draft: Draft, text: str) -> None:
    report = Report(text=text, findings=None, impression=None)
    document = read(
        basic_text_sr(replace(draft, report=report, words=(), consistent=None, model="a\\b" * 40))
    )
    said = texts(tree(document))
    assert said["Finding"] == [text.strip() or "(the model wrote nothing)"]
    assert "Impression" not in said
    assert any("could be told apart" in comment for comment in said["Comment"])


def test_without_pydicom_it_says_how_to_get_it(draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingDependencyError, match=r"radflow\[dicom\]"):
        basic_text_sr(draft)
