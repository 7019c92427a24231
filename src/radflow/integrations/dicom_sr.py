"""A draft as a DICOM Basic Text SR document (PS3.3 A.35.1), its tree after TID 2000 of PS3.16.

It is PARTIAL, UNVERIFIED and PRELIMINARY; its observer is a device. Unless it is told to keep them, nothing
of the patient or the study goes in: the attributes are empty, and the UIDs are new.

    CONTAINER  Diagnostic Imaging Report (18748-4, LN)
      HAS CONCEPT MOD  language
      HAS OBS CONTEXT  observer type, UID and name: a device, the model
      CONTAINS         Comment (121106, DCM): the notice
      CONTAINS         CONTAINER Findings (59776-5, LN): Finding; IMAGE, where references are kept
      CONTAINS         CONTAINER Impressions (19005-8, LN): Impression
      CONTAINS         Comment: verdict and its reasons, critical flag, uncertain words

The section headings are those of CID 7001, which took LOINC codes in place of 121070 and 121072.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radflow import __version__
from radflow.errors import DataError, MissingDependencyError
from radflow.reports.draft import NOTICE, Draft, passages_of
from radflow.studies.dicom.file import quiet

if TYPE_CHECKING:
    from pydicom import Dataset

BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

_PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge")
_STUDY = (
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "StudyDescription",
)
_EMPTY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_EMPTY += ("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber")
"""What a document must have, if only empty (type 2)."""

_REPORT = ("18748-4", "LN", "Diagnostic Imaging Report")
_SECTIONS = {
    "Findings": (("59776-5", "LN", "Findings"), ("121071", "DCM", "Finding")),
    "Impression": (("19005-8", "LN", "Impressions"), ("121073", "DCM", "Impression")),
}
_COMMENT = ("121106", "DCM", "Comment")


def basic_text_sr(draft: Draft, *, sources: Sequence[Path] = ()) -> bytes:
    """Return the document as a DICOM file.

    Args:
        draft: what to write.
        sources: DICOM files of one study. Their patient and study go into the document, and it refers to
            them. Without any it is anonymous.

    Raises:
        MissingDependencyError: pydicom is not installed.
        DataError: the sources belong to two studies or patients, or are no DICOM images.
    """
    pydicom = _pydicom()
    headers = [_header(path) for path in sources]
    _one_study(headers)
    document = pydicom.Dataset()
    _identify(document, draft, headers)
    _describe(document, draft)
    if headers:
        document.CurrentRequestedProcedureEvidenceSequence = [_evidence(headers)]
    _fill(document, draft, headers)
    document.file_meta = pydicom.dataset.FileMetaDataset()
    document.file_meta.TransferSyntaxUID = _EXPLICIT_LITTLE_ENDIAN
    buffer = io.BytesIO()
    document.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _pydicom() -> Any:
    try:
        import pydicom
    except ImportError:
        raise MissingDependencyError(
            "DICOM structured reports need pydicom; install it with: pip install 'radflow[dicom]'"
        ) from None
    return pydicom


def _header(path: Path) -> Dataset:
    """The attributes of a source, without its pixels."""
    pydicom = _pydicom()
    try:
        with quiet():
            header = pydicom.dcmread(path, stop_before_pixels=True)
    except (pydicom.errors.InvalidDicomError, OSError, EOFError) as error:
        raise DataError(
            f"{path}: expected a DICOM file, to keep its patient ({type(error).__name__})"
        ) from None
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        if not header.get(name):
            raise DataError(f"{path}: expected {name} in it, to keep its patient; it has none")
    return header


def _one_study(headers: Sequence[Dataset]) -> None:
    for name in ("StudyInstanceUID", "PatientID"):
        if len({str(header.get(name, "")) for header in headers}) > 1:
            raise DataError(f"expected DICOM files of one study, got several values of {name}")


def _identify(document: Dataset, draft: Draft, headers: Sequence[Dataset]) -> None:
    """Patient, study, series and instance."""
    generate_uid = _pydicom().uid.generate_uid
    document.SpecificCharacterSet = "ISO_IR 192"
    document.SOPClassUID = BASIC_TEXT_SR
    document.SOPInstanceUID = generate_uid()
    for name in _EMPTY:
        setattr(document, name, "")
    for header in headers[:1]:
        _copy(document, header)
    document.StudyInstanceUID = headers[0].StudyInstanceUID if headers else generate_uid()
    document.SeriesInstanceUID = generate_uid()
    document.Modality = "SR"
    document.SeriesNumber = 1
    document.InstanceNumber = 1
    document.SeriesDescription = "Draft, not for diagnosis"
    document.ReferencedPerformedProcedureStepSequence = []
    document.PerformedProcedureCodeSequence = []
    document.Manufacturer = "radflow"
    document.ManufacturerModelName = draft.model[:64].replace("\\", "/")
    document.SoftwareVersions = __version__


def _copy(document: Dataset, header: Dataset) -> None:
    """Patient and study of a source. What the standard does not allow stays behind; errors would quote it."""
    pydicom = _pydicom()
    for name in (*_PATIENT, *_STUDY):
        if name in header:
            with quiet(), suppress(ValueError):
                value = str(header[name].value or "")
                pydicom.valuerep.validate_value(header[name].VR, value, pydicom.config.RAISE)
                setattr(document, name, value)


def _describe(document: Dataset, draft: Draft) -> None:
    """When it was made, and how far it may be trusted."""
    created = datetime.fromisoformat(draft.created)
    document.InstanceCreationDate = document.ContentDate = document.SeriesDate = f"{created:%Y%m%d}"
    document.InstanceCreationTime = document.ContentTime = document.SeriesTime = f"{created:%H%M%S}"
    document.TimezoneOffsetFromUTC = f"{created:%z}"
    document.CompletionFlag = "PARTIAL"
    document.CompletionFlagDescription = NOTICE
    document.VerificationFlag = "UNVERIFIED"
    document.PreliminaryFlag = "PRELIMINARY"
    document.ContentQualification = "RESEARCH"  # not of this module: a standard extension


def _fill(document: Dataset, draft: Draft, headers: Sequence[Dataset]) -> None:
    """The content tree."""
    document.ValueType = "CONTAINER"
    document.ConceptNameCodeSequence = [_code(*_REPORT)]
    document.ContinuityOfContent = "SEPARATE"
    template = _pydicom().Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2000"
    document.ContentTemplateSequence = [template]
    images = [_image(header) for header in headers]
    document.ContentSequence = [
        *_context(draft),
        _text(_COMMENT, NOTICE),
        *_sections(draft, images),
        *(_text(_COMMENT, sentence) for sentence in _comments(draft)),
    ]


def _context(draft: Draft) -> list[Dataset]:
    """Language (TID 1204), and the device that observed (TID 1002 and 1004)."""
    language = _item("HAS CONCEPT MOD", "CODE", ("121049", "DCM", "Language of Content Item and Descendants"))
    language.ConceptCodeSequence = [_code("en", "RFC5646", "English")]
    kind = _item("HAS OBS CONTEXT", "CODE", ("121005", "DCM", "Observer Type"))
    kind.ConceptCodeSequence = [_code("121007", "DCM", "Device")]
    uid = _item("HAS OBS CONTEXT", "UIDREF", ("121012", "DCM", "Device Observer UID"))
    uid.UID = _pydicom().uid.generate_uid(entropy_srcs=["radflow", __version__, draft.model])
    name = _text(("121013", "DCM", "Device Observer Name"), draft.model, "HAS OBS CONTEXT")
    return [language, kind, uid, name]


def _sections(draft: Draft, images: list[Dataset]) -> list[Dataset]:
    """A container per section; a text without sections goes whole under Findings, and a comment says so."""
    made = []
    for passage in passages_of(draft.report):
        heading, element = _SECTIONS[passage.title or "Findings"]
        section = _item("CONTAINS", "CONTAINER", heading)
        section.ContinuityOfContent = "SEPARATE"
        body = draft.report.text[passage.start : passage.end].strip()
        section.ContentSequence = [_text(element, body or "(the model wrote nothing)")]
        if not made:
            section.ContentSequence.extend(images)
        made.append(section)
    return made


def _comments(draft: Draft) -> list[str]:
    text = draft.report.text
    words = [f"{text[word.start : word.end]} ({word.probability:.2f})" for word in draft.uncertain]
    marked = f"{draft.uncertainty} They are: {', '.join(words) or 'none'}."
    return [" ".join((draft.verdict, *draft.reasons)), draft.flag, *draft.remarks, marked]


def _image(header: Dataset) -> Dataset:
    item = _pydicom().Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "IMAGE"
    item.ReferencedSOPSequence = [_referenced(header)]
    return item


def _evidence(headers: Sequence[Dataset]) -> Dataset:
    """The images that the document rests on, by series."""
    study = _pydicom().Dataset()
    study.StudyInstanceUID = headers[0].StudyInstanceUID
    series: dict[str, list[Dataset]] = {}
    for header in headers:
        series.setdefault(str(header.SeriesInstanceUID), []).append(_referenced(header))
    study.ReferencedSeriesSequence = []
    for uid, instances in series.items():
        one = _pydicom().Dataset()
        one.SeriesInstanceUID, one.ReferencedSOPSequence = uid, instances
        study.ReferencedSeriesSequence.append(one)
    return study


def _referenced(header: Dataset) -> Dataset:
    reference = _pydicom().Dataset()
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return reference


def _text(concept: tuple[str, str, str], value: str, relation: str = "CONTAINS") -> Dataset:
    item = _item(relation, "TEXT", concept)
    item.TextValue = value
    return item


def _item(relation: str, kind: str, concept: tuple[str, str, str]) -> Dataset:
    item = _pydicom().Dataset()
    item.RelationshipType, item.ValueType = relation, kind
    item.ConceptNameCodeSequence = [_code(*concept)]
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = _pydicom().Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
