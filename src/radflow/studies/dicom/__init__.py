"""DICOM in: one file to pixels; a clip, a series or a folder to pictures; what is odd about them."""

from radflow.studies.dicom.file import is_dicom
from radflow.studies.dicom.reading import DicomInfo, check_dicom, expand, inspect, load_dicom

__all__ = ["DicomInfo", "check_dicom", "expand", "inspect", "is_dicom", "load_dicom"]
