"""Nothing that identifies comes out: names planted in every tag, and every output searched for them."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed (the extra 'dicom')")

import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import JPEGLSLossless

from radflow.errors import RadflowError
from radflow.studies import Study, load_image, to_pil
from radflow.studies.dicom import check_dicom, expand, inspect
from radflow.studies.dicom.file import opened
from radflow.studies.dicom.pixels import render
from radflow.studies.dicom.series import frames_of
from radflow.studies.dicom.tags import READ, region_of
from radflow.studies.manifest import write_manifest

_NAMES = """PatientName OtherPatientNames PatientBirthName PatientMotherBirthName ReferringPhysicianName
    PerformingPhysicianName OperatorsName PhysiciansOfRecord NameOfPhysiciansReadingStudy RequestingPhysician
    ConsultingPhysicianName ScheduledPerformingPhysicianName ResponsiblePerson VerifyingObserverName
    PersonName
    ContentCreatorName ReviewerName"""
_IDS = """PatientID OtherPatientIDs AccessionNumber StudyID AdmissionID MedicalRecordLocator
    RequestedProcedureID ScheduledProcedureStepID PerformedProcedureStepID IssuerOfPatientID
    DeviceSerialNumber PlateID CassetteID DetectorID GantryID FillerOrderNumberImagingServiceRequest
    PlacerOrderNumberImagingServiceRequest StudyInstanceUID SeriesInstanceUID SOPInstanceUID
    FrameOfReferenceUID InstanceCreatorUID DeviceUID"""
_PLACES = """InstitutionName InstitutionAddress InstitutionalDepartmentName StationName PatientAddress
    PatientTelephoneNumbers RegionOfResidence CountryOfResidence CurrentPatientLocation
    ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers PersonAddress PersonTelephoneNumbers
    ScheduledStationName PerformedStationName PatientInstitutionResidence ResponsibleOrganization"""
_DATES = """PatientBirthDate PatientBirthTime StudyDate SeriesDate AcquisitionDate ContentDate
    AcquisitionDateTime InstanceCreationDate StudyTime SeriesTime AcquisitionTime ContentTime
    AdmittingDate LastMenstrualDate PerformedProcedureStepStartDate"""
_PERSON = """PatientSex PatientAge PatientSize PatientWeight EthnicGroup Occupation PatientReligiousPreference
    MilitaryRank BranchOfService InsurancePlanIdentification SmokingStatus PregnancyStatus"""
_FREE_TEXT = """StudyDescription SeriesDescription ProtocolName ImageComments PatientComments StudyComments
    AdditionalPatientHistory ReasonForStudy RequestedProcedureDescription RequestAttributesSequence
    AdmittingDiagnosesDescription DerivationDescription PerformedProcedureStepDescription
    RequestedProcedureComments ReasonForTheRequestedProcedure Allergies MedicalAlerts PatientState
    AcquisitionComments AcquisitionDeviceProcessingDescription InterpretationText"""


def identifying_tags() -> tuple[str, ...]:
    """Keywords of the tags whose values identify, or may: those met of DICOM PS3.15 Table E.1-1."""
    return tuple(" ".join((_NAMES, _IDS, _PLACES, _DATES, _PERSON, _FREE_TEXT)).split())


Make = Callable[..., Path]
SECRETS = (b"QUAGGA", b"19510203", b"1.2.999.31337", b"313.37")
# A value of each type; the texts do not fit DA, TM, UI and so on, which makes pydicom quote them in warnings.
PLANTED = {
    "DA": "19510203",
    "TM": "195102.03",
    "DT": "19510203",
    "UI": "1.2.999.31337",
    "DS": "313.37",
    "IS": "31337",
}
FILLER = "000000000077"  # pydicom writes no text as a number: these are overwritten in the file
PIXELS = np.random.default_rng(0).integers(0, 200, (40, 40), dtype=np.uint16)


def plant(ds: pydicom.Dataset, keyword: str, *, misfit: bool = False) -> None:
    vr = dictionary_VR(keyword)
    if vr == "SQ":
        item = pydicom.Dataset()
        item.PatientName = "QUAGGA^EQUUS"
        ds.add_new(keyword, vr, [item])
        return
    value = "QUAGGA^EQUUS" if misfit else PLANTED.get(vr, "QUAGGA^EQUUS")
    if vr == "US":
        value = 31337
    elif misfit and vr in ("DS", "IS"):
        value = FILLER
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.add_new(keyword, vr, value)


def planted(path: Path, keywords: tuple[str, ...], *, misfit: bool = False) -> Path:
    ds = pydicom.dcmread(path)
    for keyword in keywords:
        plant(ds, keyword, misfit=misfit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.save_as(path)
    content = path.read_bytes().replace(FILLER.encode(), b"QUAGGA^EQUUS")
    assert any(secret in content for secret in SECRETS)
    path.write_bytes(content)
    return path


def everything_said(path: Path, out: Path) -> bytes:
    """All that radflow makes of a file: pixels, PNGs and their names, metadata, reprs, a manifest, errors."""
    said: list[object] = []
    steps: list[Callable[[], object]] = [
        lambda: check_dicom(path),
        lambda: load_image(path).tobytes(),
        lambda: inspect(path),
        lambda: [file.name.encode() + file.read_bytes() for file in expand(path, out / "files")],
        lambda: [file.read_bytes() for file in expand(path.parent, out / "folder", as_montage=True)],
        lambda: manifest(path, out),
        lambda: png(path),
        lambda: inside(path),
    ]
    for step in steps:
        try:
            said.append(step())
        except RadflowError as error:
            said += [error, repr(error), error.args]
    return b"\n".join(part if isinstance(part, bytes) else repr(part).encode() for part in said)


def inside(path: Path) -> object:
    with opened(path) as file:
        return [repr(file), repr(frames_of(file)), repr(render(file).remarks)]


def png(path: Path) -> bytes:
    buffer = io.BytesIO()
    to_pil(path).save(buffer, format="PNG")
    return buffer.getvalue()


def manifest(path: Path, out: Path) -> bytes:
    from radflow.reports import parse_report

    report = parse_report("Findings: Clear. Impression: Normal.")
    study = Study(study_id="s1", patient_id="p1", images=(), reference=report)
    out.mkdir(exist_ok=True)
    pictures = tuple(expand(path, out / "study"))
    view = inspect(path).view or "unknown"
    write_manifest(out / "m.jsonl", [replace(study, images=pictures, views=(view,) * len(pictures))])
    return (out / "m.jsonl").read_bytes()


def assert_silent(path: Path, out: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()  # what pydicom said while the test planted
    caplog.set_level(logging.DEBUG)
    pydicom.config.debug(True, default_handler=False)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            said = everything_said(path, out)
    finally:
        pydicom.config.debug(False, default_handler=False)
    said += caplog.text.encode() + b"".join(str(warning.message).encode() for warning in warned)
    assert len(said) > 500
    for secret in SECRETS:
        assert secret not in said, secret


@pytest.mark.parametrize("misfit", [False, True])
def test_identifying_tags_do_not_come_out(
    make_dicom: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, misfit: bool
) -> None:
    path = make_dicom(PIXELS, name="study/a", Modality="CR", ViewPosition="PA")
    assert_silent(planted(path, identifying_tags(), misfit=misfit), tmp_path / "out", caplog)


TEXTS = tuple(
    keyword
    for keyword in READ
    if dictionary_VR(keyword) in ("CS", "LO", "SH", "DS", "IS", "UI") and keyword != "ImageType"
)


@pytest.mark.parametrize("keyword", TEXTS)
def test_a_name_in_a_tag_that_is_read_does_not_come_out(
    make_dicom: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, keyword: str
) -> None:
    path = make_dicom(PIXELS, name="study/a", Modality="CR", ViewPosition="PA")
    assert_silent(planted(path, (keyword,), misfit=True), tmp_path / "out", caplog)


@pytest.mark.parametrize("share", [0.2, 0.7, 0.99])
def test_a_truncated_file_says_no_names(
    make_dicom: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, share: float
) -> None:
    path = planted(make_dicom(PIXELS, name="study/a", syntax=JPEGLSLossless), identifying_tags())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert_silent(path, tmp_path / "out", caplog)


def test_the_search_would_find_them(make_dicom: Make, tmp_path: Path) -> None:
    """The control: the same search over what pydicom itself says finds every secret but the number."""
    path = planted(make_dicom(PIXELS), identifying_tags())
    said = str(pydicom.dcmread(path)).encode()
    assert [secret in said for secret in SECRETS] == [True] * 4


def test_which_identifying_tags_are_read_at_all() -> None:
    """Descriptions, for a view or body region of our own words; the UID, to group slices. Nothing else."""
    overlap = set(READ) & set(identifying_tags())
    assert overlap == {"SeriesDescription", "StudyDescription", "ProtocolName", "SeriesInstanceUID"}


def test_all_keywords_exist() -> None:
    keywords = (*READ, *identifying_tags())
    assert [keyword for keyword in keywords if tag_for_keyword(keyword) is None] == []
    assert len(identifying_tags()) == len(set(identifying_tags())) > 100


@pytest.mark.parametrize(
    ("texts", "region"),
    [
        (["CHEST"], "chest"),
        (["", "CT THORAX WITH CONTRAST"], "chest"),
        (["ABDOMEN"], "abdomen"),
        (["CHEST_ABDOMEN_PELVIS"], "abdomen"),
        (["CSPINE"], "bone"),
        (["Kopf", "BRAIN ROUTINE"], "head"),
        (["QUAGGA"], None),
        ([], None),
    ],
)
def test_regions(texts: list[str], region: str | None) -> None:
    assert region_of(texts) == region
