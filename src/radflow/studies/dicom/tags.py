"""Which DICOM tags radflow reads, which it must never repeat, and the few words that it makes of them.

What leaves these modules are words from the closed lists below and numbers; no text of a file is passed on.
So a name typed into "Series Description" cannot reach a manifest, a page or a log.
"""

from __future__ import annotations

from collections.abc import Sequence

MODALITIES = frozenset(
    [
        "CR",
        "DX",
        "RG",
        "MG",
        "IO",
        "PX",
        "RF",
        "XA",
        "US",
        "IVUS",
        "CT",
        "MR",
        "PT",
        "NM",
        "ES",
        "GM",
        "OP",
        "OPT",
        "OCT",
        "SM",
        "XC",
        "BI",
        "BMD",
        "SC",
        "OT",
    ]
)
FILMS = frozenset(("CR", "DX", "RG", "RF"))  # projection radiographs of a patient who faces the reader
VOLUMES = frozenset(("CT", "MR", "PT"))  # one file per slice

PHOTOMETRIC = frozenset(
    ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
)

# All that is parsed of a file; the reader skips everything else, names and dates included.
READ = (
    *("ImageType", "SOPClassUID", "Modality", "SeriesDescription", "StudyDescription", "ProtocolName"),
    *("BodyPartExamined", "ViewPosition", "ViewCodeSequence", "Laterality", "ImageLaterality"),
    *("PatientOrientation", "ImageOrientationPatient", "ImagePositionPatient", "SeriesInstanceUID"),
    *("SeriesNumber", "InstanceNumber", "NumberOfFrames", "BurnedInAnnotation", "PresentationIntentType"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "ModalityLUTSequence", "RescaleSlope"),
    *("RescaleIntercept", "RescaleType", "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("PresentationLUTShape", "LossyImageCompression"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in ("Red", "Green", "Blue")),
    *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)

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
    """Keywords of the tags whose values identify, or may: the short list of DICOM PS3.15 Table E.1-1.

    The table's Basic Profile has over 400 rows; these are the ones met in images that are sent around: names,
    identifiers (UIDs too), places, dates, the person's characteristics, and texts that somebody typed. It is
    for checking, not for de-identifying files: radflow writes no DICOM image.

    >>> [name for name in identifying_tags() if name.startswith("PatientBirth")]
    ['PatientBirthName', 'PatientBirthDate', 'PatientBirthTime']
    """
    return tuple(" ".join((_NAMES, _IDS, _PLACES, _DATES, _PERSON, _FREE_TEXT)).split())


# The order decides: "CHEST ABDOMEN PELVIS" is windowed as soft tissue, "CERVICAL SPINE" as bone.
_REGIONS = {
    "abdomen": ("abdom", "pelvi", "liver", "kidney", "renal", "pancrea", "bladder", "prostate"),
    "bone": (
        "spine",
        "extremity",
        "knee",
        "hip",
        "shoulder",
        "hand",
        "foot",
        "wrist",
        "ankle",
        "bone",
        "femur",
    ),
    "head": ("head", "brain", "skull", "cranial", "orbit"),
    "chest": ("chest", "thorax", "lung", "rib", "pulmon", "heart", "cardi"),
}


def region_of(texts: Sequence[str]) -> str | None:
    """``"chest"``, ``"head"``, ``"abdomen"`` or ``"bone"`` by the first text that names one.

    >>> region_of(["", "CT Chest w/o contrast"]), region_of(["KNEE"]), region_of(["Smith"])
    ('chest', 'bone', None)
    """
    for text in texts:
        lowered = text.lower()
        for region, words in _REGIONS.items():
            if any(word in lowered for word in words):
                return region
    return None
