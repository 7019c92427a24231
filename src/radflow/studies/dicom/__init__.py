"""DICOM in: one file to pixels; a clip, a series or a folder to pictures; what is odd about them."""

from radflow.studies.dicom.reading import (
    DicomInfo,
    check_dicom,
    expand,
    identifying_tags,
    inspect,
    is_dicom,
    load_dicom,
)

__all__ = ["DicomInfo", "check_dicom", "expand", "identifying_tags", "inspect", "is_dicom", "load_dicom"]
